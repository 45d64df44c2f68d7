"""Grey levels, the low-frequency band and the normalised image."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from diqa_utils.preprocessing import low_frequency, normalize, to_gray

FUNCTIONS = [to_gray, low_frequency, normalize]
SIZES = [(48, 48), (49, 50), (51, 61), (64, 80)]
KERNEL = np.array([1, 4, 6, 4, 1]) / 16


def reference_low_frequency(gray):
    """The pyramid in NumPy and SciPy, float64, on an image that is mirrored far enough."""
    margin = 24
    low = np.pad(gray.astype(np.float64), margin, mode="reflect")
    for _ in range(2):
        for axis in (0, 1):
            low = ndimage.correlate1d(low, KERNEL, axis=axis)
        low = low[::2, ::2]
    for _ in range(2):
        finer = np.zeros(2 * np.array(low.shape))
        finer[::2, ::2] = low
        for axis in (0, 1):
            finer = ndimage.correlate1d(finer, 2 * KERNEL, axis=axis)
        low = finer
    return low[margin : margin + gray.shape[0], margin : margin + gray.shape[1]]


# To grey


@pytest.mark.parametrize(
    ("color", "gray"),
    [
        ((255, 0, 0), 0.299),
        ((0, 255, 0), 0.587),
        ((0, 0, 255), 0.114),
        ((255, 255, 255), 1.0),
        ((0, 0, 0), 0.0),
        ((51, 102, 204), 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8),
    ],
)
def test_to_gray_weighs_the_channels_as_bt601(color, gray):
    image = np.full((48, 48, 3), color, np.uint8)
    np.testing.assert_allclose(to_gray(image), np.full((48, 48, 1), gray), atol=1e-6)


def test_to_gray_keeps_the_values_of_one_channel(rng):
    image = rng.integers(0, 256, (50, 60, 1), dtype=np.uint8)
    np.testing.assert_allclose(to_gray(image), image / 255, atol=1e-7)


@pytest.mark.parametrize("function", [to_gray, normalize])
def test_uint8_and_float_pictures_give_the_same(function, rng):
    image = rng.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    np.testing.assert_allclose(function(image), function(image / 255), atol=1e-6)


# The low-frequency band


@pytest.mark.parametrize("size", SIZES)
def test_low_frequency_equals_the_pyramid_in_scipy(size, rng):
    gray = rng.random(size).astype(np.float32)
    expected = reference_low_frequency(gray)
    np.testing.assert_allclose(low_frequency(gray[..., None])[..., 0], expected, atol=1e-6)


def test_normalize_is_gray_minus_low_frequency(rng):
    image = rng.integers(0, 256, (53, 60, 3), dtype=np.uint8)
    gray = image @ np.array([0.299, 0.587, 0.114]) / 255
    expected = gray - reference_low_frequency(gray)
    np.testing.assert_allclose(normalize(image)[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("row", range(24, 28))
@pytest.mark.parametrize("column", range(28, 32))
def test_low_frequency_does_not_shift_an_impulse(row, column):
    gray = np.zeros((56, 60, 1), np.float32)
    gray[row, column] = 1
    low = low_frequency(gray).numpy()[..., 0]
    np.testing.assert_allclose(ndimage.center_of_mass(low), (row, column), atol=1e-4)


@pytest.mark.parametrize("slope", [(1, 0), (0, 1), (1, 2), (-1, 1)])
def test_low_frequency_passes_a_linear_ramp(slope):
    rows, columns = np.mgrid[:64, :72] / 512
    gray = (0.5 + slope[0] * rows + slope[1] * columns)[..., None]
    inside = np.s_[12:-12, 12:-12]
    np.testing.assert_allclose(low_frequency(gray)[inside], gray[inside], atol=1e-6)


@pytest.mark.parametrize("period", [2, 3, 4, 5])
@pytest.mark.parametrize("axis", [0, 1])
def test_low_frequency_stops_what_a_quarter_of_the_pixels_cannot_show(period, axis):
    position = np.mgrid[:80, :80][axis]
    wave = np.cos(2 * np.pi * position / period)
    low = low_frequency((0.5 + 0.5 * wave)[..., None]).numpy()[16:-16, 16:-16, 0]
    assert np.ptp(low) / 2 < 0.05 * 0.5  # the tutorial's kernel lets 31 % of period 5 through


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [0, 1, 37, 128, 255])
def test_normalize_makes_a_flat_image_zero_up_to_its_border(size, level):
    normalized = normalize(np.full((*size, 3), level, np.uint8)).numpy()
    assert np.all(np.isfinite(normalized))
    assert np.abs(normalized).max() < 1e-6


# Ranks, kinds of input, graph mode


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_a_batch_gives_what_its_images_give(function, size, rng):
    # Very different contrasts: a statistic over the batch would show.
    images = rng.random((3, *size, 1)) * np.array([1, 0.1, 0.01])[:, None, None, None]
    together = function(images)
    assert together.shape == (3, *size, 1)
    apart = [function(image) for image in images]
    assert apart[0].shape == (*size, 1)
    np.testing.assert_allclose(together, np.stack(apart), atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("batch_axis", [(), (None,)])
@pytest.mark.parametrize("size", SIZES)
def test_graph_mode_with_unknown_sizes_gives_the_same(function, batch_axis, size, rng):
    signature = tf.TensorSpec((*batch_axis, None, None, 1), tf.float32)
    traced = tf.function(function, input_signature=[signature])
    image = rng.random((*(2 for _ in batch_axis), *size, 1)).astype(np.float32)
    np.testing.assert_allclose(traced(image), function(image), atol=1e-6)


def test_normalize_has_a_finite_gradient(rng):
    image = tf.constant(rng.random((48, 48, 1)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(image)
        energy = tf.reduce_sum(normalize(image) ** 2)
    gradient = tape.gradient(energy, image).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.abs(gradient).max() > 0


# Bad input


@pytest.mark.parametrize(
    ("function", "image", "words"),
    [
        (to_gray, np.zeros((50, 50, 4), np.uint8), "image must have 1 or 3 channel.* not 4"),
        (to_gray, np.full((50, 50, 1), np.nan), "image holds NaN"),
        (normalize, np.zeros((50, 50, 3), np.uint16), "image must be uint8 .* not uint16"),
        (normalize, np.full((50, 50, 3), 255.0), "image .* divide by 255"),
        (low_frequency, np.zeros((50, 50, 3)), "gray must have 1 channel.* not 3"),
        (low_frequency, np.zeros((50, 50, 1), np.uint8), r"gray must be float.* to_gray\(\)"),
        (low_frequency, np.full((50, 50, 1), 255.0), "gray .* divide by 255"),
        (low_frequency, np.zeros((47, 50, 1)), "gray is 47 x 50 pixels"),
    ],
)
def test_bad_images_are_refused(function, image, words):
    with pytest.raises(ValueError, match=words):
        function(image)
