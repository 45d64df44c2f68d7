"""Checks on the shape and the values of images, for arrays of any kind, without TensorFlow."""

from typing import Any

import numpy as np

#: Smallest height and width, in pixels, of an image that the library accepts. The receptive
#: field of the feature extractor is 45 pixels: on a smaller image every output sees padding.
MINIMUM_SIZE = 48

#: The network's output has a quarter of the image's height and width.
OUTPUT_STRIDE = 4

#: Resampling may overshoot 0..1 by a little; an image in 0..255 overshoots by much more.
RANGE_TOLERANCE = 1e-3


def check_shape(shape: Any, *, name: str, channels: tuple[int, ...]) -> None:
    """Raises ValueError if a shape is not that of images.

    Args:
        shape: Tuple of sides, None where one is not known; anything else is an unknown rank.
        name: Name of the images, for messages.
        channels: Numbers of channels that are allowed.
    """
    if not isinstance(shape, tuple) or len(shape) not in (3, 4):
        raise ValueError(f"{name} must have shape (H, W, C) or (N, H, W, C), not {shape}.")
    height, width, depth = shape[-3:]
    if depth not in channels:
        wanted = " or ".join(map(str, channels))
        raise ValueError(
            f"{name} must have {wanted} channel(s) on its last axis, not {depth} (shape {shape})."
        )
    if any(side is not None and side < MINIMUM_SIZE for side in (height, width)):
        raise ValueError(
            f"{name} is {height} x {width} pixels; the smallest image accepted is "
            f"{MINIMUM_SIZE} x {MINIMUM_SIZE}."
        )


def check_finite(values: np.ndarray, *, name: str) -> None:
    """Raises ValueError if floating-point values hold NaN or infinity."""
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinite values; every pixel must be a number.")


def check_unit_range(values: np.ndarray, *, name: str) -> None:
    """Raises ValueError if floating-point values leave 0..1."""
    if values.size == 0:
        return
    low, high = float(values.min()), float(values.max())
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        raise ValueError(
            f"{name} is floating-point, so its values must lie in 0..1, but they span "
            f"{low:.4g}..{high:.4g}: divide by 255, or pass uint8."
        )


def not_pixels(name: str, dtype: Any) -> ValueError:
    """Says that images are neither uint8 nor floating-point."""
    return ValueError(f"{name} must be uint8 in 0..255 or floating-point in 0..1, not {dtype}.")
