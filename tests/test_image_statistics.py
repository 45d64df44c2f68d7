"""Statistics of a picture, of the whole and of its regions."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from diqa_utils.image_statistics import (
    STATISTICS,
    image_statistics,
    region_positions,
    region_sums,
    statistics_of_sums,
)

WINDOW = np.array([1, 4, 6, 4, 1]) / 16


def named(picture):
    return dict(zip(STATISTICS, image_statistics(picture).numpy().tolist(), strict=True))


def blurred(plane):
    for axis in (0, 1):
        plane = ndimage.correlate1d(plane, WINDOW, axis=axis, mode="mirror")
    return plane


def halved(plane, times):
    for _ in range(times):
        height, width = (side // 2 * 2 for side in plane.shape)
        plane = plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return plane


def luma_of(picture):
    return picture.astype(np.float64) / 255 @ [0.299, 0.587, 0.114]


def contrast_of(plane):
    detail = plane - blurred(plane)
    deviation = np.sqrt(blurred(detail**2))
    return detail / (deviation + 1 / 255), deviation


def assert_moments(found, name, values, tolerance=2e-3):
    """Compares the five moments of a map with those that NumPy gives for it."""
    variance = values.var() + 1e-4
    central = values - values.mean()
    expected = {
        "mean": values.mean(),
        "log deviation": np.log(variance) / 2,
        "shape": np.abs(values).mean() / np.sqrt((values**2).mean() + 1e-4),
        "skewness": (central**3).mean() / variance**1.5,
        "log kurtosis": np.log(((central**4).mean() + 1e-8) / variance**2),
    }
    for moment, value in expected.items():
        assert found[f"{moment} of {name}"] == pytest.approx(value, abs=tolerance), moment


def test_every_statistic_has_a_name_of_its_own():
    assert len(set(STATISTICS)) == len(STATISTICS) == 448


@pytest.mark.parametrize("scale", [0, 1, 2, 3])
def test_contrast_is_that_of_scipy(photographs, scale):
    picture = photographs["coffee"]
    contrast, deviation = contrast_of(halved(luma_of(picture), scale))
    found = named(picture)
    assert_moments(found, f"contrast at 1/{2**scale}", contrast)
    assert_moments(found, f"log deviation at 1/{2**scale}", np.log(deviation + 1e-3) + 4)


def test_products_take_each_pixel_with_its_neighbour(photographs):
    contrast, _ = contrast_of(luma_of(photographs["chelsea"]))
    around = np.pad(contrast, 1, mode="reflect")
    height, width = contrast.shape
    found = named(photographs["chelsea"])
    for name, (row, column) in {
        "to the right": (0, 1),
        "below": (1, 0),
        "below right": (1, 1),
        "below left": (1, -1),
    }.items():
        neighbour = around[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        expected = contrast * neighbour
        assert_moments(found, f"contrast times that {name} at 1/1", expected, tolerance=5e-3)


def test_colour_is_measured_at_a_quarter_of_the_size(photographs):
    picture = photographs["astronaut"]
    red = halved(0.713 * (picture[..., 0] / 255 - luma_of(picture)), 2)
    darkest = halved(picture.min(axis=-1) / 255, 2)
    found = named(picture)
    assert_moments(found, "red at 1/4", red)
    assert_moments(found, "darkest channel at 1/4", darkest - 0.5)


def test_shares_count_clipped_pixels():
    picture = np.full((64, 64, 3), 100, np.uint8)
    picture[:16] = 0  # a quarter
    picture[16:24] = 255  # an eighth
    picture[24:32, :, 0] = 255  # an eighth, in one channel
    found = named(picture)
    assert found["share of pixels dark"] == pytest.approx(1 / 4)
    assert found["share of pixels bright"] == pytest.approx(1 / 8)
    assert found["share of pixels with a channel at its maximum"] == pytest.approx(1 / 4)
    assert found["share of pixels with a channel at its minimum"] == pytest.approx(1 / 4)


def test_detail_is_what_the_blur_takes_away(photographs):
    luma = halved(luma_of(photographs["coffee"]), 1)
    expected = np.log(np.sqrt(((luma - blurred(luma)) ** 2).mean()) + 1e-3)
    assert named(photographs["coffee"])["log detail of luma at 1/2"] == pytest.approx(
        expected, abs=1e-3
    )


def test_stripes_change_across_and_not_down():
    picture = np.tile(np.repeat([60, 180], 4), 8)[None, :, None] * np.ones((64, 1, 3))
    found = named(picture.astype(np.uint8))
    assert found["log ratio of steps across and down at 1/1"] > 3
    turned = named(picture.astype(np.uint8).transpose(1, 0, 2))
    assert turned["log ratio of steps across and down at 1/1"] < -3


def test_a_batch_equals_its_pictures_one_by_one(photographs):
    batch = np.stack(list(photographs.values()))
    one_by_one = np.stack([image_statistics(picture) for picture in batch])
    np.testing.assert_allclose(image_statistics(batch), one_by_one, atol=1e-4)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_pictures_have_finite_statistics(level):
    assert np.isfinite(image_statistics(np.full((48, 53, 3), level, np.uint8))).all()


@pytest.mark.parametrize("size", [(159, 202), (97, 51)])
def test_tiles_add_up_to_the_whole(photographs, size):
    height, width = size
    picture = tf.constant(photographs["astronaut"][None, :height, :width] / np.float32(255))
    side, halo = 64, 48
    sums = 0.0
    for top in range(0, height, side):
        for left in range(0, width, side):
            above, before = max(0, top - halo), max(0, left - halo)
            box = (top - above, left - before, min(side, height - top), min(side, width - left))
            tile = picture[:, above : top + side + halo, before : left + side + halo]
            sums = sums + region_sums(tile, box, (top, left), size).numpy().astype(np.float64)
    found = statistics_of_sums(sums, region_positions(height, width))
    # The kurtosis of a map that is nearly flat has the fewest digits.
    np.testing.assert_allclose(found, image_statistics(picture), atol=5e-3)


@pytest.fixture
def regions(photographs):
    """A measure of each of the 8 x 8 regions of a photograph, and its ten summaries."""
    picture = photographs["chelsea"]
    luma = halved(luma_of(picture), 2)
    rows, columns = (np.arange(side) * 8 // side for side in luma.shape)
    return picture, np.array(
        [[luma[np.ix_(rows == r, columns == c)].mean() for c in range(8)] for r in range(8)]
    )


def test_regions_are_fixed_shares_of_the_picture(regions):
    picture, means = regions
    found = named(picture)
    means = means - 0.5
    ordered = np.sort(means.ravel())
    expected = {
        "least": ordered[0],
        "10 %": ordered[6],
        "25 %": ordered[16],
        "50 %": ordered[32],
        "75 %": ordered[47],
        "90 %": ordered[57],
        "most": ordered[63],
        "deviation": means.std(),
        "centre less mean": means[2:6, 2:6].mean() - means.mean(),
        "top less bottom": means[:4].mean() - means[4:].mean(),
    }
    for summary, value in expected.items():
        name = f"{summary} over regions of mean of luma at 1/4"
        assert found[name] == pytest.approx(value, abs=1e-4), summary


def test_what_stands_where_is_seen():
    picture = np.full((128, 128, 3), 100, np.uint8)
    rng = np.random.default_rng(0)
    picture[32:96, 32:96] = rng.integers(50, 150, (64, 64, 1))
    name = "centre less mean over regions of log detail of luma at 1/1"
    assert named(picture)[name] > 1
    assert named(np.roll(picture, 64, axis=(0, 1)))[name] < -1  # moved to the corners


def test_graph_and_eager_agree(photographs):
    picture = photographs["chelsea"]
    compiled = tf.function(
        image_statistics, input_signature=[tf.TensorSpec([None] * 2 + [3], tf.uint8)]
    )
    np.testing.assert_allclose(compiled(picture), image_statistics(picture), atol=1e-4)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((48, 48, 1), np.uint8), "must have 3 channel"),
        (np.zeros((48, 48), np.uint8), "must have shape"),
        (np.zeros((47, 48, 3), np.uint8), "smallest image accepted is 48 x 48"),
        (np.zeros((48, 48, 3), np.int32), "uint8 in 0..255 or floating-point in 0..1, not int32"),
        (np.full((48, 48, 3), 2.0), "must lie in 0..1"),
        (np.full((48, 48, 3), np.nan), "NaN"),
    ],
)
def test_bad_pictures_are_refused(picture, message):
    with pytest.raises(ValueError, match=message):
        image_statistics(picture)
