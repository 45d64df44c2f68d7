"""Noise: white, in colour components, impulse, multiplicative, and what a denoiser leaves of it."""

import numpy as np
import pywt

from diqa_utils.distortions.common import to_uint8

WHITE_SIGMA = (8.0, 16.0, 28.0, 46.0, 75.0)
COMPONENT_SIGMA = (5.0, 10.0, 18.0, 30.0, 50.0)
IMPULSE_SHARE = (0.002, 0.008, 0.025, 0.07, 0.16)
MULTIPLICATIVE_SIGMA = (0.06, 0.12, 0.22, 0.38, 0.65)
DENOISED_SIGMA = (6.0, 13.0, 25.0, 42.0, 70.0)
WIPED_BELOW = (6.0, 12.0, 22.0, 40.0, 70.0)

#: How Y, Cb and Cr add to R, G and B (ITU-R BT.601, full range, as in JPEG).
YCBCR_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)

#: The denoiser's wavelet, the number of its scales, and its threshold in standard deviations of the
#: noise: below 3 some noise stays, in blotches, and above 1 some of the picture goes.
WAVELET, SCALES, THRESHOLD = "sym4", 4, 2.0


def white_noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Adds normal noise to red, green and blue, as a sensor does in the dark."""
    noise = rng.standard_normal(image.shape)
    return to_uint8(image + WHITE_SIGMA[level - 1] * noise)


def color_component_noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Adds normal noise to Y, Cb and Cr, which makes coloured grain."""
    noise = rng.standard_normal(image.shape, np.float32) @ YCBCR_TO_RGB.T
    return to_uint8(image + COMPONENT_SIGMA[level - 1] * noise)


def impulse_noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Sets a share of all values to 0 or 255: salt and pepper, in each channel by itself."""
    hit = rng.random(image.shape, np.float32) < IMPULSE_SHARE[level - 1]
    extremes = 255 * rng.integers(0, 2, image.shape, np.uint8)
    return np.where(hit, extremes, image)


def multiplicative_noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Adds normal noise that is strong where the picture is bright: speckle, as in radar."""
    noise = rng.standard_normal(image.shape, np.float32)
    return to_uint8(image * (1 + MULTIPLICATIVE_SIGMA[level - 1] * noise))


def denoising(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Adds normal noise and takes it away again, and fine detail with it.

    The denoiser shrinks wavelet coefficients towards zero by soft thresholds.
    """
    sigma = DENOISED_SIGMA[level - 1]
    noisy = image + sigma * rng.standard_normal(image.shape, np.float32)
    return _denoised(noisy, THRESHOLD * sigma)


def wiped_texture(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Denoises where there is no noise: edges stay, texture goes, as in a telephone's pictures."""
    return _denoised(image.astype(np.float32), WIPED_BELOW[level - 1])


def _denoised(image: np.ndarray, threshold: float) -> np.ndarray:
    """Shrinks the wavelet coefficients of a picture towards zero."""
    scales = min(SCALES, pywt.dwt_max_level(min(image.shape[:2]), WAVELET))
    coarsest, *details = pywt.wavedec2(image, WAVELET, level=scales, axes=(0, 1))
    shrunk = [tuple(_shrink(band, threshold) for band in bands) for bands in details]
    restored = pywt.waverec2([coarsest, *shrunk], WAVELET, axes=(0, 1))
    return to_uint8(restored[: image.shape[0], : image.shape[1]])


def _shrink(band: np.ndarray, threshold: float) -> np.ndarray:
    return band - np.clip(band, -threshold, threshold)
