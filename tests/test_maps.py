"""Error maps, reliability maps, their reduction and the two hand-crafted features."""

import numpy as np
import pytest
import tensorflow as tf

from diqa_utils.maps import (
    DEFAULT_ALPHA,
    DEFAULT_EXPONENT,
    average_reliability_map,
    downscale,
    error_map,
    hand_crafted_features,
    reliability_map,
)
from diqa_utils.preprocessing import low_frequency, normalize, to_gray

MAPS = [
    pytest.param(lambda image: error_map(image[..., ::-1, :], image), id="error_map"),
    pytest.param(reliability_map, id="reliability_map"),
    pytest.param(average_reliability_map, id="average_reliability_map"),
    pytest.param(downscale, id="downscale"),
]
FUNCTIONS = [
    *MAPS,
    pytest.param(lambda image: hand_crafted_features(tf.abs(image)), id="hand_crafted_features"),
]


def residual(rng, *shape):
    return rng.uniform(-1, 1, (*shape, 1)).astype(np.float32)


# Error map


@pytest.mark.parametrize("exponent", [DEFAULT_EXPONENT, 0.5, 1, 2.0])
def test_error_map_is_the_power_of_the_absolute_difference(exponent, rng):
    reference, distorted = residual(rng, 50, 53), residual(rng, 50, 53)
    expected = np.abs(reference.astype(np.float64) - distorted) ** exponent
    result = error_map(reference, distorted, exponent=exponent)
    np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_error_map_of_an_image_with_itself_is_zero(rng):
    normalized = residual(rng, 48, 50)
    assert not np.any(error_map(normalized, normalized))


@pytest.mark.parametrize("shift", [1, 20, 100])
def test_error_map_does_not_show_the_rounding_of_float32(shift, rng):
    # Both have the same residual, but not to the last bit, and (1e-7) ** 0.2 is 0.04.
    image = rng.integers(0, 150, (50, 60, 3), dtype=np.uint8)
    assert not np.any(error_map(normalize(image), normalize(image + np.uint8(shift))))


def test_error_map_shows_the_smallest_visible_difference():
    reference = np.full((48, 48, 3), 100, np.uint8)
    distorted = reference.copy()
    distorted[24, 24] += 1
    errors = error_map(normalize(reference), normalize(distorted)).numpy()[..., 0]
    assert np.unravel_index(errors.argmax(), errors.shape) == (24, 24)
    assert errors.max() > 0.3


@pytest.mark.parametrize("exponent", [0.2, 0.5, 1.0, 2.0])
def test_gradient_of_the_error_map_is_finite_where_the_images_agree(exponent):
    reference = tf.zeros((48, 48, 1))
    distorted = tf.tensor_scatter_nd_update(reference, [[5, 6, 0]], [0.5])
    with tf.GradientTape() as tape:
        tape.watch(distorted)
        total = tf.reduce_sum(error_map(reference, distorted, exponent=exponent))
    gradient = tape.gradient(total, distorted).numpy()
    expected = np.zeros((48, 48, 1))
    expected[5, 6] = exponent * 0.5 ** (exponent - 1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


# Reliability


@pytest.mark.parametrize("alpha", [0, 0.2, 1, DEFAULT_ALPHA])
def test_reliability_map_is_the_papers_formula(alpha, rng):
    normalized = residual(rng, 49, 50)
    expected = 2 / (1 + np.exp(-alpha * np.abs(normalized.astype(np.float64)))) - 1
    result = reliability_map(normalized, alpha=alpha).numpy()
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert result.min() >= 0
    assert result.max() <= 1


def test_reliability_keeps_its_digits_near_zero():
    tiny = np.full((48, 48, 1), 1e-6, np.float32)
    np.testing.assert_allclose(reliability_map(tiny, alpha=1), tiny / 2, rtol=1e-5)


def test_average_reliability_is_reliability_over_its_mean(rng):
    normalized = residual(rng, 2, 50, 51) * np.array([0.05, 0.5])[:, None, None, None]
    reliability = 2 / (1 + np.exp(-51 * np.abs(normalized.astype(np.float64)))) - 1
    expected = reliability / reliability.mean(axis=(1, 2, 3), keepdims=True)
    averaged = average_reliability_map(normalized, alpha=51)
    np.testing.assert_allclose(averaged, expected, atol=2e-3)


@pytest.mark.parametrize("level", [0, 1, 37, 128, 200, 255])
def test_a_flat_image_gives_finite_maps(level):
    normalized = normalize(np.full((50, 54, 3), level, np.uint8))
    np.testing.assert_allclose(reliability_map(normalized), np.zeros((50, 54, 1)), atol=1e-4)
    averaged = average_reliability_map(normalized)
    np.testing.assert_allclose(averaged, np.ones((50, 54, 1)), atol=0.05)
    assert not np.any(error_map(normalized, normalize(np.full((50, 54, 3), 9, np.uint8))))


def test_average_reliability_is_one_where_alpha_is_zero(rng):
    averaged = average_reliability_map(residual(rng, 48, 48), alpha=0)
    np.testing.assert_allclose(averaged, np.ones((48, 48, 1)), atol=1e-6)


# Reduction to the network's scale


@pytest.mark.parametrize("size", [(48, 48), (49, 50), (51, 52), (64, 55)])
def test_downscale_averages_blocks_of_four_from_the_first_pixel(size, rng):
    values = rng.random((*size, 1)).astype(np.float32)
    rows, columns = (-(-side // 4) for side in size)
    expected = [
        [values[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean() for j in range(columns)]
        for i in range(rows)
    ]
    np.testing.assert_allclose(downscale(values)[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("missing", range(4))
def test_downscale_keeps_a_flat_map_flat(missing):
    result = downscale(np.full((52 - missing, 48 + missing, 1), 0.7))
    np.testing.assert_allclose(result, np.full((13, 12 + (missing > 0), 1), 0.7), rtol=1e-6)


# Hand-crafted features


@pytest.mark.parametrize("alpha", [5.0, DEFAULT_ALPHA])
def test_hand_crafted_features_are_mean_reliability_and_contrast_of_the_low_band(alpha, rng):
    images = rng.integers(0, 256, (2, 50, 57, 3), dtype=np.uint8)
    residuals = normalize(images).numpy().astype(np.float64)
    mean_reliability = (2 / (1 + np.exp(-alpha * np.abs(residuals))) - 1).mean(axis=(1, 2, 3))
    contrast = low_frequency(to_gray(images)).numpy().std(axis=(1, 2, 3))
    result = hand_crafted_features(images, alpha=alpha)
    np.testing.assert_allclose(result, np.stack([mean_reliability, contrast], 1), atol=1e-5)


def test_hand_crafted_features_of_a_flat_image_are_zero():
    features = hand_crafted_features(np.full((48, 48, 3), 77, np.uint8))
    np.testing.assert_allclose(features, [0, 0], atol=1e-4)


# Ranks, kinds of input, graph mode


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("size", [(48, 48), (49, 50), (51, 54)])
def test_a_batch_gives_what_its_images_give(function, size, rng):
    contrasts = np.array([1, 0.1, 0.01], np.float32)[:, None, None, None]
    images = residual(rng, 3, *size) * contrasts
    together = function(images)
    apart = [function(image) for image in images]
    assert together.shape[0] == 3
    assert together.shape[1:] == apart[0].shape
    np.testing.assert_allclose(together, np.stack(apart), atol=1e-5)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("batch_axis", [(), (None,)])
@pytest.mark.parametrize("size", [(48, 48), (51, 54)])
def test_graph_mode_with_unknown_sizes_gives_the_same(function, batch_axis, size, rng):
    signature = tf.TensorSpec((*batch_axis, None, None, 1), tf.float32)
    traced = tf.function(function, input_signature=[signature])
    image = residual(rng, *(2 for _ in batch_axis), *size)
    np.testing.assert_allclose(traced(image), function(image), atol=1e-5)


def test_downscale_knows_its_size_when_traced():
    concrete = tf.function(downscale).get_concrete_function(tf.TensorSpec((2, 50, 53, 1)))
    assert concrete.structured_outputs.shape == (2, 13, 14, 1)


# Bad input


@pytest.mark.parametrize("function", MAPS)
@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((50, 50, 3)), "1 channel.* not 3"),
        (np.zeros((50, 47, 1)), "50 x 47 pixels; the smallest image accepted is 48 x 48"),
        (np.zeros((50, 50, 1), np.uint8), "must be floating-point, not uint8"),
    ],
)
def test_bad_images_are_refused(function, image, words):
    with pytest.raises(ValueError, match=words):
        function(image)


def test_error_map_names_both_shapes():
    words = r"reference and distorted .* \(1, 50, 50, 1\) and \(1, 50, 52, 1\)"
    with pytest.raises(ValueError, match=words):
        error_map(np.zeros((50, 50, 1)), np.zeros((50, 52, 1)))


@pytest.mark.parametrize(
    ("function", "setting", "words"),
    [
        (lambda image, **p: error_map(image, image, **p), {"exponent": 0}, "exponent .* greater"),
        (reliability_map, {"alpha": -1}, "alpha must be zero or more.* not -1"),
        (average_reliability_map, {"alpha": -1}, "alpha must be zero or more"),
        (hand_crafted_features, {"alpha": -1}, "alpha must be zero or more"),
    ],
)
def test_settings_out_of_range_are_refused(function, setting, words):
    with pytest.raises(ValueError, match=words):
        function(np.zeros((48, 48, 1)), **setting)
