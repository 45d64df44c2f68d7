import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import tensorflow as tf

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from diqa_utils import models, plotting

GRAY = np.ones((8, 6))


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


def legend_labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def plotted(figure):
    return {line.get_label(): line for line in figure.axes[0].lines}


# --- stretch --------------------------------------------------------------------------------------


def test_stretch_fills_0_to_1():
    stretched = plotting.stretch(np.array([[-2.0, 0.0], [1.0, 2.0]]))
    np.testing.assert_allclose(stretched, [[0, 0.5], [0.75, 1]])
    assert stretched.dtype == np.float32


@pytest.mark.parametrize("value", [0, 7, 255])
def test_stretch_makes_a_constant_image_zero(value):
    np.testing.assert_array_equal(plotting.stretch(np.full((4, 5, 1), value, np.uint8)), 0)


def test_stretch_does_not_truncate_uint8():
    stretched = plotting.stretch(np.array([[10, 20, 30]], np.uint8))
    np.testing.assert_allclose(stretched, [[0, 0.5, 1]])


def test_stretch_treats_each_image_of_a_batch_by_itself():
    batch = np.random.default_rng(0).normal(0, [[[[1.0]]], [[[50.0]]]], (2, 6, 5, 3))
    one_by_one = np.stack([plotting.stretch(image) for image in batch])
    np.testing.assert_array_equal(plotting.stretch(batch), one_by_one)


def test_stretch_takes_tensors():
    assert plotting.stretch(tf.constant([[1.0, 3.0]])).tolist() == [[0, 1]]


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3, 4, 5), (0, 4)])
def test_stretch_refuses_what_is_no_image(shape):
    with pytest.raises(ValueError, match="got shape"):
        plotting.stretch(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_stretch_refuses_values_that_are_not_finite(value):
    with pytest.raises(ValueError, match="NaN or infinite"):
        plotting.stretch(np.array([[0.0, value]]))


# --- show_images ----------------------------------------------------------------------------------


def test_show_images_gives_each_picture_a_panel_and_its_title(photograph):
    gray = photograph[..., :1] / 255
    figure = plotting.show_images([photograph, gray, gray[..., 0]], ["a", "b", "c"])
    assert titles(figure) == ["a", "b", "c"]
    assert not any(axes.axison for axes in figure.axes)


def test_show_images_takes_a_batch_of_tensors(photograph):
    batch = tf.constant(np.stack([photograph, photograph]))
    assert len(panels(plotting.show_images(batch))) == 2


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_show_images_takes_one_picture(channels):
    assert len(panels(plotting.show_images(np.zeros((8, 9, *channels))))) == 1


@pytest.mark.parametrize(
    ("count", "columns", "expected"),
    [(1, None, 1), (3, None, 3), (4, None, 2), (7, None, 3), (5, 5, 5), (2, 6, 2)],
)
def test_show_images_arranges_pictures_in_columns(count, columns, expected):
    figure = plotting.show_images([np.zeros((8, 8))] * count, columns=columns)
    assert figure.axes[0].get_gridspec().ncols == expected
    assert figure.get_figwidth() <= 7


def test_show_images_draws_a_gray_picture_in_its_full_range():
    figure = plotting.show_images([np.full((4, 4), 100, np.uint8), np.full((4, 4), 0.5)])
    assert [axes.images[0].get_clim() for axes in panels(figure)] == [(0, 255), (0, 1)]


def test_show_images_shows_pixels_when_enlarged_and_smooths_when_reduced():
    figure = plotting.show_images([np.zeros((10, 10)), np.zeros((2000, 2000))])
    shown = [axes.images[0].get_interpolation() for axes in panels(figure)]
    assert shown[0] == "nearest"
    assert shown[1] != "nearest"


def test_show_images_takes_masks():
    plotting.show_images(np.eye(4, dtype=bool))


def test_show_images_draws_other_values_in_a_value_range():
    figure = plotting.show_images(np.array([[-1.0, 1.0]]), value_range=(-1, 1))
    assert panels(figure)[0].images[0].get_clim() == (-1, 1)


def test_show_images_breaks_long_titles_into_lines():
    figure = plotting.show_images([np.zeros((8, 8))] * 3, ["several words in a long title"] * 3)
    assert "\n" in titles(figure)[0]


def test_show_images_points_to_stretch_for_values_outside_0_to_1():
    with pytest.raises(ValueError, match=r"not -1\.\.0\.5; .*stretch\(\)"):
        plotting.show_images(np.array([[-1.0, 0.5]]))


def test_show_images_refuses_nan():
    with pytest.raises(ValueError, match=r"not nan\.\.nan"):
        plotting.show_images(np.array([[np.nan, 0.5]]))


def test_show_images_refuses_other_integers():
    with pytest.raises(ValueError, match="not int32"):
        plotting.show_images(np.zeros((4, 4), np.int32))


def test_show_images_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"not \(4, 4, 2\)"):
        plotting.show_images(np.zeros((4, 4, 2)))


def test_show_images_refuses_an_empty_list():
    with pytest.raises(ValueError, match="nothing to show"):
        plotting.show_images([])


def test_show_images_refuses_too_few_titles():
    with pytest.raises(ValueError, match="1 titles for 2 pictures"):
        plotting.show_images([np.zeros((4, 4))] * 2, ["one"])


def test_show_images_refuses_no_columns():
    with pytest.raises(ValueError, match="not 0"):
        plotting.show_images(np.zeros((4, 4)), columns=0)


# --- show_maps and show_overlay -------------------------------------------------------------------


def test_show_maps_shares_one_range_and_colour_bar(error_map):
    figure = plotting.show_maps([error_map, 2 * error_map], ["one", "two"], label="error")
    assert titles(figure) == ["one", "two"]
    expected = (error_map.min(), 2 * error_map.max())
    for axes in panels(figure):
        assert axes.images[0].get_clim() == pytest.approx(expected)
    assert [axes.get_ylabel() for axes in figure.axes[2:]] == ["error"]


def test_show_maps_gives_each_map_its_own_range(error_map):
    figure = plotting.show_maps([error_map, 2 * error_map], shared_range=False)
    highest = [axes.images[0].get_clim()[1] for axes in panels(figure)]
    assert highest[1] == pytest.approx(2 * highest[0])
    assert len(figure.axes) == 4


def test_show_maps_centres_signed_values_at_zero():
    figure = plotting.show_maps(np.array([[-3.0, 1.0]]), symmetric=True)
    image = panels(figure)[0].images[0]
    assert image.get_clim() == (-3, 3)
    assert image.get_cmap().name == "RdBu_r"


@pytest.mark.parametrize("shared", [True, False])
def test_show_maps_takes_a_value_range(error_map, shared):
    figure = plotting.show_maps(error_map, value_range=(0, 9), cmap="gray", shared_range=shared)
    image = panels(figure)[0].images[0]
    assert image.get_clim() == (0, 9)
    assert image.get_cmap().name == "gray"


def test_show_maps_draws_constant_maps_and_nan():
    maps = [np.ones((4, 4)), np.full((4, 4), np.nan), np.array([[0, np.nan]])]
    plotting.show_maps(maps, shared_range=False)
    plotting.show_maps(maps)


def test_show_maps_refuses_pictures_in_colour(photograph):
    with pytest.raises(ValueError, match=r"not \(40, 60, 3\)"):
        plotting.show_maps(photograph)


@pytest.mark.parametrize("gray", [True, False])
def test_show_overlay_enlarges_the_map_to_the_picture(photograph, error_map, gray):
    picture = photograph[..., :1] / 255 if gray else photograph
    figure = plotting.show_overlay(picture, tf.constant(error_map), opacity=0.3)
    assert titles(figure) == ["picture", "error map", "map over picture"]
    below, above = panels(figure)[2].images
    assert below.get_extent() == list(above.get_extent())
    assert above.get_alpha() == 0.3
    assert above.get_interpolation() == "bilinear"


def test_show_overlay_takes_titles(photograph, error_map):
    figure = plotting.show_overlay(photograph, error_map, ["x", "y", "z"])
    assert titles(figure) == ["x", "y", "z"]


def test_show_overlay_refuses_an_opacity_above_one(photograph, error_map):
    with pytest.raises(ValueError, match=r"opacity must be in 0\.\.1, not 2"):
        plotting.show_overlay(photograph, error_map, opacity=2)


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


def places_of(figure, of):
    """What is drawn, by its window: left, bottom, right and top in pixels."""
    figure.canvas.draw()
    return [item.get_window_extent().extents for item in of(figure.axes[0])]


def test_show_contact_sheet_draws_every_picture_once_at_its_aspect(sheet):
    images = sheet.axes[0].images
    assert len(images) == 8
    for left, bottom, right, top in places_of(sheet, lambda axes: axes.images):
        assert (right - left) / (top - bottom) == pytest.approx(60 / 40, rel=0.01)
    assert [image.get_clim()[1] for image in images] == [255] * 6 + [1] * 2


def test_show_contact_sheet_writes_families_kinds_and_labels(sheet):
    texts = [text.get_text() for text in sheet.axes[0].texts]
    assert texts == ["weak", "strong"] * 2 + ["one", "a", "b", "c", "two", "d"]
    assert min(text.get_fontsize() for text in sheet.axes[0].texts) >= 9


def test_show_contact_sheet_lays_two_strips_side_by_side(sheet):
    places = np.round(places_of(sheet, lambda axes: axes.images))
    left, bottom = places[:, 0].reshape(4, 2), places[:, 1].reshape(4, 2)
    assert np.all(bottom[:, 0] == bottom[:, 1])
    a, b, c, d = bottom[:, 0]
    assert a == b > c > d
    assert left[0].tolist() == left[2].tolist() == left[3].tolist()
    assert left[1, 0] > left[0, 1] > left[0, 0]


def test_show_contact_sheet_keeps_everything_apart_and_inside(sheet):
    places = places_of(sheet, lambda axes: [*axes.images, *axes.texts])
    frame = sheet.bbox.extents
    for number, (left, bottom, right, top) in enumerate(places):
        assert np.all([left, bottom] >= frame[:2] - 1)
        assert np.all([right, top] <= frame[2:] + 1)
        for other in places[number + 1 :]:
            beside = right <= other[0] or other[2] <= left
            assert beside or top <= other[1] or other[3] <= bottom


def test_show_contact_sheet_may_have_no_labels(photograph):
    figure = plotting.show_contact_sheet({"one": {"a": [photograph] * 5}})
    assert [text.get_text() for text in figure.axes[0].texts] == ["one", "a"]


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ({}, "`families` is empty"),
        ({"one": {}}, "nothing to show"),
        ({"one": {"a": []}}, "nothing to show"),
        ({"one": {"a": [GRAY], "b": [GRAY] * 2}}, r"as many pictures, not \[1, 2\]"),
        ({"one": {"a": [GRAY, GRAY[:5]]}}, r"one size, not \[\(5, 6\), \(8, 6\)\]"),
        ({"one": {"a": [3 * GRAY]}}, r"not 3\.\.3"),
    ],
)
def test_show_contact_sheet_refuses_what_does_not_fit(families, message):
    with pytest.raises(ValueError, match=message):
        plotting.show_contact_sheet(families)


def test_show_contact_sheet_refuses_labels_that_do_not_fit():
    with pytest.raises(ValueError, match="3 labels for 1 pictures in each strip"):
        plotting.show_contact_sheet({"one": {"a": [GRAY]}}, labels=["x", "y", "z"])


# --- curves, points, intervals --------------------------------------------------------------------


def test_show_lines_draws_and_names_each_curve():
    figure = plotting.show_lines(
        [1, 2, 3], {"a": [1, 2, 3], "b": tf.constant([3, 2, 1])}, xlabel="x", ylabel="y", title="t"
    )
    assert legend_labels(figure) == ["a", "b"]
    np.testing.assert_array_equal(plotted(figure)["b"].get_ydata(), [3, 2, 1])
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("x", "y", "t")


def test_show_lines_has_a_legend_to_be_read_row_by_row():
    lines = {name: [1, 2] for name in "abcde"}
    figure = plotting.show_lines([1, 2], lines, xlabel="x", ylabel="y")
    assert legend_labels(figure) == ["a", "d", "b", "e", "c"]  # Matplotlib fills columns


@pytest.mark.parametrize("largest", [10, 1e6])
def test_show_lines_writes_logarithmic_ticks_in_full(largest):
    figure = plotting.show_lines(
        [1, largest], {"a": [1, largest]}, xlabel="x", ylabel="y", logx=True, logy=True
    )
    figure.canvas.draw()
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    texts = {text.get_text() for text in axes.get_xticklabels()}
    assert {"1", "10"} <= texts or {"1", "100"} <= texts
    assert ("5" in texts) == (largest == 10)


def test_show_lines_writes_no_halves_between_integers():
    figure = plotting.show_lines([1, 2, 3], {"a": [1, 2, 3]}, xlabel="level", ylabel="y")
    assert all(tick == round(tick) for tick in figure.axes[0].get_xticks())


def test_show_lines_refuses_a_curve_of_another_length():
    with pytest.raises(ValueError, match="x has 2 values, and the line 'a' has 3"):
        plotting.show_lines([1, 2], {"a": [1, 2, 3]}, xlabel="x", ylabel="y")


def test_show_lines_refuses_no_curves():
    with pytest.raises(ValueError, match="`lines` is empty"):
        plotting.show_lines([1, 2], {}, xlabel="x", ylabel="y")


def test_show_history_counts_epochs_from_one():
    figure = plotting.show_history(
        {"training": [3, 2, 1], "validation": [4, 3, 2]}, baseline={"constant map": 2.5}
    )
    lines = plotted(figure)
    np.testing.assert_array_equal(lines["validation"].get_xdata(), [1, 2, 3])
    assert lines["constant map"].get_linestyle() == "--"
    assert legend_labels(figure) == ["training", "validation", "constant map"]


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_show_history_has_ticks_at_whole_epochs_only(epochs):
    figure = plotting.show_history({"loss": [1.0] * epochs}, ylabel="error")
    ticks = figure.axes[0].get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))
    assert figure.axes[0].get_ylabel() == "error"


def test_show_history_refuses_an_empty_history():
    with pytest.raises(ValueError, match="`history` is empty"):
        plotting.show_history({})


def test_show_distributions_draws_every_value_and_the_median():
    figure = plotting.show_distributions({"blur": [1, 2, 6], "noise": [4.0]}, xlabel="score")
    axes = figure.axes[0]
    points = [points.get_offsets()[:, 0].tolist() for points in axes.collections]
    assert points == [[1, 2, 6], [4]]
    assert [line.get_xdata()[0] for line in axes.lines] == [2, 4]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["blur", "noise"]


def test_show_distributions_refuses_no_groups():
    with pytest.raises(ValueError, match="`groups` is empty"):
        plotting.show_distributions({}, xlabel="score")


def test_show_distributions_refuses_an_empty_group():
    with pytest.raises(ValueError, match="'noise' has no numbers"):
        plotting.show_distributions({"blur": [1], "noise": []}, xlabel="score")


def test_show_scatter_marks_groups_differently():
    figure = plotting.show_scatter(
        [1, 2, 3], [4, 5, 6], groups=["a", "b", "a"], curve=([1, 3], [4, 6])
    )
    drawn = figure.axes[0].collections
    assert [points.get_offsets().tolist() for points in drawn] == [[[1, 4], [3, 6]], [[2, 5]]]
    assert legend_labels(figure) == ["a", "b"]
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [4, 6])


def test_show_scatter_without_groups_has_no_legend():
    figure = plotting.show_scatter(np.ones((3, 1)), tf.ones(3))
    assert not figure.legends
    assert len(figure.axes[0].collections[0].get_offsets()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1], [1, 2]), "predicted has 1 values, and actual has 2"),
        (([], []), "no points"),
        (([1], [1], ["a", "b"]), "groups has 2 values, and predicted has 1"),
    ],
)
def test_show_scatter_refuses_what_does_not_fit(arguments, message):
    predicted, actual, *groups = arguments
    with pytest.raises(ValueError, match=message):
        plotting.show_scatter(predicted, actual, groups=groups[0] if groups else None)


def test_show_intervals_draws_each_row_from_the_top():
    rows = [("all", 0.8, 0.7, 0.9), ("blur", 0.6, 0.2, 0.7)]
    figure = plotting.show_intervals(rows, xlabel="SRCC", reference=0.5)
    axes = figure.axes[0]
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["all", "blur"]
    assert [list(line.get_xdata()) for line in axes.lines] == [
        *([0.7, 0.9], [0.8], [0.2, 0.7], [0.6], [0.5, 0.5]),
    ]


def test_show_intervals_refuses_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        plotting.show_intervals([], xlabel="SRCC")


def test_show_intervals_refuses_an_interval_upside_down():
    with pytest.raises(ValueError, match=r"'all' runs from 0\.9 down to 0\.7"):
        plotting.show_intervals([("all", 0.8, 0.9, 0.7)], xlabel="SRCC")


# --- drawings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [plotting.draw_pipeline, plotting.draw_architecture])
def test_drawings_have_legible_letters_that_stay_inside(draw):
    figure = draw()
    assert figure.get_figwidth() <= 7
    figure.canvas.draw()
    frame = figure.bbox
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 9
    for text in texts:
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1, text.get_text()
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1, text.get_text()


def test_texts_of_a_drawing_do_not_overlap():
    for draw in (plotting.draw_pipeline, plotting.draw_architecture):
        figure = draw()
        texts = [text for text in figure.axes[0].texts if text.get_text()]
        boxes = [text.get_window_extent() for text in texts]
        for number, box in enumerate(boxes):
            assert not box.count_overlaps(boxes[number + 1 :]), texts[number].get_text()


def test_drawn_architecture_is_that_of_the_model():
    assert plotting._CONVOLUTIONS == models.CONVOLUTIONS
    texts = [text.get_text() for text in plotting.draw_architecture().axes[0].texts]
    assert f"dense {models.HIDDEN_UNITS}\nReLU" in texts


# --- the module -----------------------------------------------------------------------------------


def test_plotting_leaves_the_settings_of_matplotlib_alone(photograph, error_map):
    before = dict(plt.rcParams)
    plotting.show_overlay(photograph, error_map)
    plotting.draw_pipeline()
    assert dict(plt.rcParams) == before


def test_plotting_imports_neither_tensorflow_nor_the_rest_of_the_library():
    code = (
        "import sys; from diqa_utils import plotting; "
        "print([m for m in sys.modules if m.startswith(('tensorflow', 'keras', 'diqa_utils.'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['diqa_utils.plotting']"
