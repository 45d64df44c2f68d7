"""Sharpness and contrast: too much sharpening, and a change of contrast."""

import numpy as np
from scipy import ndimage

from diqa_utils.distortions.common import to_uint8
from diqa_utils.images import LUMA_WEIGHTS

SHARPEN_SIGMA = 1.5
SHARPEN_AMOUNT = (0.7, 1.5, 3.0, 5.5, 10.0)
STEEPNESS = (2.5, 4.0, 6.0, 9.0, 14.0)


def high_sharpen(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Adds fine detail a second time and more, by an unsharp mask: halos grow along the edges."""
    return sharpened(image, SHARPEN_SIGMA, SHARPEN_AMOUNT[level - 1])


def sharpened(image: np.ndarray, sigma: float, amount: float) -> np.ndarray:
    """Adds what a Gaussian blur takes away from luma, so many times: an unsharp mask."""
    gray = image @ np.array(LUMA_WEIGHTS)
    detail = gray - ndimage.gaussian_filter(gray, sigma)
    return to_uint8(image + amount * detail[..., None])


def contrast_change(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Bends all values along an S, or along its mirror image: the seed says which.

    The S takes contrast from shadows and lights and gives it to what lies between. Its mirror image
    does the reverse. Both keep 0 and 255.
    """
    half = STEEPNESS[level - 1] / 2
    value = np.linspace(-1, 1, 256)
    steeper = rng.random() < 0.5
    curve = (
        np.tanh(half * value / 2) / np.tanh(half / 2)
        if steeper
        else np.arctanh(value * np.tanh(half / 2)) * 2 / half
    )
    return to_uint8(255 * (1 + curve) / 2)[image]
