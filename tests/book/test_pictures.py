"""The extension of the book that makes its pictures light: files of their own, named and linked."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from docutils import nodes
from PIL import Image

from diqa_utils import plotting

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))

import pictures

LARGE = np.random.default_rng(0).integers(0, 256, (20, 200, 3), dtype=np.uint8)
SMALL = LARGE[:, :20]


def test_pictures_become_files_and_large_ones_link_to_theirs(tmp_path):
    gallery = plotting.show_images([LARGE, SMALL, LARGE], ["large", "small", "again"])
    html = pictures.extract_pictures(gallery._repr_html_(), tmp_path / "_images", "../_images")
    assert "data:" not in html
    names = re.findall(r'<img alt="\w+" [^>]*src="\.\./_images/([0-9a-f]+\.webp)">', html)
    assert names[0] == names[2] != names[1]
    assert re.findall(r'<a class="picture" href="\.\./_images/([^"]+)"><img', html) == names[::2]
    for name, expected in zip(names[:2], (LARGE, SMALL), strict=True):
        np.testing.assert_array_equal(Image.open(tmp_path / "_images" / name), expected)


@pytest.fixture
def page(tmp_path):
    """A page in a folder, and the application that builds it."""
    builder = SimpleNamespace(
        format="html", imagedir="_images", get_target_uri=lambda page: f"{page}.html", images={}
    )
    return SimpleNamespace(outdir=tmp_path, srcdir=tmp_path, builder=builder)


@pytest.mark.parametrize("alt", ["Two <pictures>", ""])
def test_a_gallery_is_described_by_the_alternative_text_of_its_cell(page, alt):
    cell = nodes.container(cell_metadata={"mystnb": {"image": {"alt": alt}}})
    html = plotting.show_images(SMALL)._repr_html_()
    cell += nodes.raw("", html, format="html", classes=["output"])
    cell += nodes.raw("", "<p>", format="html")
    document = nodes.document(None, None, "", cell)
    pictures.place_pictures(page, document, "notebooks/one")
    gallery, other = document.findall(nodes.raw)
    described = 'role="group" aria-label="Two &lt;pictures&gt;">' in gallery.astext()
    assert described == bool(alt)
    assert 'src="../_images/' in gallery.astext()
    assert gallery["classes"] == ["output"]
    assert other.astext() == "<p>"


def test_charts_have_their_size_and_load_late(page, tmp_path):
    figure = plotting.show_lines([1, 2], {"a": [1, 2]}, xlabel="x", ylabel="y")
    figure.savefig(tmp_path / "made.svg")
    page.builder.images = {"made.svg": "hash.svg"}
    context = {"body": '<img alt="a" src="../_images/hash.svg" /><img alt="b" src="other.svg" />'}
    pictures.measure_charts(page, "one", "page.html", context, None)
    assert context["body"] == (
        '<img width="614" height="365" loading="lazy" alt="a" src="../_images/hash.svg" />'
        '<img alt="b" src="other.svg" />'
    )
