"""Enlargement: a picture made smaller and then larger again, so that fine detail is gone."""

import numpy as np
from PIL import Image

from diqa_utils.distortions.compression import encode_as_jpeg
from diqa_utils.distortions.contrast import sharpened

FACTOR = (1.5, 2.0, 2.5, 3.0, 4.0)
TIMES_REPEATED = (2, 3, 4, 5, 6)
SHARPEN_AMOUNT = 1.5
QUALITY = (70, 55, 40, 30, 20)

Kernel = Image.Resampling


def enlarge_nearest(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Repeats pixels: steps along every edge."""
    return _enlarged(_reduced(image, TIMES_REPEATED[level - 1]), image, Kernel.NEAREST)


def enlarge_bilinear(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Enlarges by straight lines between pixels: soft."""
    return _enlarged(_reduced(image, FACTOR[level - 1]), image, Kernel.BILINEAR)


def enlarge_bicubic(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Enlarges by cubic curves between pixels, as most programs do."""
    return _enlarged(_reduced(image, FACTOR[level - 1]), image, Kernel.BICUBIC)


def enlarge_lanczos(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Enlarges by a windowed sinc: sharper, with ripples beside edges."""
    return _enlarged(_reduced(image, FACTOR[level - 1]), image, Kernel.LANCZOS)


def enlarge_and_sharpen(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Enlarges by cubic curves and sharpens: edges come back, texture does not."""
    enlarged = enlarge_bicubic(image, level, rng)
    return sharpened(enlarged, FACTOR[level - 1] / 2, SHARPEN_AMOUNT)


def enlarge_jpeg(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Enlarges a small picture that was saved as JPEG, and the marks of JPEG with it."""
    small = encode_as_jpeg(_reduced(image, FACTOR[level - 1]), QUALITY[level - 1])
    return _enlarged(small, image, Kernel.BICUBIC)


def _reduced(image: np.ndarray, factor: float) -> np.ndarray:
    """Makes a picture smaller by an antialiased cubic kernel."""
    height, width = (max(1, round(side / factor)) for side in image.shape[:2])
    return np.array(Image.fromarray(image).resize((width, height), Kernel.BICUBIC))


def _enlarged(small: np.ndarray, like: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Brings a small picture to the size of another one."""
    height, width = like.shape[:2]
    return np.array(Image.fromarray(small).resize((width, height), kernel))
