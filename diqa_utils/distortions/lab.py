"""sRGB to CIELAB and back, by scikit-image."""

import numpy as np
from skimage import color


def to_lab(image: np.ndarray) -> np.ndarray:
    """Converts uint8 (H, W, 3) to float32 (H, W, 3): L in 0..100, a and b about zero."""
    return color.rgb2lab(image / np.float32(255))


def from_lab(lab: np.ndarray) -> np.ndarray:
    """Converts back to float32 in 0..255; a colour that sRGB lacks is clipped in each channel."""
    # So yellow that Z = 0: scikit-image cuts off what is beyond, and warns of it. A little less.
    most_yellow = 200 * (lab[..., 0] + 16) / 116 - 1e-3
    lab = np.concatenate([lab[..., :2], np.minimum(lab[..., 2], most_yellow)[..., None]], axis=-1)
    return 255 * color.lab2rgb(lab)
