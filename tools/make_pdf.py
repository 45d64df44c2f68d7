"""Prints the whole book as one PDF: _build/html/book.pdf.

`make pdf` runs this after the pages are built, with the machine's own Chromium. Chapters are not
executed again: their outputs are those of the pages.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
ONE_PAGE = ROOT / "_build" / "singlehtml" / "index.html"
PDF = ROOT / "_build" / "html" / "book.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOOTER = (
    '<div style="font-size: 8px; width: 100%; text-align: center">'
    '<span class="pageNumber"></span></div>'
)


def build_one_page() -> int:
    """Builds the book as one long page, and returns the exit status."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    builder = ["--builder", "custom", "--custom-builder", "singlehtml"]
    return subprocess.run([str(jupyter_book), "build", ".", *builder, "-q"], cwd=ROOT).returncode


def print_page(browser: Browser, page: Path, pdf: Path) -> None:
    """Prints an HTML file in light colours, with bookmarks and numbered pages."""
    tab = browser.new_page(color_scheme="light")
    tab.set_default_timeout(120_000)
    tab.goto(page.as_uri())
    tab.wait_for_function("window.MathJax?.startup?.promise")
    tab.evaluate("MathJax.startup.promise.then(() => null)")
    tab.emulate_media(media="print")
    tab.pdf(
        path=pdf,
        format="A4",
        margin={side: "18mm" for side in ("top", "bottom", "left", "right")},
        display_header_footer=True,
        header_template="<div></div>",
        footer_template=FOOTER,
        tagged=True,
        outline=True,
    )
    tab.close()


if __name__ == "__main__":
    browsers = [path for name in BROWSERS if (path := shutil.which(name))]
    if not browsers:
        sys.exit(f"A browser is needed to print the book: install one of {', '.join(BROWSERS)}.")
    if build_one_page() != 0:
        sys.exit("The book was not built as one page: the cause is above.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browsers[0], args=["--no-sandbox"])
        print_page(browser, ONE_PAGE, PDF)
        browser.close()
    print(f"Read it: {PDF.relative_to(ROOT)}")
