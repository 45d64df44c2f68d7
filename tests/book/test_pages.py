"""The extension of the book that adapts its pages: tables, and labels of the bibliography."""

import sys

import pytest
from book_source import ROOT
from docutils import nodes
from pybtex.database import Entry, Person

sys.path.insert(0, str(ROOT / "book" / "_ext"))

import book_pages


@pytest.mark.parametrize(
    ("text", "expected", "classes"),
    [
        ("0.80 (0.71 to 0.89)", "0.80 (0.71~to~0.89)", []),
        ("0.5 ± 0.1", "0.5 ± 0.1", ["interval"]),
        ("0.729 [0.599, 0.840]", "0.729 [0.599,~0.840]", []),
        ("published [1, see below]", "published [1, see below]", []),
    ],
)
def test_an_interval_in_a_table_does_not_break(text, expected, classes):
    cell = nodes.entry("", nodes.paragraph(text, text))
    book_pages.keep_intervals_whole(None, nodes.document(None, None, "", cell))
    assert cell.astext().replace("\N{NO-BREAK SPACE}", "~") == expected
    assert cell["classes"] == classes


def test_a_group_of_authors_is_named_without_braces():
    entry = Entry("techreport", {"year": "2003"}, {"author": [Person("{Video Quality Experts}")]})
    assert book_pages.AuthorYearLabels().format_label(entry) == "Video Quality Experts, 2003"
