"""Compression: JPEG 2000 and JPEG."""

import io

import numpy as np
from PIL import Image

JPEG_QUALITY = (30, 15, 9, 6, 4)
JPEG2000_RATIO = (20, 45, 80, 130, 220)


def jpeg2000(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Codes wavelets, in fewer and fewer bytes."""
    return encode_as_jpeg2000(image, JPEG2000_RATIO[level - 1])


def jpeg(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Codes blocks of 8 x 8 pixels, more and more coarsely."""
    return _encode_and_decode(image, "JPEG", quality=JPEG_QUALITY[level - 1])


def encode_as_jpeg2000(image: np.ndarray, ratio: float) -> np.ndarray:
    """Compresses to a part of the bytes, 1 / `ratio`, and reads the result."""
    return _encode_and_decode(image, "JPEG2000", quality_layers=[ratio], irreversible=True)


def _encode_and_decode(image: np.ndarray, file_format: str, **settings: object) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, file_format, **settings)
    with Image.open(buffer) as decoded:
        return np.array(decoded.convert("RGB"))
