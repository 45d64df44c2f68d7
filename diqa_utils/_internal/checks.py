"""Checks on what users pass in, so that the body of a function can be its formula alone.

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

from diqa_utils._internal import arrays

Parameters = ParamSpec("Parameters")


def takes_images(
    *,
    pixels: bool = False,
    unit_range: bool = False,
    positive: str | None = None,
    not_negative: str | None = None,
) -> Callable[[Callable[Parameters, tf.Tensor]], Callable[Parameters, tf.Tensor]]:
    """Decorates a function of images, which come first, and of settings, which are keyword-only.

    Whoever calls the function may pass arrays or tensors, one image (H, W, C) or a batch
    (N, H, W, C). The function gets batches of tensors and returns a batch; the caller gets back the
    rank that came in. Anything else is a ValueError, and so are images that differ in shape.

    Args:
        pixels: Whether images have one or three channels and are uint8 or floating-point in 0..1.
            The function gets them as they are. Otherwise they have one channel, are floating-point,
            and the function gets them as float32.
        unit_range: Whether the values must lie in 0..1 even if they are no pixels.
        positive: Name of a setting that must be greater than zero.
        not_negative: Name of a setting that must be zero or more.
    """

    def checked_batch(image: Any, name: str) -> tf.Tensor:
        batch = as_batch(image, name=name, channels=(1, 3) if pixels else (1,))
        if pixels:
            check_pixels(batch, name=name)
            return batch
        if not batch.dtype.is_floating:
            raise ValueError(
                f"{name} must be floating-point, not {batch.dtype.name}: convert it first, with "
                "to_gray() or normalize()."
            )
        check_finite(batch, name=name)
        if unit_range:
            check_unit_range(batch, name=name)
        return tf.cast(batch, tf.float32)

    def decorate(function: Callable[Parameters, tf.Tensor]) -> Callable[Parameters, tf.Tensor]:
        signature = inspect.signature(function)

        @tf.autograph.experimental.do_not_convert
        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> tf.Tensor:
            bound = signature.bind(*args, **kwargs)
            for name, value in bound.kwargs.items():
                if name in (positive, not_negative):
                    check_setting(value, name=name, zero_allowed=name == not_negative)
            images = dict(zip(signature.parameters, bound.args, strict=False))
            batches = {name: checked_batch(image, name) for name, image in images.items()}
            check_same_shape(batches)
            return like(function(*batches.values(), **bound.kwargs), bound.args[0])

        return checked

    return decorate


def takes_maps(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Decorates a function of maps of one shape.

    The function gets float32 tensors. Maps that differ in shape, which broadcasting would turn into
    a wrong number, are a ValueError, and so is NaN.
    """
    signature = inspect.signature(function)

    @tf.autograph.experimental.do_not_convert
    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> tf.Tensor:
        arguments = signature.bind(*args, **kwargs).arguments
        maps = {name: tf.cast(values, tf.float32) for name, values in arguments.items()}
        for name, values in maps.items():
            check_finite(values, name=name)
        check_same_shape(maps)
        return function(**maps)

    return checked


def as_batch(image: Any, *, name: str, channels: tuple[int, ...]) -> tf.Tensor:
    """Returns `image` as a rank-4 tensor (N, H, W, C), adding the batch axis where it is missing.

    Raises:
        ValueError: If the rank is not 3 or 4, the number of channels is not one of `channels`,
            or a side of known length is shorter than 48 pixels.
    """
    tensor = tf.convert_to_tensor(image)
    arrays.check_shape(as_tuple(tensor.shape), name=name, channels=channels)
    return tensor if tensor.shape.rank == 4 else tensor[tf.newaxis]


def like(batch: tf.Tensor, image: Any) -> tf.Tensor:
    """Gives `batch` (N, H, W, C) the rank that `image` came with."""
    return batch if np.ndim(image) == 4 else batch[0]


def to_unit_range(batch: tf.Tensor, *, name: str) -> tf.Tensor:
    """Returns images that pass `check_pixels` as float32 in 0..1."""
    check_pixels(batch, name=name)
    return scaled(batch)


def scaled(batch: tf.Tensor) -> tf.Tensor:
    """Returns images that have passed `check_pixels` as float32 in 0..1."""
    values = tf.cast(batch, tf.float32)
    return values / 255.0 if batch.dtype == tf.uint8 else values


def check_pixels(batch: tf.Tensor, *, name: str) -> None:
    """Raises ValueError if images are neither uint8 nor floating-point in 0..1, or one is NaN."""
    if batch.dtype == tf.uint8:
        return
    if not batch.dtype.is_floating:
        raise arrays.not_pixels(name, batch.dtype.name)
    check_finite(batch, name=name)
    check_unit_range(batch, name=name)


def check_finite(tensor: tf.Tensor, *, name: str) -> None:
    """Raises ValueError if an eager `tensor` holds NaN or infinity."""
    if tf.executing_eagerly():
        arrays.check_finite(tensor.numpy(), name=name)


def check_unit_range(tensor: tf.Tensor, *, name: str) -> None:
    """Raises ValueError if an eager floating-point `tensor` leaves 0..1."""
    if tf.executing_eagerly():
        arrays.check_unit_range(tensor.numpy(), name=name)


def check_same_shape(tensors: dict[str, tf.Tensor]) -> None:
    """Checks that tensors, given by their names, have one shape.

    Raises:
        ValueError: If known sizes differ.
        tf.errors.InvalidArgumentError: When a graph runs, if sizes that it did not know differ.
    """
    (first_name, first), *others = tensors.items()
    for name, tensor in others:
        if not first.shape.is_compatible_with(tensor.shape):
            raise ValueError(
                f"{first_name} and {name} must have the same shape, not {as_tuple(first.shape)} "
                f"and {as_tuple(tensor.shape)}."
            )
        if not (first.shape.is_fully_defined() and tensor.shape.is_fully_defined()):
            message = f"{first_name} and {name} differ in shape."
            tf.debugging.assert_equal(tf.shape(first), tf.shape(tensor), message)


def check_setting(value: float, *, name: str, zero_allowed: bool) -> None:
    """Raises ValueError if a setting is negative, infinite, or zero where that has no meaning."""
    if not (0 < value < math.inf or (zero_allowed and value == 0)):
        wanted = "zero or more" if zero_allowed else "greater than zero"
        raise ValueError(f"{name} must be {wanted} and finite, not {value}.")


def as_tuple(shape: tf.TensorShape) -> tuple[int | None, ...] | str:
    """Returns a shape as a plain tuple, for messages."""
    return "unknown" if shape.rank is None else tuple(shape)
