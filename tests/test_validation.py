"""The decorators that check what users pass in, on functions made up for them."""

import numpy as np
import pytest
import tensorflow as tf

from diqa_utils._internal.checks import takes_images, takes_maps

CALLS = []


@takes_images(positive="factor", not_negative="offset")
def blend(first, second, *, factor=2.0, offset=0.0):
    CALLS[:] = [first, second]
    return first * factor + second + offset


@takes_images(unit_range=True)
def brighten(gray):
    return gray + 1.0


@takes_images(pixels=True)
def identity(picture):
    return picture


@takes_maps
def product(left, right):
    return tf.reduce_sum(left * right)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


# Images


@pytest.mark.parametrize("shape", [(48, 60, 1), (1, 48, 60, 1), (3, 50, 48, 1), (0, 48, 48, 1)])
@pytest.mark.parametrize("convert", [np.asarray, tf.constant])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_function_gets_float32_batches_and_gives_back_the_rank(shape, convert, dtype):
    first = np.random.default_rng(0).random(shape).astype(dtype)
    result = blend(convert(first), second=convert(np.ones(shape, dtype)), factor=3)
    assert isinstance(result, tf.Tensor)
    assert result.shape == shape
    np.testing.assert_allclose(result, first.astype(np.float32) * 3 + 1, rtol=1e-6)
    assert all(batch.shape == shape[-4:] or batch.shape == (1, *shape) for batch in CALLS)
    assert {batch.dtype for batch in CALLS} == {tf.float32}


def test_nested_lists_are_images_too():
    assert brighten(zeros(48, 48, 1).tolist()).shape == (48, 48, 1)


def test_a_graph_does_not_look_at_values():
    traced = tf.function(brighten, input_signature=[tf.TensorSpec((48, 48, 1))])
    assert np.isnan(traced(np.full((48, 48, 1), np.nan))).all()
    assert np.all(traced(np.full((48, 48, 1), 255.0)) == 256)


def test_the_rank_must_be_known_in_a_graph():
    traced = tf.function(brighten, input_signature=[tf.TensorSpec(None)])
    with pytest.raises(ValueError, match=r"gray must have shape \(H, W, C\) .*, not unknown"):
        traced(zeros(48, 48, 1))


SHAPES = r"must have shape \(H, W, C\) or \(N, H, W, C\), not"


@pytest.mark.parametrize(
    ("function", "image", "words"),
    [
        (brighten, zeros(), rf"gray {SHAPES} \(\)\."),
        (brighten, zeros(50, 60), rf"gray {SHAPES} \(50, 60\)\."),
        (brighten, zeros(1, 1, 50, 60, 1), rf"gray {SHAPES} \(1, 1, 50, 60, 1\)\."),
        (brighten, zeros(50, 60, 3), r"gray must have 1 channel.* not 3 \(shape \(50, 60, 3\)\)\."),
        (identity, zeros(50, 60, 4), r"picture must have 1 or 3 channel.* not 4 "),
        (brighten, zeros(47, 60, 1), r"gray is 47 x 60 pixels; .* accepted is 48 x 48\."),
        (brighten, zeros(2, 60, 47, 1), "gray is 60 x 47 pixels"),
        (brighten, zeros(48, 48, 1, dtype=np.uint8), r"gray .* floating-point, not uint8: .*gray"),
        (identity, zeros(48, 48, 1, dtype=np.int32), r"picture must be uint8 .*, not int32\."),
        (identity, zeros(48, 48, 3, dtype=bool), r"picture must be uint8 .*, not bool\."),
        (brighten, zeros(48, 48, 1) + 255, r"0\.\.1, but they span 255\.\.255: divide by 255"),
        (brighten, zeros(48, 48, 1) - 0.5, r"gray .* they span -0\.5\.\.-0\.5"),
        (identity, zeros(48, 48, 3) + 2, r"picture .* they span 2\.\.2"),
        (brighten, zeros(48, 48, 1) + np.nan, "gray holds NaN or infinite values"),
        (brighten, zeros(48, 48, 1) - np.inf, "gray holds NaN or infinite values"),
        (identity, zeros(48, 48, 3) + np.inf, "picture holds NaN or infinite values"),
    ],
)
def test_images_are_refused_in_one_sentence(function, image, words):
    with pytest.raises(ValueError, match=words) as info:
        function(image)
    assert "\n" not in str(info.value)


def test_resampling_may_overshoot_a_little():
    np.testing.assert_allclose(brighten(zeros(48, 48, 1) - 0.0005), 0.9995)
    np.testing.assert_allclose(brighten(zeros(48, 48, 1) + 1.0005), 2.0005)


# One shape


@pytest.mark.parametrize(
    ("function", "shapes", "words"),
    [
        (blend, [(50, 48, 1), (50, 52, 1)], r"first and second .*\(1, 50, 48, 1\) and \(1, 50, 52"),
        (blend, [(48, 48, 1), (2, 48, 48, 1)], r"first and second must have the same shape"),
        (product, [(2, 3), (2, 4)], r"left and right .* not \(2, 3\) and \(2, 4\)\."),
        (product, [(1, 3), (2, 3)], "left and right must have the same shape"),
        (product, [(2, 3), (2, 3, 1)], "left and right must have the same shape"),
    ],
)
def test_shapes_that_differ_are_refused(function, shapes, words):
    with pytest.raises(ValueError, match=words):
        function(*(zeros(*shape) for shape in shapes))


@pytest.mark.parametrize("function", [blend, product])
def test_sizes_unknown_when_traced_are_compared_when_run(function):
    signature = [tf.TensorSpec((None, None, None, 1))] * 2
    traced = tf.function(function, input_signature=signature, autograph=False)
    traced(zeros(2, 50, 48, 1), zeros(2, 50, 48, 1))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\w+ and \w+ differ in shape"):
        traced(zeros(1, 50, 48, 1), zeros(2, 50, 48, 1))


# Maps


@pytest.mark.parametrize("dtype", [np.int32, np.float16, np.float64])
def test_maps_of_any_size_come_as_float32(dtype):
    result = product(np.full((2, 3), 2, dtype), right=tf.fill((2, 3), 0.5))
    assert result.dtype == tf.float32
    assert float(result) == 6


def test_maps_are_refused_by_name_where_they_hold_nan():
    with pytest.raises(ValueError, match="right holds NaN or infinite values"):
        product(zeros(2, 3), right=zeros(2, 3) + np.nan)
