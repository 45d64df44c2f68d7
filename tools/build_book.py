"""Builds the book into _build/html, or says that it is up to date.

`make book` runs this. The build is clean and strict: any warning, a missing reference or a chapter
that fails makes it fail. Chapters whose code, library and packages are as they were when they last
ran keep their outputs (see book/_ext/diqa_book.py).
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from book_inputs import BOOK, inputs_key  # noqa: E402

HTML = ROOT / "_build" / "html"
# Written last, so that an interrupted or failed build is never taken for a finished one.
STAMP = HTML / ".book-key"


def is_up_to_date() -> bool:
    """Says whether the pages were made from the sources and packages as they are now."""
    return STAMP.exists() and STAMP.read_text(encoding="utf-8") == inputs_key(ROOT, BOOK)


def build() -> int:
    """Builds the pages, and returns the exit status."""
    # Sphinx warns about a page only when it reads it: a page kept from an earlier build would
    # keep its warning to itself. The outputs of the chapters stay, in .jupyter_cache.
    for made in (HTML, HTML.parent / ".doctrees", HTML.parent / "jupyter_execute"):
        shutil.rmtree(made, ignore_errors=True)
    # Taken before the build: what is edited while it runs is not in the book.
    key = inputs_key(ROOT, BOOK)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [str(jupyter_book), "build", ".", "-n", "-W", "--keep-going"]
    status = subprocess.run(command, cwd=ROOT).returncode
    if status == 0:
        STAMP.write_text(key, encoding="utf-8")
    return status


if __name__ == "__main__":
    # A book without its lab is built again: what was missing may be there now.
    if is_up_to_date() and (HTML / "lab").exists():
        print("The book is up to date.")
    elif build() != 0:
        sys.exit("The book was not built: the cause is above.")
    print("Read it: _build/html/index.html")
