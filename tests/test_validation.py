"""The checks that all modules share."""

import numpy as np
import pytest
import tensorflow as tf

from diqa_utils._internal import checks as validation


def image(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


# as_batch and like


@pytest.mark.parametrize("make", [np.asarray, tf.constant, np.ndarray.tolist])
def test_as_batch_adds_the_batch_axis_and_like_removes_it(make):
    single = make(image(50, 60, 1))
    batch = validation.as_batch(single, name="image")
    assert batch.shape == (1, 50, 60, 1)
    assert validation.like(batch, single).shape == (50, 60, 1)


def test_as_batch_and_like_leave_a_batch_as_it_is():
    several = image(3, 50, 60, 1)
    batch = validation.as_batch(several, name="image")
    assert batch.shape == (3, 50, 60, 1)
    assert validation.like(batch, several) is batch


def test_as_batch_accepts_a_batch_of_nothing():
    assert validation.as_batch(image(0, 50, 60, 1), name="image").shape == (0, 50, 60, 1)


def test_as_batch_accepts_the_smallest_image():
    assert validation.as_batch(image(48, 48, 1), name="image").shape == (1, 48, 48, 1)


@pytest.mark.parametrize(
    ("shape", "channels", "words"),
    [
        ((50, 60), (1,), r"picture must have shape \(H, W, C\) or \(N, H, W, C\), not \(50, 60\)"),
        ((1, 1, 50, 60, 1), (1,), r"picture must have shape .* not \(1, 1, 50, 60, 1\)"),
        ((), (1,), r"picture must have shape .* not \(\)"),
        ((50, 60, 3), (1,), r"picture must have 1 channel.* not 3 \(shape \(50, 60, 3\)\)"),
        ((50, 60, 4), (1, 3), r"picture must have 1 or 3 channel.* not 4"),
        ((47, 60, 1), (1,), r"picture is 47 x 60 pixels; .* 48 x 48"),
        ((2, 60, 47, 1), (1,), r"picture is 60 x 47 pixels; .* 48 x 48"),
    ],
)
def test_as_batch_says_what_is_wrong_with_a_shape(shape, channels, words):
    with pytest.raises(ValueError, match=words):
        validation.as_batch(image(*shape), name="picture", channels=channels)


def test_as_batch_refuses_a_tensor_of_unknown_rank():
    @tf.function(input_signature=[tf.TensorSpec(None)])
    def traced(values):
        return validation.as_batch(values, name="picture")

    with pytest.raises(ValueError, match=r"picture must have shape .* not unknown"):
        traced(image(50, 60, 1))


# Dtypes and values


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_as_float_gives_float32(dtype):
    assert validation.as_float(image(2, 2, dtype=dtype), name="map").dtype == tf.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.bool_])
def test_as_float_refuses_what_is_not_floating_point(dtype):
    words = rf"map must be floating-point, not {np.dtype(dtype).name}"
    with pytest.raises(ValueError, match=words):
        validation.as_float(image(2, 2, dtype=dtype), name="map")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_as_float_refuses_values_that_are_no_numbers(value):
    with pytest.raises(ValueError, match="map holds NaN or infinite values"):
        validation.as_float(np.array([0.0, value]), name="map")


@pytest.mark.parametrize("values", [[0.0, 1.0], [-0.0005, 1.0005], []])
def test_unit_range_allows_for_the_overshoot_of_resampling(values):
    validation.check_unit_range(tf.constant(values, tf.float32), name="image")


@pytest.mark.parametrize(
    ("values", "span"), [([0.0, 255.0], r"0\.\.255"), ([-0.5, 0.5], r"-0\.5\.\.0\.5")]
)
def test_unit_range_names_the_span_it_found(values, span):
    with pytest.raises(ValueError, match=rf"image .* 0\.\.1, but they span {span}: divide by 255"):
        validation.check_unit_range(tf.constant(values), name="image")


def test_values_are_not_checked_in_graph_mode():
    @tf.function
    def traced(values):
        validation.check_unit_range(values, name="image")
        return validation.as_float(values, name="image")

    assert np.isnan(traced(tf.constant([np.nan, 300.0])).numpy()[0])


# Pairs of shapes


@pytest.mark.parametrize(
    ("first", "second"), [((2, 3), (2, 4)), ((2, 3), (2, 3, 1)), ((1, 3), (2, 3))]
)
def test_different_shapes_are_refused_by_name(first, second):
    with pytest.raises(ValueError, match="left and right must have the same shape") as caught:
        validation.check_same_shape(tf.zeros(first), tf.zeros(second), names=("left", "right"))
    assert f"{first} and {second}" in str(caught.value)


def test_sizes_unknown_when_traced_are_compared_when_run():
    @tf.function(input_signature=[tf.TensorSpec((None, 3))] * 2, autograph=False)
    def traced(first, second):
        validation.check_same_shape(first, second, names=("left", "right"))
        return tf.shape(first)

    assert traced(tf.zeros((2, 3)), tf.zeros((2, 3))).numpy().tolist() == [2, 3]
    with pytest.raises(tf.errors.InvalidArgumentError, match="left and right differ in shape"):
        traced(tf.zeros((2, 3)), tf.zeros((4, 3)))


# Settings


@pytest.mark.parametrize(("value", "zero_allowed"), [(0.2, False), (0, True), (51.0, True)])
def test_settings_in_range_pass(value, zero_allowed):
    assert validation.check_not_negative(value, name="p", zero_allowed=zero_allowed) is None


@pytest.mark.parametrize(
    ("value", "zero_allowed", "words"),
    [
        (-1, True, "p must be zero or more and finite, not -1"),
        (0, False, "p must be greater than zero and finite, not 0"),
        (float("nan"), True, "not nan"),
        (float("inf"), True, "not inf"),
    ],
)
def test_settings_out_of_range_are_refused(value, zero_allowed, words):
    with pytest.raises(ValueError, match=words):
        validation.check_not_negative(value, name="p", zero_allowed=zero_allowed)
