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

from book_inputs import BOOK, inputs_key  # noqa: E402

# Jupyter Book always adds a folder `_build` to the one it is given.
EXECUTED = ROOT / "_build"
UNEXECUTED = ROOT / "_build" / "unexecuted" / "_build"


def is_up_to_date(folder: Path) -> bool:
    """Says whether the pages in a folder were made from the sources and packages as they are."""
    stamp, index = folder / ".book-key", folder / "html" / "index.html"
    if not (stamp.exists() and index.exists()):
        return False
    return stamp.read_text(encoding="utf-8") == inputs_key(ROOT, BOOK)


def build(folder: Path) -> int:
    """Builds the pages, and returns the exit status."""
    # Written last, so that an interrupted or failed build is never taken for a finished one.
    stamp = folder / ".book-key"
    stamp.unlink(missing_ok=True)
    # Sphinx warns about a page only when it reads it: a page kept from an earlier build would
    # keep its warning to itself. The outputs of the chapters stay, in .jupyter_cache.
    for made in ("html", ".doctrees", "jupyter_execute"):
        shutil.rmtree(folder / made, ignore_errors=True)
    # Taken before the build: what is edited while it runs is not in the book.
    key = inputs_key(ROOT, BOOK)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [str(jupyter_book), "build", ".", "-n", "--path-output", str(folder.parent)]
    # Without outputs it is not strict: a reference to a figure that no cell has drawn is a warning.
    strict, execute = (["-W", "--keep-going"], "cache") if folder == EXECUTED else ([], "off")
    environment = os.environ | {"DIQA_BOOK_EXECUTE": execute}
    status = subprocess.run(command + strict, cwd=ROOT, env=environment).returncode
    if status == 0:
        stamp.write_text(key, encoding="utf-8")
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Builds the book, unless it is up to date.")
    parser.add_argument("--unexecuted", action="store_true", help="do not run the chapters")
    pages = UNEXECUTED if parser.parse_args().unexecuted else EXECUTED
    if is_up_to_date(pages):
        print("The book is up to date.")
    elif status := build(pages):
        sys.exit(f"The book was not built: the cause is above (exit status {status}).")
    print(f"Read it: {(pages / 'html' / 'index.html').relative_to(ROOT)}")
