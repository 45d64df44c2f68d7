"""The figures: pictures come through unharmed and named, and what is drawn can be seen and read."""

import base64
import io
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.colors import to_hex
from PIL import Image

from diqa_utils import models, notebook, plotting

GRAY = np.ones((8, 6))

show_lines = partial(plotting.show_lines, xlabel="x", ylabel="y")
show_distributions = partial(plotting.show_distributions, xlabel="score")
show_intervals = partial(plotting.show_intervals, xlabel="SRCC")


@pytest.fixture
def photograph():
    return np.random.default_rng(0).integers(0, 256, (40, 160, 3), dtype=np.uint8)


@pytest.fixture
def error_map():
    return np.random.default_rng(1).uniform(0, 0.5, (10, 40, 1)).astype(np.float32)


class Page(HTMLParser):
    """What a browser makes of a gallery: its elements with their attributes, and its text."""

    def __init__(self, gallery):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(gallery._repr_html_())
        assert not self.open, "elements are not closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append(SimpleNamespace(tag=tag, **dict(attrs), attributes=dict(attrs)))
        if tag not in ("img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.texts.append(data.strip())

    def all(self, tag):
        return [element for element in self.elements if element.tag == tag]

    @property
    def pictures(self):
        data = [image.src.removeprefix("data:image/webp;base64,") for image in self.all("img")]
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in data]


def svg(figure):
    file = io.BytesIO()
    with matplotlib.rc_context(notebook.FIGURE_STYLE):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def legend_labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def row_labels(figure):
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


# stretch


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[-2.0, 0.0], [1.0, 2.0]]), [[0, 0.5], [0.75, 1]]),
        (tf.constant([[10, 20, 30]], tf.uint8), [[0, 0.5, 1]]),
        (np.full((2, 2), 255, np.uint8), [[0, 0], [0, 0]]),
        ([[[[1], [2]]], [[[50], [90]]]], [[[[0], [1]]], [[[0], [1]]]]),  # each image by itself
    ],
)
def test_stretch_fills_0_to_1(image, expected):
    stretched = plotting.stretch(image)
    np.testing.assert_allclose(stretched, expected)
    assert stretched.dtype == np.float32


# Pictures and maps


def test_show_images_keeps_every_pixel_and_names_each_picture(photograph):
    gray = photograph[..., :1] / 255
    gallery = plotting.show_images([photograph, gray, photograph[..., 0]], ["a", "b", "c"])
    page = Page(gallery)
    coloured, *others = page.pictures
    np.testing.assert_array_equal(coloured, photograph)
    for picture in others:
        np.testing.assert_array_equal(picture, np.repeat(photograph[..., :1], 3, axis=-1))
    assert page.texts == ["a", "b", "c"] == list(gallery.titles)
    assert [image.alt for image in page.all("img")] == ["a", "b", "c"]
    sizes = {(image.width, image.height, image.loading) for image in page.all("img")}
    assert sizes == {("160", "40", "lazy")}
    assert repr(gallery) == "Gallery of 3: a, b, c"


def test_titles_are_text_and_not_html():
    title = '<b>"R&D"</b>'
    page = Page(plotting.show_images(GRAY, [title]))
    assert page.texts == [title] == [image.alt for image in page.all("img")]
    assert not page.all("b")


@pytest.mark.parametrize(
    ("count", "columns", "expected"),
    [(1, None, 1), (4, None, 2), (7, None, 3), (5, 5, 5), (2, 6, 2)],
)
def test_show_images_arranges_the_pictures_of_a_batch_in_columns(count, columns, expected):
    page = Page(plotting.show_images(tf.zeros((count, 8, 8, 1)), columns=columns))
    assert len(page.pictures) == count
    assert f"/ {expected})" in page.all("div")[1].style
    assert page.all("img")[0].alt == "picture 1"


def test_small_pictures_show_their_pixels_and_large_ones_are_reduced():
    few, many = (Page(plotting.show_images(np.zeros((size, size)))) for size in (64, 400))
    assert "max-width: 193px" in few.all("div")[1].style
    assert "pixelated" in few.all("img")[0].style
    assert "pixelated" not in many.all("img")[0].style
    page = Page(plotting.show_overlay(np.ones((100, 4000, 3)), np.eye(25, 1000)))
    assert [picture.shape for picture in page.pictures] == 3 * [(36, 1440, 3)]


def test_show_maps_paints_each_value_in_the_colour_that_the_bar_gives_it():
    values = np.array([[0.0, 1.0], [2.0, np.nan]])
    gallery = plotting.show_maps([values, values + 2], ["one", "two"], label="error")
    page = Page(gallery)
    magma = matplotlib.colormaps["magma"]
    for picture, places in zip(page.pictures, ([0, 0.25, 0.5], [0.5, 0.75, 1]), strict=True):
        np.testing.assert_array_equal(picture.reshape(4, 3)[:3], magma(places, bytes=True)[:, :3])
        np.testing.assert_array_equal(picture[1, 1], 3 * [204])
    assert page.texts == ["one", "two", "0", "2", "4", "error"]
    (bar,) = [one for one in page.all("div") if one.attributes.get("role") == "img"]
    assert bar.attributes["aria-label"] == "error: from 0 to 4"
    assert all(to_hex(magma(place)) in gallery.html for place in (0.0, 0.5, 1.0))


@pytest.mark.parametrize(
    ("options", "ends", "colour"),
    [
        ({"symmetric": True}, ["−3", "0", "3"], matplotlib.colormaps["RdBu_r"](0.0)),
        ({"cmap": "gray"}, ["−3", "−1", "1"], (0, 0, 0)),
        ({"shared_range": False}, ["−3", "−1", "1"], matplotlib.colormaps["magma"](0.0)),
    ],
)
def test_show_maps_centres_signed_values_at_zero_or_takes_a_range(options, ends, colour):
    page = Page(plotting.show_maps(np.array([[-3.0, 1.0]]), **options))
    assert page.texts == ends
    np.testing.assert_allclose(page.pictures[0][0, 0] / 255, colour[:3], atol=0.01)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 1), ["1", "1", "1"]),
        ((1e-9, 0.0767), ["0", "0.0384", "0.0767"]),
        ((0, 1500), ["0", "750", "1500"]),
        ((np.nan, np.nan), ["0", "0.5", "1"]),
    ],
)
def test_colour_bars_have_short_numbers_even_where_all_is_nan(values, expected):
    assert Page(plotting.show_maps([[values]])).texts == expected


def test_galleries_add_up_to_one():
    one, two = plotting.show_maps(GRAY, ["a"], label="x"), plotting.show_maps(GRAY, ["b"])
    page = Page(one + two)
    assert page.texts == ["a", "1", "1", "1", "x", "b", "1", "1", "1"]
    assert [one.attributes.get("role") for one in page.all("div")].count("group") == 1


@pytest.mark.parametrize("gray", [True, False])
def test_show_overlay_lays_the_enlarged_map_over_the_grey_picture(photograph, gray):
    picture = photograph[..., :1] / 255 if gray else photograph
    page = Page(plotting.show_overlay(picture, tf.constant([[0.0, 0.0, 1.0, 1.0]])))
    assert page.texts[:3] == ["picture", "error map", "map over picture"]
    shown, painted, mixed = page.pictures
    assert shown.shape == painted.shape == mixed.shape == photograph.shape
    ends = matplotlib.colormaps["magma"]([0, 255], bytes=True)[:, :3]
    np.testing.assert_array_equal(painted[:, [0, -1]], np.broadcast_to(ends, (40, 2, 3)))
    grey = shown.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(mixed, 0.4 * grey + 0.6 * painted, atol=0.51)


# show_contact_sheet


def test_show_contact_sheet_shows_and_names_every_picture(photograph):
    gray = photograph[..., 0] / 255
    families = {
        "one": {"a": [photograph, 255 - photograph]},
        "two": {"b": [gray, tf.constant(gray)], "c": [gray, gray]},
    }
    labels = ["weak", "strong"]
    page = Page(plotting.show_contact_sheet(families, labels=labels))
    assert page.texts == ["From left to right: weak, strong.", "one", "a", "two", "b", "c"]
    names = [f"{kind}, {label}" for kind in "abc" for label in labels]
    assert [image.alt for image in page.all("img")] == names
    np.testing.assert_array_equal(page.pictures[1], 255 - photograph)


# show_slider


def test_show_slider_shows_the_middle_gallery_until_it_is_moved():
    galleries = {f"{p:g}": plotting.show_images(p * GRAY, [f"p = {p}"]) for p in (0.1, 0.2, 0.5)}
    page = Page(plotting.show_slider(galleries, label="exponent p"))
    shown = {
        one.attributes["data-value"]: "visibility: visible" in one.style
        for one in page.all("div")
        if "data-value" in one.attributes
    }
    assert shown == {"0.1": False, "0.2": True, "0.5": False}
    (slider,) = page.all("input")
    assert (slider.type, slider.min, slider.max, slider.value) == ("range", "0", "2", "1")
    assert slider.attributes["aria-label"] == "exponent p"
    assert slider.attributes["aria-valuetext"] == "0.2" == page.texts[1]
    assert '"' not in slider.oninput


# Curves, points and intervals


def test_show_lines_draws_and_names_each_curve():
    lines = {name: tf.constant([number, 2]) for number, name in enumerate("abcde")}
    figure = show_lines([1, 2], lines)
    axes = figure.axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[n, 2] for n in range(5)]
    assert len({line.get_color() for line in axes.lines}) == 5
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    # To be read row by row, where Matplotlib fills columns.
    assert legend_labels(figure) == ["a", "d", "b", "e", "c"]


@pytest.mark.parametrize("length", [1, 20, 50])
def test_legends_fit_the_width(length):
    with matplotlib.rc_context(notebook.FIGURE_STYLE):
        figure = show_lines([1, 2], {name * length: [1, 2] for name in "abc"})
        figure.draw_without_rendering()
        legend = figure.legends[0].get_window_extent()
    assert 0 <= legend.x0 <= legend.x1 <= figure.bbox.width


@pytest.mark.parametrize("largest", [10, 1e6])
def test_show_lines_writes_logarithmic_ticks_in_full(largest):
    lines = {"a": [1, largest]}
    figure = show_lines([1, largest], lines, logx=True, logy=True)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    texts = {text.get_text() for text in axes.get_xticklabels()}
    assert {"1", "10"} <= texts or {"1", "100"} <= texts
    assert ("5" in texts) == (largest == 10)


@pytest.mark.parametrize("epochs", [1, 30])
def test_show_history_counts_whole_epochs_from_one(epochs):
    history = {"training": [3.0] * epochs, "validation": [4.0] * epochs}
    figure = plotting.show_history(history, ylabel="error", baseline={"constant map": 2.5})
    training, _, constant = figure.axes[0].lines
    np.testing.assert_array_equal(training.get_xdata(), range(1, epochs + 1))
    assert constant.get_linestyle() == "--"
    assert legend_labels(figure) == ["training", "validation", "constant map"]
    assert all(tick == round(tick) for tick in figure.axes[0].get_xticks())
    assert figure.axes[0].get_ylabel() == "error"


def test_show_distributions_draws_every_value_and_the_median():
    figure = show_distributions({"blur": [1, 2, 6], "noise": [4.0]})
    axes = figure.axes[0]
    points = [points.get_offsets()[:, 0].tolist() for points in axes.collections]
    assert points == [[1, 2, 6], [4]]
    assert [line.get_xdata()[0] for line in axes.lines] == [2, 4]
    assert row_labels(figure) == ["blur", "noise"]


def test_show_scatter_marks_groups_differently():
    figure = plotting.show_scatter(
        [1, 2, 3], [4, 5, 6], groups=["a", "b", "a"], curve=([1, 3], [4, 6])
    )
    first, second = figure.axes[0].collections
    assert first.get_offsets().tolist() == [[1, 4], [3, 6]]
    assert second.get_offsets().tolist() == [[2, 5]]
    assert len(first.get_paths()[0]) != len(second.get_paths()[0]), "the markers are alike"
    (curve,) = figure.axes[0].lines
    assert curve.get_ydata().tolist() == [4, 6]
    assert curve.get_zorder() <= 2 <= first.get_zorder(), "the curve hides the points"
    assert curve.get_color() not in plotting.COLOURS
    assert legend_labels(figure) == ["a", "b"]
    assert not plotting.show_scatter(np.ones((3, 1)), tf.ones(3)).legends


def test_show_intervals_draws_each_row_from_the_top():
    rows = [("all", 0.8, 0.7, 0.9), ("blur", 0.6, 0.2, 0.7)]
    figure = show_intervals(rows, reference=0.5)
    axes = figure.axes[0]
    assert axes.yaxis_inverted()
    assert row_labels(figure) == ["all", "blur"]
    assert [list(line.get_xdata()) for line in axes.lines] == [
        *([0.7, 0.9], [0.8], [0.2, 0.7], [0.6], [0.5, 0.5]),
    ]


def test_charts_are_one_size_the_same_file_each_time_and_not_shown_twice():
    def draw():
        return show_lines([1, 2], {"a": [1, 2], "b": [2, 1]})

    assert svg(draw()) == svg(draw())
    assert b"<dc:date>" not in svg(draw())
    assert b'width="460.8pt"' in svg(draw())
    from matplotlib import pyplot

    assert not pyplot.get_fignums()


def test_charts_of_many_points_stay_small():
    numbers = np.random.default_rng(0).normal(size=20_000)
    assert len(svg(plotting.show_scatter(numbers, numbers))) < 300_000
    assert b"<image" not in svg(plotting.show_scatter(numbers[:500], numbers[:500]))


# Refusals


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (plotting.stretch, [np.zeros(3)], r"got shape \(3,\)"),
        (plotting.stretch, [[[0.0, np.nan]]], "NaN or infinite"),
        (plotting.show_images, [[]], "nothing to show: got an empty list"),
        (plotting.show_images, [-GRAY], r"not float64 in -1\.\.-1; .*stretch\(\)"),
        (plotting.show_images, [GRAY.astype(int)], "not int64"),
        (plotting.show_images, [np.zeros((4, 4, 2))], r"not \(4, 4, 2\)"),
        (plotting.show_images, [[GRAY, GRAY], ["a title"]], "1 titles for 2 pictures"),
        (plotting.show_maps, [np.zeros((4, 5, 3))], r"not \(4, 5, 3\)"),
        (partial(plotting.show_maps, cmap="sunset"), [GRAY], "sunset"),
        (partial(plotting.show_contact_sheet, labels="xyz"), [{"one": {"a": [GRAY]}}], "longer"),
        (partial(plotting.show_slider, label="p"), [{}], "nothing to show: got an empty dict"),
        (show_lines, [[1, 2], {}], "nothing to show: got an empty dict"),
        (show_lines, [[1, 2], {"a": [1, 2, 3]}], "line 'a' has 3 values, and x has 2"),
        (show_distributions, [{"blur": [1], "noise": []}], "'noise' has no numbers"),
        (plotting.show_scatter, [[], []], "not 0, 0 and 0"),
        (partial(plotting.show_scatter, groups=["a", "b"]), [[1], [1]], "not 1, 1 and 2"),
        (show_intervals, [[("all", 0.8, 0.9, 0.7)]], r"'all' runs from 0\.9 down to 0\.7"),
    ],
)
def test_what_cannot_be_shown_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


# Drawings


@pytest.mark.parametrize("draw", [plotting.draw_pipeline, plotting.draw_architecture])
def test_letters_of_drawings_are_legible(draw):
    figure = draw()
    assert figure.get_figwidth() <= 7
    assert min(text.get_fontsize() for text in figure.axes[0].texts if text.get_text()) >= 9


def test_drawn_architecture_is_that_of_the_model():
    assert plotting._CONVOLUTIONS == models.CONVOLUTIONS
    texts = [text.get_text() for text in plotting.draw_architecture().axes[0].texts]
    assert f"dense {models.HIDDEN_UNITS}\nReLU" in texts


# The module


def test_plotting_imports_neither_tensorflow_nor_the_rest_of_the_library():
    code = (
        "import sys; from diqa_utils import plotting; "
        "print([m for m in sys.modules if m.startswith(('tensorflow', 'keras', 'diqa_utils.'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = ["_internal", "_internal.gallery_html", "plotting"]
    assert sorted(eval(run.stdout)) == [f"diqa_utils.{name}" for name in own]
