"""Changes of brightness: brighten, darken and mean shift."""

import numpy as np

from diqa_utils.distortions.common import to_uint8
from diqa_utils.distortions.lab import from_lab, to_lab

BRIGHTEN_EXPONENT = (0.88, 0.75, 0.6, 0.45, 0.3)
DARKEN_EXPONENT = (1.15, 1.4, 1.8, 2.5, 3.6)
SHIFT = (8, 18, 32, 50, 75)


def brighten(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Raises the lightness of CIELAB along a curve that keeps black and white."""
    return _bend_lightness(image, BRIGHTEN_EXPONENT[level - 1])


def darken(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Lowers the lightness of CIELAB along a curve that keeps black and white."""
    return _bend_lightness(image, DARKEN_EXPONENT[level - 1])


def _bend_lightness(image: np.ndarray, exponent: float) -> np.ndarray:
    lab = to_lab(image)
    lab[..., 0] = 100 * np.clip(lab[..., 0] / 100, 0, 1) ** exponent
    return to_uint8(from_lab(lab))


def mean_shift(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Adds the same to all values, or takes it away: the seed says which."""
    return to_uint8(image + rng.choice([-1.0, 1.0]) * SHIFT[level - 1])
