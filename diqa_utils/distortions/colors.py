"""Colour distortions: diffusion, shift, quantisation, and too little or too much saturation."""

import numpy as np
from PIL import Image
from scipy import ndimage

from diqa_utils.distortions.common import to_uint8
from diqa_utils.distortions.lab import from_lab, to_lab
from diqa_utils.images import LUMA_WEIGHTS

DIFFUSION_SIGMA = (1.5, 3.0, 5.5, 9.0, 14.0)
SHIFT_LENGTH = (1.0, 2.0, 4.0, 7.0, 12.0)
PALETTE_SIZE = (96, 48, 24, 12, 6)
HSV_FACTOR = (0.75, 0.5, 0.3, 0.12, 0.0)
LAB_FACTOR = (1.25, 1.6, 2.1, 3.0, 4.5)


def color_diffusion(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Blurs the colours a and b of CIELAB and keeps the lightness: colours run over the edges."""
    sigma = DIFFUSION_SIGMA[level - 1]
    lab = to_lab(image)
    lab[..., 1:] = ndimage.gaussian_filter(lab[..., 1:], (sigma, sigma, 0), truncate=3)
    return to_uint8(from_lab(lab))


def color_shift(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Moves the green channel where the picture has edges; the seed gives the direction."""
    angle = rng.uniform(0, 2 * np.pi)
    offset = SHIFT_LENGTH[level - 1] * np.array([np.sin(angle), np.cos(angle)])
    green = image[..., 1].astype(np.float32)
    moved = ndimage.shift(green, offset, order=1, mode="mirror")
    share = _edges(image)
    result = image.astype(np.float32)
    result[..., 1] = (1 - share) * green + share * moved
    return to_uint8(result)


def _edges(image: np.ndarray) -> np.ndarray:
    """How steep the grey levels are, (H, W) in 0..1, in relation to the steepest percents."""
    gray = image @ np.array(LUMA_WEIGHTS, np.float32)
    steepness = ndimage.gaussian_gradient_magnitude(gray, 1.5)
    return np.clip(steepness / max(np.percentile(steepness, 95), 1e-3), 0, 1)


def color_quantization(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Leaves few colours, those of a palette made for the picture, and dithers between them."""
    step = max(1, min(image.shape[:2]) // 64)  # some thousand pixels are enough for a palette
    sample = Image.fromarray(image[::step, ::step])
    palette = sample.quantize(PALETTE_SIZE[level - 1], Image.Quantize.MEDIANCUT)
    dithered = Image.fromarray(image).quantize(palette=palette)  # by Floyd and Steinberg
    return np.array(dithered.convert("RGB"))


def color_saturation_1(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Makes colours paler: multiplies the saturation S of HSV.

    At the same hue H and value V = max(R, G, B), every channel lies below V in proportion to S.
    """
    value = image.max(axis=-1, keepdims=True).astype(np.float32)
    return to_uint8(value - HSV_FACTOR[level - 1] * (value - image))


def color_saturation_2(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Makes colours too strong: multiplies a and b of CIELAB."""
    lab = to_lab(image)
    lab[..., 1:] *= LAB_FACTOR[level - 1]
    return to_uint8(from_lab(lab))
