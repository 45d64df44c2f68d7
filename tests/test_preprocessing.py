"""Grey levels, the low-frequency band and the normalised image."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from diqa_utils.preprocessing import MINIMUM_SIZE, low_frequency, normalize, to_gray

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


def test_minimum_size_is_public():
    assert MINIMUM_SIZE == 48


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


def test_low_frequency_fits_a_photograph_best_without_a_shift(photographs):
    gray = to_gray(photographs["coffee"]).numpy()[..., 0]
    low = low_frequency(gray[..., None]).numpy()[..., 0]
    shifts = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    errors = {shift: np.mean((np.roll(low, shift, (0, 1)) - gray) ** 2) for shift in shifts}
    assert min(errors, key=errors.get) == (0, 0)


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


def test_low_frequency_passes_a_slow_wave():
    wave = np.cos(2 * np.pi * np.mgrid[:128, :64][0] / 64)
    low = low_frequency((0.5 + 0.5 * wave)[..., None]).numpy()[..., 0]
    assert np.ptp(low) > 0.9


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [0, 1, 37, 128, 255])
def test_normalize_makes_a_flat_image_zero_up_to_its_border(size, level):
    normalized = normalize(np.full((*size, 3), level, np.uint8)).numpy()
    assert np.all(np.isfinite(normalized))
    assert np.abs(normalized).max() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_bands_stay_in_their_ranges(seed):
    gray = np.random.default_rng(seed).integers(0, 2, (50, 63, 1)).astype(np.float32)
    low = low_frequency(gray).numpy()
    assert low.min() >= 0
    assert low.max() <= 1 + 1e-6
    assert np.abs(normalize(gray)).max() <= 1 + 1e-6


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
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_array_and_tensor_gives_a_float32_tensor(function, dtype, rng):
    image = rng.random((48, 52, 1)).astype(dtype)
    results = [function(image), function(tf.constant(image))]
    assert all(isinstance(result, tf.Tensor) for result in results)
    assert all(result.dtype == tf.float32 for result in results)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("batch_axis", [(), (None,)])
@pytest.mark.parametrize("size", SIZES)
def test_graph_mode_with_unknown_sizes_gives_the_same(function, batch_axis, size, rng):
    signature = tf.TensorSpec((*batch_axis, None, None, 1), tf.float32)
    traced = tf.function(function, input_signature=[signature])
    image = rng.random((*(2 for _ in batch_axis), *size, 1)).astype(np.float32)
    np.testing.assert_allclose(traced(image), function(image), atol=1e-6)


@pytest.mark.parametrize("function", [to_gray, normalize])
def test_graph_mode_takes_uint8_colour(function, rng):
    traced = tf.function(function, input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    images = rng.integers(0, 256, (2, 51, 62, 3), dtype=np.uint8)
    np.testing.assert_allclose(traced(images), function(images), atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_sizes_known_when_traced_stay_known(function):
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec((51, 62, 1), tf.float32))
    assert concrete.structured_outputs.shape == (51, 62, 1)


def test_normalize_has_a_finite_gradient(rng):
    image = tf.constant(rng.random((48, 48, 1)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(image)
        energy = tf.reduce_sum(normalize(image) ** 2)
    gradient = tape.gradient(energy, image).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.abs(gradient).max() > 0


# Bad input


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((50, 50)), r"must have shape \(H, W, C\) or \(N, H, W, C\), not \(50, 50\)"),
        (np.zeros((50, 50, 2)), "channel.* not 2"),
        (np.zeros((50, 50, 4), np.uint8), "channel.* not 4"),
        (np.zeros((47, 50, 1)), "47 x 50 pixels; the smallest image accepted is 48 x 48"),
        (np.zeros((50, 50, 1), np.int32), "not int32"),
        (np.zeros((50, 50, 1), np.uint16), "not uint16"),
        (np.full((50, 50, 1), 255.0), r"0\.\.1, but they span 255\.\.255: divide by 255"),
        (np.full((50, 50, 1), -0.5), r"span -0\.5"),
        (np.full((50, 50, 1), np.nan), "NaN"),
        (np.full((50, 50, 1), np.inf), "infinite"),
    ],
)
def test_bad_images_are_refused(function, image, words):
    with pytest.raises(ValueError, match=words):
        function(image)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((50, 50, 3)), "gray must have 1 channel.* not 3"),
        (np.zeros((50, 50, 1), np.uint8), r"gray must be floating-point, not uint8.*to_gray\(\)"),
    ],
)
def test_low_frequency_wants_gray_levels(image, words):
    with pytest.raises(ValueError, match=words):
        low_frequency(image)
