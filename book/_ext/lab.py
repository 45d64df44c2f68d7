"""Sphinx extension: the lab of the page "Try it", where the networks run in the reader's browser.

tools/make_lab.py makes its files. Where they could not be had, the page says so.
"""

import json
import shutil
import subprocess
import sys
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

#: The folder of the lab in the built book.
LAB = "lab"
SCRIPTS = ("lab.js", "jobs.js", "networks.js", "paint.js", "damage.js", "lab.css")

SAMPLE = (
    '<button type="button" data-picture="{name}">'
    '<img src="{folder}/{name}-small.webp" alt="{title}" title="{title}" height="64"></button>'
)
BAR = (
    '<svg viewBox="0 0 200 14" aria-hidden="true"><rect class="lab-scale" width="200" height="14" '
    'rx="3"/><rect class="lab-interval" height="14" rx="3"/><rect class="lab-mark" width="3" '
    'height="14"/></svg>'
)
MISSING = (
    "The lab is not part of this build, because a package that it needs could not be had where the "
    "book was built. Build the book with `make book` where there is a network: it adds the lab, or "
    "says what is missing."
)


def made(app: Sphinx) -> Path:
    """Returns the folder of what tools/make_lab.py makes."""
    return Path(app.srcdir, "book", "_figures", "lab")


def start_lab(app: Sphinx) -> None:
    """Begins to make the lab's files if they may be out of date, while the chapters run."""
    if app.builder.name == "html":
        command = [sys.executable, str(Path(app.srcdir, "tools", "make_lab.py"))]
        # In a process of its own, like the figures: TensorFlow's settings stay there.
        app.lab = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for_lab(app: Sphinx) -> None:
    """Waits until the lab's files are made."""
    if app.builder.name == "html":
        errors = app.lab.communicate()[1]
        if app.lab.returncode != 0:
            raise ExtensionError(f"tools/make_lab.py failed:\n{errors}")


def copy_lab(app: Sphinx, exception: Exception | None) -> None:
    """Puts the lab's files and scripts into the built book."""
    target = Path(app.outdir, LAB)
    if exception or app.builder.name != "html":
        return
    shutil.rmtree(target, ignore_errors=True)
    if (made(app) / "lab.json").exists():
        shutil.copytree(made(app), target)
        for name in SCRIPTS:
            shutil.copy(Path(app.srcdir, "book", "lab", name), target)


def megabytes(size: int) -> str:
    """Returns a number of bytes in megabytes, as in "14.2"."""
    return f"{size / 1e6:.1f}"


class Lab(SphinxDirective):
    """The lab, or what stands in its place where it could not be made."""

    def run(self) -> list[nodes.Node]:
        """Fills the page's controls with what the files are."""
        manifest = made(self.env.app) / "lab.json"
        page = Path(self.env.app.srcdir, "book", "lab", "lab.html")
        for path in (manifest, page):
            self.env.note_dependency(str(path))
        if not manifest.exists():
            note = nodes.note("", classes=["lab-missing"])
            note += self.parse_text_to_nodes(MISSING)
            return [note]
        facts = json.loads(manifest.read_text(encoding="utf-8"))
        address = self.env.app.builder.get_target_uri(self.env.docname)
        folder = relative_uri(address, LAB)
        sizes = facts["sizes"]
        graphs = sum(size for name, size in sizes.items() if name.endswith(".onnx"))
        html = Template(page.read_text(encoding="utf-8")).substitute(
            folder=folder,
            address=self.config.html_baseurl + "book/try-it.html",
            files=escape(json.dumps(sizes)),
            smallest=facts["smallest"],
            unusual=facts["unusual"],
            bar=BAR,
            samples=" ".join(
                SAMPLE.format(name=name, title=title, folder=folder)
                for name, title in facts["pictures"].items()
            ),
            runtime=megabytes(sizes["ort-wasm-simd-threaded.wasm"]),
            graphs=megabytes(graphs),
            gpu=megabytes(sizes["ort-wasm-simd-threaded.asyncify.wasm"]),
        )
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the functions above to Sphinx."""
    app.add_directive("lab", Lab)
    # The chapters run in between.
    app.connect("builder-inited", start_lab, priority=400)
    app.connect("builder-inited", wait_for_lab, priority=600)
    app.connect("build-finished", copy_lab)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
