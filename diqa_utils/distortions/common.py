"""What the families share."""

import numpy as np


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounds and clips to 0..255."""
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
