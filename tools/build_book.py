"""Builds the book into _build/html, or says that it is up to date.

`make book` runs this. The build is clean and strict: any warning, a missing reference or a chapter
that fails makes it fail. Chapters whose code, library and packages are as they were when they last
ran keep their outputs (see book/_ext/diqa_book.py).

    python tools/build_book.py              # into _build/html
    python tools/build_book.py --unexecuted # no chapter runs: into _build/unexecuted, for the tests
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from book_inputs import book_key  # noqa: E402


class Build:
    """One way to build the book, and the folder that it is built in."""

    def __init__(self, *, executed: bool) -> None:
        self.executed = executed
        # Jupyter Book always adds a folder `_build` to the one it is given.
        self.output = ROOT if executed else ROOT / "_build" / "unexecuted"
        self.folder = self.output / "_build"
        self.html = self.folder / "html"
        # Written last, so that an interrupted or failed build is never taken for a finished one.
        self.stamp = self.folder / ".book-key"

    def is_up_to_date(self) -> bool:
        """Says whether the pages were made from the sources and packages as they are now."""
        return (
            (self.html / "index.html").exists()
            and self.stamp.exists()
            and self.stamp.read_text(encoding="utf-8") == book_key(ROOT)
        )

    def run(self) -> int:
        """Builds the pages, and returns the exit status."""
        self.stamp.unlink(missing_ok=True)
        # Sphinx warns about a page only when it reads it: a page kept from an earlier build would
        # keep its warning to itself. The outputs of the chapters stay, in .jupyter_cache.
        for made in ("html", ".doctrees", "jupyter_execute"):
            shutil.rmtree(self.folder / made, ignore_errors=True)
        # Taken before the build: what is edited while it runs is not in the book.
        key = book_key(ROOT)
        jupyter_book = Path(sys.executable).with_name("jupyter-book")
        command = [str(jupyter_book), "build", ".", "-n", "--path-output", str(self.output)]
        environment = dict(os.environ)
        if self.executed:
            command += ["-W", "--keep-going"]
        else:
            # Not strict: a reference to a figure that no cell has drawn is a warning.
            environment["DIQA_BOOK_EXECUTE"] = "off"
        status = subprocess.run(command, cwd=ROOT, env=environment).returncode
        if status == 0:
            self.stamp.write_text(key, encoding="utf-8")
        return status


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Builds the book, unless it is up to date.")
    parser.add_argument("--unexecuted", action="store_true", help="do not run the chapters")
    build = Build(executed=not parser.parse_args().unexecuted)
    if build.is_up_to_date():
        print("The book is up to date.")
    elif status := build.run():
        print("The book was not built: the cause is above.", file=sys.stderr)
        return status
    print(f"Read it: {(build.html / 'index.html').relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
