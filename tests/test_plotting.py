"""The figures: what is drawn, named and scaled, and that drawings can be read."""

import subprocess
import sys
from functools import partial

import matplotlib
import numpy as np
import pytest
import tensorflow as tf

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from diqa_utils import models, plotting

GRAY = np.ones((8, 6))

show_lines = partial(plotting.show_lines, xlabel="x", ylabel="y")
show_distributions = partial(plotting.show_distributions, xlabel="score")
show_intervals = partial(plotting.show_intervals, xlabel="SRCC")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()  # a figure that cannot be drawn is of no use
    plt.close("all")


@pytest.fixture
def photograph():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def error_map():
    return np.random.default_rng(1).uniform(0, 0.5, (10, 15, 1)).astype(np.float32)


def panels(figure):
    """The axes that show pictures: colour bars have their own, with a label."""
    return [axes for axes in figure.axes if axes.images]


def titles(figure):
    return [axes.get_title() for axes in panels(figure)]


def limits(figure):
    return [axes.images[0].get_clim() for axes in panels(figure)]


def legend_labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def row_labels(figure):
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def assert_apart_and_inside(figure, artists):
    figure.canvas.draw()
    places = [artist.get_window_extent() for artist in artists]
    frame = figure.bbox.padded(1)
    for number, (artist, place) in enumerate(zip(artists, places, strict=True)):
        assert frame.x0 <= place.x0 <= place.x1 <= frame.x1, artist
        assert frame.y0 <= place.y0 <= place.y1 <= frame.y1, artist
        assert not place.count_overlaps(places[number + 1 :]), artist


# --- stretch --------------------------------------------------------------------------------------


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


# --- Pictures and maps ----------------------------------------------------------------------------


def test_show_images_gives_each_picture_a_panel_its_title_and_its_full_range(photograph):
    gray = photograph[..., :1] / 255
    figure = plotting.show_images([photograph, gray, photograph[..., 0]], ["a", "b", "c"])
    assert titles(figure) == ["a", "b", "c"]
    assert limits(figure)[1:] == [(0, 1), (0, 255)]
    assert not any(axes.axison for axes in figure.axes)


@pytest.mark.parametrize(
    ("count", "columns", "expected"),
    [(1, None, 1), (4, None, 2), (7, None, 3), (5, 5, 5), (2, 6, 2)],
)
def test_show_images_arranges_the_pictures_of_a_batch_in_columns(count, columns, expected):
    figure = plotting.show_images(tf.zeros((count, 8, 8, 1)), columns=columns)
    assert len(panels(figure)) == count
    assert figure.axes[0].get_gridspec().ncols == expected
    assert figure.get_figwidth() <= 7


def test_show_images_shows_pixels_when_enlarged_and_smooths_when_reduced():
    figure = plotting.show_images([np.zeros((10, 10)), np.zeros((2000, 2000))])
    enlarged, reduced = (axes.images[0].get_interpolation() for axes in panels(figure))
    assert enlarged == "nearest" != reduced


def test_show_maps_shares_one_range_and_colour_bar(error_map):
    figure = plotting.show_maps([error_map, 2 * error_map], ["one", "two"], label="error")
    assert titles(figure) == ["one", "two"]
    assert limits(figure) == [pytest.approx((error_map.min(), 2 * error_map.max()))] * 2
    assert [axes.get_ylabel() for axes in figure.axes[2:]] == ["error"]


def test_show_maps_may_give_each_map_its_own_range_even_where_all_is_nan():
    figure = plotting.show_maps([[[0, 4], [2, np.nan]], np.nan * GRAY], shared_range=False)
    assert limits(figure) == [(0, 4), (0, 1)]
    assert len(figure.axes) == 4


@pytest.mark.parametrize(
    ("options", "ends", "colours"),
    [({"symmetric": True}, (-3, 3), "RdBu_r"), ({"value_range": (0, 9)}, (0, 9), "magma")],
)
def test_show_maps_centres_signed_values_at_zero_or_takes_a_range(options, ends, colours):
    figure = plotting.show_maps(np.array([[-3.0, 1.0]]), **options)
    assert limits(figure) == [ends]
    assert panels(figure)[0].images[0].get_cmap().name == colours


@pytest.mark.parametrize("gray", [True, False])
def test_show_overlay_enlarges_the_map_to_the_picture(photograph, error_map, gray):
    picture = photograph[..., :1] / 255 if gray else photograph
    figure = plotting.show_overlay(picture, tf.constant(error_map))
    assert titles(figure) == ["picture", "error map", "map over picture"]
    below, above = panels(figure)[2].images
    assert below.get_extent() == list(above.get_extent())
    assert below.get_clim() == (0, 1 if gray else 255)
    assert above.get_interpolation() == "bilinear"
    assert above.get_clim() == panels(figure)[1].images[0].get_clim()


# --- show_contact_sheet ---------------------------------------------------------------------------


@pytest.fixture
def sheet(photograph):
    gray = photograph[..., 0] / 255
    strip = [photograph, 255 - photograph]
    families = {
        "one": {"a": strip, "b": strip, "c": strip},
        "two": {"d": [gray, tf.constant(gray)]},
    }
    return plotting.show_contact_sheet(families, labels=["weak", "strong"])


def test_show_contact_sheet_draws_every_picture_at_its_aspect_two_strips_side_by_side(sheet):
    images = sheet.axes[0].images
    assert [image.get_clim()[1] for image in images] == [255] * 6 + [1] * 2
    sheet.canvas.draw()
    places = np.array([image.get_window_extent().extents for image in images])
    left, bottom, right, top = places.T
    np.testing.assert_allclose((right - left) / (top - bottom), 60 / 40, rtol=0.01)
    a, b, c, d = np.round(bottom[::2])
    assert a == b > c > d
    assert left[0] == left[4] == left[6] < left[1] < left[2]


def test_show_contact_sheet_writes_families_kinds_and_labels_inside(sheet):
    texts = sheet.axes[0].texts
    words = ["weak", "strong"] * 2 + ["one", "a", "b", "c", "two", "d"]
    assert [text.get_text() for text in texts] == words
    assert_apart_and_inside(sheet, [*sheet.axes[0].images, *texts])


# --- Curves, points and intervals -----------------------------------------------------------------


def test_show_lines_draws_and_names_each_curve():
    lines = {name: tf.constant([number, 2]) for number, name in enumerate("abcde")}
    figure = show_lines([1, 2], lines)
    axes = figure.axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[n, 2] for n in range(5)]
    assert len({line.get_color() for line in axes.lines}) == 5
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    # To be read row by row, where Matplotlib fills columns.
    assert legend_labels(figure) == ["a", "d", "b", "e", "c"]


@pytest.mark.parametrize("largest", [10, 1e6])
def test_show_lines_writes_logarithmic_ticks_in_full(largest):
    lines = {"a": [1, largest]}
    figure = show_lines([1, largest], lines, logx=True, logy=True)
    figure.canvas.draw()
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
    first, second, curve = figure.axes[0].lines
    assert first.get_xydata().tolist() == [[1, 4], [3, 6]]
    assert second.get_xydata().tolist() == [[2, 5]]
    assert first.get_marker() != second.get_marker()
    assert curve.get_ydata().tolist() == [4, 6]
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


# --- Refusals -------------------------------------------------------------------------------------


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
        (
            plotting.show_contact_sheet,
            [{"one": {"a": [GRAY], "b": [GRAY] * 2}}],
            r"not of \[1, 2\]",
        ),
        (partial(plotting.show_contact_sheet, labels="xyz"), [{"one": {"a": [GRAY]}}], "3 labels"),
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


# --- Drawings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [plotting.draw_pipeline, plotting.draw_architecture])
def test_letters_of_drawings_are_legible_inside_and_apart(draw):
    figure = draw()
    assert figure.get_figwidth() <= 7
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 9
    assert_apart_and_inside(figure, texts)


def test_drawn_architecture_is_that_of_the_model():
    assert plotting._CONVOLUTIONS == models.CONVOLUTIONS
    texts = [text.get_text() for text in plotting.draw_architecture().axes[0].texts]
    assert f"dense {models.HIDDEN_UNITS}\nReLU" in texts


# --- The module -----------------------------------------------------------------------------------


def test_plotting_imports_neither_tensorflow_nor_the_rest_of_the_library():
    code = (
        "import sys; from diqa_utils import plotting; "
        "print([m for m in sys.modules if m.startswith(('tensorflow', 'keras', 'diqa_utils.'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['diqa_utils.plotting']"
