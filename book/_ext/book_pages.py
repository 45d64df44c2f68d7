"""What becomes of the pages: for readers, search engines and the keyboard."""

import itertools
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from xml.sax.saxutils import escape

from docutils import nodes
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx
from sphinx.config import Config

#: The line of a chapter that leads readers elsewhere to these very pages.
LINK_LINE = "Read this chapter with its figures"

#: Words that one reads in a minute.
PACE = 200

#: What `to` or a dash joins to a range, or a number and what follows it in brackets.
INTERVAL = re.compile(r"[-−\d.,%]+ ?(to|–|±) ?[-−\d.,%]+|[-−\d.,%]+ \([^a-z]*\)")

#: An interval's ends in brackets.
ENDS = re.compile(r"[\[(][-−\d.]+(?:,| to) [-−\d.]+[\])]")


def share_address(app: Sphinx, config: Config) -> None:
    """Tells the extensions that need the site's address; `html.baseurl` is its one source."""
    config.ogp_site_url = config.html_baseurl
    config.notfound_urls_prefix = urlsplit(config.html_baseurl).path


def drop_link_line(app: Sphinx, doctree: nodes.document) -> None:
    """Takes out of a chapter the line that leads to the page that it is now on."""
    for paragraph in [*doctree.findall(nodes.paragraph)][:3]:
        if paragraph.astext().startswith(LINK_LINE):
            paragraph.parent.remove(paragraph)


def show_reading_time(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Says under a chapter's title how long it takes."""
    if pagename.startswith("notebooks/") and doctree:
        words = sum(len(text.astext().split()) for text in doctree.findall(nodes.paragraph))
        cells = sum("cell_input" in box["classes"] for box in doctree.findall(nodes.container))
        time = f"{round(words / PACE)} minutes to read, {cells} code cells to run"
        line = f'</h1>\n<p class="reading-time">{time}</p>'
        context["body"] = context["body"].replace("</h1>", line, 1)


def keep_intervals_whole(app: Sphinx, doctree: nodes.document) -> None:
    """Marks the cells of tables that hold a number with its interval, and no text.

    A number with its ends in brackets may break, but between the two only: four of them are a row.
    """
    for cell in doctree.findall(nodes.entry):
        if INTERVAL.fullmatch(cell.astext().strip()):
            cell["classes"].append("interval")
        for text in [*cell.findall(nodes.Text)]:
            if ENDS.search(text):
                whole = ENDS.sub(lambda ends: ends[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
                text.parent.replace(text, nodes.Text(whole))


def adapt_tables(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Lets the keyboard scroll a wide table; a head without words is no head."""
    numbers = itertools.count(1)
    body = re.sub(
        '<div class="pst-scrollable-table-container">',
        lambda match: (
            f'{match[0][:-1]} tabindex="0" role="region" aria-label='
            f'"Table {next(numbers)} of this page">'
        ),
        context.get("body", ""),
    )
    context["body"] = re.sub(r"<th\b([^>]*)>(\s*(?:<p>\s*</p>)?\s*)</th>", r"<td\1>\2</td>", body)


def write_sitemap(app: Sphinx, exception: Exception | None) -> None:
    """Lists the addresses of the book's pages for search engines."""
    if exception or app.builder.name != "html":
        return
    pages = [app.builder.get_target_uri(page) for page in sorted(app.env.found_docs)]
    urls = [escape(urljoin(app.config.html_baseurl, page)) for page in pages]
    lines = [f"<url><loc>{url}</loc></url>" for url in urls]
    text = "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
            *lines,
            "</urlset>\n",
        ]
    )
    (Path(app.outdir) / "sitemap.xml").write_text(text, encoding="utf-8")


class AuthorYearLabels(BaseLabelStyle):
    """Labels of the bibliography as the text has them: Kim et al., 2019."""

    def format_labels(self, sorted_entries: list[Entry]) -> list[str]:
        """Returns a label for each entry; a letter tells those apart that would be the same."""
        labels = [self.format_label(entry) for entry in sorted_entries]
        letters = [
            chr(ord("a") + labels[:place].count(label)) for place, label in enumerate(labels)
        ]
        return [
            label + letter if labels.count(label) > 1 else label
            for label, letter in zip(labels, letters, strict=True)
        ]

    def format_label(self, entry: Entry) -> str:
        """Returns the authors and the year of an entry."""
        people = entry.persons.get("author") or entry.persons.get("editor", [])
        names = [" ".join(person.prelast_names + person.last_names) for person in people]
        short = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        label = f"{short or entry.fields['title']}, {entry.fields['year']}"
        return label.translate({ord("{"): None, ord("}"): None})  # of a name that is one word


class AuthorYearStyle(Style):
    """The plain style with those labels."""

    default_label_style = AuthorYearLabels


def setup(app: Sphinx) -> None:
    """Connects the functions above to Sphinx."""
    register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)
    app.connect("config-inited", share_address, priority=400)
    app.connect("doctree-read", drop_link_line)
    app.connect("doctree-read", keep_intervals_whole)
    app.connect("html-page-context", adapt_tables)
    app.connect("html-page-context", show_reading_time)
    app.connect("build-finished", write_sitemap)
