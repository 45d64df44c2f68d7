"""Blurs: Gaussian, lens and motion."""

import numpy as np
from scipy import ndimage, signal

from diqa_utils.distortions.common import to_uint8

GAUSSIAN_SIGMA = (0.8, 1.3, 2.0, 3.0, 4.5)
LENS_RADIUS = (1.2, 2.0, 3.2, 5.0, 8.0)
MOTION_LENGTH = (2.5, 5.0, 9.0, 15.0, 24.0)


def gaussian_blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Averages with weights that fall off as a normal distribution does."""
    sigma = GAUSSIAN_SIGMA[level - 1]
    return to_uint8(ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0)))


def lens_blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Spreads each point over a disc, as a lens out of focus does."""
    radius = LENS_RADIUS[level - 1]
    y, x = _offsets(radius)
    return _filter(image, np.clip(radius + 0.5 - np.hypot(y, x), 0, 1))


def motion_blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Spreads each point along a line, as a moving camera does; the seed gives its direction."""
    half = MOTION_LENGTH[level - 1] / 2
    angle = rng.uniform(0, np.pi)
    y, x = _offsets(half)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    line = np.clip(half + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
    return _filter(image, line)


def _offsets(radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a square kernel, counted from its middle."""
    reach = int(np.ceil(radius + 0.5))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return y, x


def _filter(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Averages by a square kernel; by way of its spectrum, since the kernels are large."""
    reach = len(kernel) // 2
    padded = np.pad(
        image.astype(np.float32), ((reach, reach), (reach, reach), (0, 0)), mode="symmetric"
    )
    weights = (kernel / kernel.sum()).astype(np.float32)
    return to_uint8(signal.fftconvolve(padded, weights[..., None], mode="valid", axes=(0, 1)))
