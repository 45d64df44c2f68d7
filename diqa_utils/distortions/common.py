"""What the families share."""

from collections.abc import Callable

import numpy as np

Distortion = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounds and clips to 0..255."""
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
