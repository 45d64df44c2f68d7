"""Compression: JPEG 2000 and JPEG."""

import io

import numpy as np
from PIL import Image

JPEG_QUALITY = (30, 15, 9, 6, 4)
JPEG2000_RATIO = (20, 45, 80, 130, 220)
RECOMPRESSION_QUALITY = (50, 30, 18, 11, 7)

#: By how many pixels the blocks of JPEG move before each further compression, at most.
MOVED = 3


def jpeg2000(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Codes wavelets, in fewer and fewer bytes."""
    return encode_as_jpeg2000(image, JPEG2000_RATIO[level - 1])


def jpeg(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Codes blocks of 8 x 8 pixels, more and more coarsely."""
    return encode_as_jpeg(image, JPEG_QUALITY[level - 1])


def recompression(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Saves a picture as JPEG again and again, cut a little in between: its blocks move."""
    height, width = image.shape[:2]
    moved = np.pad(image, [(MOVED, MOVED), (MOVED, MOVED), (0, 0)], mode="symmetric")
    for corner in range(MOVED, -1, -1):
        part = moved[corner:, corner:]
        moved[corner:, corner:] = encode_as_jpeg(part, RECOMPRESSION_QUALITY[level - 1])
    return moved[MOVED : MOVED + height, MOVED : MOVED + width].copy()


def encode_as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Codes blocks of 8 x 8 pixels at a quality of 1 to 95, and reads the result."""
    return _encode_and_decode(image, "JPEG", quality=quality)


def encode_as_jpeg2000(image: np.ndarray, ratio: float) -> np.ndarray:
    """Compresses to a part of the bytes, 1 / `ratio`, and reads the result."""
    return _encode_and_decode(image, "JPEG2000", quality_layers=[ratio], irreversible=True)


def _encode_and_decode(image: np.ndarray, file_format: str, **settings: object) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, file_format, **settings)
    with Image.open(buffer) as decoded:
        return np.array(decoded.convert("RGB"))
