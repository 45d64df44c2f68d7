"""Pictures to measure on: photographs of the usual packages, at the size of the tutorial's."""

import numpy as np
from PIL import Image
from skimage import data

from diqa_utils.distortions import distort

#: Of the pictures of LIVE, which the tutorial trained on.
HEIGHT, WIDTH = 512, 768
PIXELS = HEIGHT * WIDTH

PHOTOGRAPHS = (data.coffee, data.astronaut, data.chelsea, data.rocket)


def pairs(number: int) -> np.ndarray:
    """Returns references and damaged copies: uint8 (number, 2, 512, 768, 3)."""
    found = []
    for index in range(number):
        photograph = Image.fromarray(PHOTOGRAPHS[index % len(PHOTOGRAPHS)]())
        reference = np.asarray(photograph.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
        found.append(np.stack([reference, distort(reference, "jpeg", 3)]))
    return np.stack(found)
