"""The extension of the book that makes its pictures light: files of their own, named and linked."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from book_source import ROOT
from docutils import nodes
from PIL import Image

from diqa_utils import plotting

sys.path.insert(0, str(ROOT / "book" / "_ext"))

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


# --- In a browser ---------------------------------------------------------------------------------


def show(browser, gallery, *, width=1280, javascript=True):
    """A page with nothing but a gallery, as the book has it."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, java_script_enabled=javascript
    )
    page = context.new_page()
    html = pictures.PICTURE.sub(r'<a class="picture" href="#\g<width>">\g<0></a>', gallery.html)
    script = (ROOT / "book" / "_static" / "pictures.js").read_text(encoding="utf-8")
    page.set_content(f"<div style='max-width: 752px'>{html}</div><script>{script}</script>")
    return page


@pytest.fixture
def slider():
    galleries = {f"{p:g}": plotting.show_images(LARGE, [f"p = {p:g}"]) for p in (0.1, 0.2, 0.5)}
    return plotting.show_slider(galleries, label="exponent p")


def test_the_slider_is_moved_by_the_keyboard(browser, slider):
    page = show(browser, slider)
    handle = page.get_by_role("slider", name="exponent p")
    titles = page.locator("figcaption:visible")
    assert titles.all_inner_texts() == ["p = 0.2"]
    handle.press("ArrowRight")
    assert titles.all_inner_texts() == ["p = 0.5"]
    assert handle.get_attribute("aria-valuetext") == "0.5"
    assert page.locator(".picture-slider strong").inner_text() == "0.5"
    page.emulate_media(media="print")
    assert not handle.is_visible()
    assert titles.all_inner_texts() == ["p = 0.5"]


def test_without_scripts_the_middle_stands_still(browser, slider):
    page = show(browser, slider, javascript=False)
    assert not page.get_by_role("slider").is_visible()
    assert page.locator("figcaption:visible").all_inner_texts() == ["p = 0.2"]


@pytest.mark.parametrize(("width", "in_a_row"), [(1280, 4), (390, 2), (320, 2)])
def test_a_telephone_shows_two_pictures_in_a_row(browser, width, in_a_row):
    page = show(browser, plotting.show_maps([np.eye(40)] * 6, columns=4), width=width)
    places = [image.bounding_box() for image in page.locator("img").all()]
    assert [place["y"] for place in places].count(places[0]["y"]) == in_a_row
    assert max(place["x"] + place["width"] for place in places) <= width


def test_a_picture_opens_and_closes_by_the_keyboard(browser):
    page = show(browser, plotting.show_images([LARGE, LARGE], ["one", "two"]))
    link = page.get_by_role("link", name="two")
    link.press("Enter")
    dialog = page.get_by_role("dialog", name="two")
    assert "two, 200 × 20 pixels" in dialog.inner_text()
    assert dialog.locator("img").bounding_box()["width"] > 1000
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    assert link.evaluate("link => link === document.activeElement")
