"""Give the tests a built book, served to a browser that can reach nothing else."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from book_source import ROOT, load_tool
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright
from repository_address import NAME


@pytest.fixture(scope="session")
def book_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages to look at.

    `DIQA_BOOK_HTML` names them. Otherwise they are those that `make book` made, if nothing has
    changed since; or else the same pages built now, without the outputs of the chapters, which
    takes seconds: maths, styles, scripts, search and layout are all there.
    """
    named = os.environ.get("DIQA_BOOK_HTML")
    if named:
        folder = (ROOT / named).resolve()
        if not (folder / "index.html").exists():
            pytest.fail(f"DIQA_BOOK_HTML names {folder}, which holds no book: run `make book`.")
        return folder
    tool = load_tool("build_book")
    if tool.is_up_to_date():
        return tool.HTML
    # The processes of one run share the folder above their own.
    output = tmp_path_factory.getbasetemp()
    output = (output.parent if "PYTEST_XDIST_WORKER" in os.environ else output) / "book"
    with FileLock(f"{output}.lock"):
        if not (output / "_build" / "html" / "index.html").exists():
            build(output)
    return output / "_build" / "html"


def build(output: Path) -> None:
    """Builds the pages without the outputs of the chapters."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    result = subprocess.run(
        [str(jupyter_book), "build", str(ROOT), "--path-output", str(output)],
        env=os.environ | {"DIQA_BOOK_EXECUTE": "off"},
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        pytest.fail(f"the book cannot be built:\n{result.stdout}\n{result.stderr}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    paths = [path for name in names if (path := shutil.which(name))]
    if not paths:
        message = "there is no Chromium on this machine: the built pages were not looked at"
        # Who names a built book wants it looked at.
        (pytest.fail if os.environ.get("DIQA_BOOK_HTML") else pytest.skip)(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=paths[0],
            # A container's root user has no sandbox, and its /dev/shm is small.
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield browser
        browser.close()


class _Pages(http.server.SimpleHTTPRequestHandler):
    """Serves the book as GitHub Pages does: below its name, with a page for wrong addresses."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix(f"/{NAME}"))

    def send_error(self, code: int, *args: object) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write((Path(self.directory) / "404.html").read_bytes())

    def log_message(self, *args: object) -> None:
        """Keeps the requests out of the tests' output."""


@pytest.fixture(scope="session")
def book_address(book_folder: Path) -> Iterator[str]:
    """The address at which the pages are served, on this machine only."""
    handler = functools.partial(_Pages, directory=str(book_folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{NAME}"
        server.shutdown()
        thread.join()
