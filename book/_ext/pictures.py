"""Sphinx extension: pictures and charts that are light to load, and named for those who listen.

A gallery of `diqa_utils.plotting` holds its pictures within its HTML, so that a notebook needs no
other file. On a page of the book they are files of their own, which load when they come into view.
"""

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from diqa_utils._internal.gallery_html import FEW_PIXELS

#: How `Gallery` begins.
GALLERY = '<div class="picture-gallery" role="group"'
PICTURE = re.compile(
    r'<img (?P<rest>[^>]*width="(?P<width>\d+)"[^>]*)src="data:image/webp;base64,(?P<data>[^"]+)">'
)
CHART = re.compile(r'<img (?=[^>]*src="[^"]*/(?P<name>[^"/]+\.svg)")')
CHART_SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"')


def extract_pictures(html: str, folder: Path, address: str) -> str:
    """Writes the pictures of a gallery into a folder, and returns HTML that refers to them.

    Args:
        html: The gallery.
        folder: Where to write.
        address: The folder as the page finds it.

    Returns:
        The gallery. A picture that shows more when it stands alone is a link to its file.
    """

    def refer(match: re.Match[str]) -> str:
        content = base64.b64decode(match["data"])
        name = f"{hashlib.sha256(content).hexdigest()[:24]}.webp"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        image = f'<img {match["rest"]}src="{address}/{name}">'
        if int(match["width"]) <= FEW_PIXELS:
            return image
        return f'<a class="picture" href="{address}/{name}">{image}</a>'

    return PICTURE.sub(refer, html)


def description_of(node: nodes.Node | None) -> str:
    """Returns the alternative text of a node's figure, or of the cell that it is an output of."""
    while isinstance(node, nodes.Element):
        metadata = node.get("cell_metadata", {}).get("mystnb", {})
        if text := node.get("alt") or metadata.get("image", {}).get("alt"):
            return str(text)
        node = node.parent
    return ""


def place_pictures(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Puts the pictures of a page's galleries into files, and describes each gallery."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir, app.builder.imagedir)
    address = relative_uri(app.builder.get_target_uri(docname), app.builder.imagedir)
    for raw in list(doctree.findall(nodes.raw)):
        html = raw.astext()
        if GALLERY not in html:
            continue
        if description := description_of(raw):
            html = html.replace(GALLERY, f'{GALLERY} aria-label="{escape(description)}"')
        html = extract_pictures(html, folder, address)
        raw.replace_self(nodes.raw("", html, format="html", classes=raw["classes"]))


def measure_charts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Tells the browser the size of each chart, so that it can wait and nothing jumps."""
    sources = {name: source for source, name in getattr(app.builder, "images", {}).items()}

    def measure(match: re.Match[str]) -> str:
        svg = Path(app.srcdir, sources.get(match["name"], ""))
        size = CHART_SIZE.search(svg.read_text(encoding="utf-8")) if svg.is_file() else None
        if size is None:
            return match[0]
        width, height = (round(float(points) * 96 / 72) for points in size.groups())
        return f'<img width="{width}" height="{height}" loading="lazy" '

    if "body" in context:
        context["body"] = CHART.sub(measure, context["body"])


class GalleryFigure(SphinxDirective):
    """A numbered figure made of a gallery in a file: its path, `:name:`, `:alt:`, and a caption."""

    required_arguments = 1
    has_content = True
    option_spec = {"name": directives.unchanged, "alt": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Makes the figure."""
        source, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(source)
        html = Path(path).read_text(encoding="utf-8")
        figure = nodes.figure("", alt=self.options.get("alt", ""))
        figure += nodes.raw("", html, format="html")
        paragraphs = self.parse_content_to_nodes()
        figure += nodes.caption("", "", *paragraphs[0].children)
        self.add_name(figure)
        self.set_source_info(figure)
        return [figure]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the functions above to Sphinx."""
    app.add_directive("gallery", GalleryFigure)
    app.add_css_file("pictures.css")
    app.add_js_file("pictures.js", loading_method="defer")
    app.connect("doctree-resolved", place_pictures)
    app.connect("html-page-context", measure_charts)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
