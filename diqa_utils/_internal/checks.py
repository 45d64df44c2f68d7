"""Checks on what users pass in, shared by the modules that work on tensors.

Shapes and dtypes are checked always. Values (range, NaN) are checked only eagerly: inside a
`tf.function` or a `tf.data` pipeline a tensor has no values yet.
"""

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
import tensorflow as tf

Parameters = ParamSpec("Parameters")

#: Smallest height and width, in pixels, of an image that the library accepts. The receptive
#: field of the feature extractor is 45 pixels: on a smaller image every output sees padding.
MINIMUM_SIZE = 48

#: Resampling may overshoot 0..1 by a little; an image in 0..255 overshoots by much more.
RANGE_TOLERANCE = 1e-3


def takes_images(
    *,
    pixels: bool = False,
    unit_range: bool = False,
    positive: str | None = None,
    not_negative: str | None = None,
) -> Callable[[Callable[Parameters, tf.Tensor]], Callable[Parameters, tf.Tensor]]:
    """Decorates a function of images, so that its body can be the formula alone.

    The positional parameters are images, the keyword-only ones settings. Whoever calls the function
    may pass arrays or tensors, one image (H, W, C) or a batch (N, H, W, C). The function gets
    batches and returns a batch; the caller gets back the rank that came in.

    Args:
        pixels: whether images may be uint8 and have one or three channels; they are handed on as
            they are. Otherwise they have one channel and are handed on as float32.
        unit_range: whether floating-point values must lie in 0..1, as they must for pixels.
        positive: setting that must be greater than zero.
        not_negative: setting that must be zero or more.

    Returns:
        The decorator. Decorated functions raise a ValueError for anything else, or images that
        differ in shape.
    """

    def checked_batch(image: Any, name: str) -> tf.Tensor:
        batch = as_batch(image, name=name, channels=(1, 3) if pixels else (1,))
        if pixels:
            check_pixels(batch, name=name)
            return batch
        batch = as_float(batch, name=name)
        if unit_range:
            check_unit_range(batch, name=name)
        return batch

    def decorate(function: Callable[Parameters, tf.Tensor]) -> Callable[Parameters, tf.Tensor]:
        signature = inspect.signature(function)

        @tf.autograph.experimental.do_not_convert
        @wraps(function)
        def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> tf.Tensor:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            for setting, zero_allowed in ((positive, False), (not_negative, True)):
                if setting is not None:
                    value = bound.arguments[setting]
                    check_not_negative(value, name=setting, zero_allowed=zero_allowed)
            images = dict(zip(signature.parameters, bound.args, strict=False))
            batches = {name: checked_batch(image, name) for name, image in images.items()}
            check_same_shapes(batches)
            result = function(*batches.values(), **bound.kwargs)
            return like(result, next(iter(images.values())))

        return checked

    return decorate


def takes_maps(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Decorates a function of maps of one shape, so that its body can be the formula alone.

    The function gets float32 tensors. It raises a ValueError if the maps differ in shape, which
    broadcasting would turn into a wrong number, or hold NaN (checked eagerly only).
    """
    signature = inspect.signature(function)

    @tf.autograph.experimental.do_not_convert
    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> tf.Tensor:
        maps = {
            name: tf.cast(values, tf.float32)
            for name, values in signature.bind(*args, **kwargs).arguments.items()
        }
        for name, values in maps.items():
            check_finite(values, name=name)
        check_same_shapes(maps)
        return function(**maps)

    return checked


def as_batch(image: Any, *, name: str, channels: tuple[int, ...] = (1,)) -> tf.Tensor:
    """Returns `image` as a rank-4 tensor (N, H, W, C), adding the batch axis where it is missing.

    Raises:
        ValueError: if the rank is not 3 or 4, the number of channels is not one of `channels`,
            or a side of known length is shorter than `MINIMUM_SIZE`.
    """
    tensor = tf.convert_to_tensor(image)
    if tensor.shape.rank not in (3, 4):
        raise ValueError(
            f"{name} must have shape (H, W, C) or (N, H, W, C), not {tuple_of(tensor.shape)}."
        )
    if tensor.shape[-1] not in channels:
        wanted = " or ".join(str(number) for number in channels)
        raise ValueError(
            f"{name} must have {wanted} channel(s) on its last axis, not {tensor.shape[-1]} "
            f"(shape {tuple_of(tensor.shape)})."
        )
    batch = tensor if tensor.shape.rank == 4 else tensor[tf.newaxis]
    for side in batch.shape[1:3]:
        if side is not None and side < MINIMUM_SIZE:
            raise ValueError(
                f"{name} is {batch.shape[1]} x {batch.shape[2]} pixels; the smallest image "
                f"accepted is {MINIMUM_SIZE} x {MINIMUM_SIZE}."
            )
    return batch


def like(batch: tf.Tensor, image: Any) -> tf.Tensor:
    """Gives `batch` (N, H, W, C) the rank that `image` came with."""
    return batch if np.ndim(image) == 4 else batch[0]


def as_float(image: Any, *, name: str) -> tf.Tensor:
    """Returns a floating-point `image` as float32.

    Raises:
        ValueError: if the dtype is not a floating one, or a value is NaN or infinite.
    """
    tensor = tf.convert_to_tensor(image)
    if not tensor.dtype.is_floating:
        raise ValueError(
            f"{name} must be floating-point, not {tensor.dtype.name}: convert it first, with "
            "to_gray() or normalize()."
        )
    check_finite(tensor, name=name)
    return tf.cast(tensor, tf.float32)


def to_unit_range(batch: tf.Tensor, *, name: str) -> tf.Tensor:
    """Returns images as float32 in 0..1.

    Raises:
        ValueError: if they are neither uint8 nor floating-point in 0..1, or a value is NaN.
    """
    check_pixels(batch, name=name)
    return scaled(batch)


def scaled(batch: tf.Tensor) -> tf.Tensor:
    """Returns images that passed `check_pixels` as float32 in 0..1."""
    values = tf.cast(batch, tf.float32)
    return values / 255.0 if batch.dtype == tf.uint8 else values


def check_pixels(batch: tf.Tensor, *, name: str) -> None:
    """Raises ValueError if images are neither uint8 nor floating-point in 0..1, or one is NaN."""
    if batch.dtype == tf.uint8:
        return
    if not batch.dtype.is_floating:
        raise ValueError(
            f"{name} must be uint8 in 0..255 or floating-point in 0..1, not {batch.dtype.name}."
        )
    check_finite(batch, name=name)
    check_unit_range(batch, name=name)


def check_finite(tensor: tf.Tensor, *, name: str) -> None:
    """Raises ValueError if an eager `tensor` holds NaN or infinity."""
    if tf.executing_eagerly() and not bool(tf.reduce_all(tf.math.is_finite(tensor))):
        raise ValueError(f"{name} holds NaN or infinite values; every pixel must be a number.")


def check_unit_range(tensor: tf.Tensor, *, name: str) -> None:
    """Raises ValueError if an eager floating-point `tensor` leaves 0..1."""
    if not tf.executing_eagerly() or tf.size(tensor) == 0:
        return
    low, high = float(tf.reduce_min(tensor)), float(tf.reduce_max(tensor))
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        raise ValueError(
            f"{name} is floating-point, so its values must lie in 0..1, but they span "
            f"{low:.4g}..{high:.4g}: divide by 255, or pass uint8."
        )


def check_same_shape(first: tf.Tensor, second: tf.Tensor, *, names: tuple[str, str]) -> None:
    """Raises ValueError if two tensors differ in shape; sizes unknown until run are checked then.

    Raises:
        ValueError: if the shapes differ.
        tf.errors.InvalidArgumentError: in graph mode, if shapes unknown before turn out to differ.
    """
    if not first.shape.is_compatible_with(second.shape):
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same shape, not {tuple_of(first.shape)} "
            f"and {tuple_of(second.shape)}."
        )
    if not (first.shape.is_fully_defined() and second.shape.is_fully_defined()):
        tf.debugging.assert_equal(
            tf.shape(first), tf.shape(second), f"{names[0]} and {names[1]} differ in shape."
        )


def check_same_shapes(tensors: dict[str, tf.Tensor]) -> None:
    """Raises ValueError if tensors, given by their names, differ in shape."""
    (first_name, first), *others = tensors.items()
    for name, tensor in others:
        check_same_shape(first, tensor, names=(first_name, name))


def check_not_negative(value: float, *, name: str, zero_allowed: bool) -> None:
    """Raises ValueError if a setting is negative, infinite, or zero where that has no meaning."""
    if not (0 < value < math.inf or (zero_allowed and value == 0)):
        wanted = "zero or more" if zero_allowed else "greater than zero"
        raise ValueError(f"{name} must be {wanted} and finite, not {value}.")


def tuple_of(shape: tf.TensorShape) -> tuple[int | None, ...] | str:
    """Returns a shape as a plain tuple, for messages."""
    return "unknown" if shape.rank is None else tuple(shape.as_list())
