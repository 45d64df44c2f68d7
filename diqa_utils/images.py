"""Reading picture files: the one place where a file becomes an array."""

from os import PathLike, fspath

import numpy as np

from diqa_utils._decoding import decode_image

__all__ = ["read_image"]


def read_image(path: str | PathLike[str]) -> np.ndarray:
    """Reads a picture file of any common kind as a viewer would show it.

    Greyscale, palette, RGBA, CMYK and 16-bit files become 8-bit RGB; transparent pixels are laid
    over white; the EXIF orientation is applied; of a file with several frames the first is read.
    Colour profiles are not applied.

    Args:
        path: the file; any format that Pillow reads.

    Returns:
        uint8 array (H, W, 3), values in 0..255.

    Raises:
        FileNotFoundError: if there is no such file; other errors of the file system as they are.
        ValueError: if the file is no picture, is damaged, is too large to be safe to decode, or
            has pixels whose range is not known (32-bit float).

    Chapter: notebooks/09-prediction.ipynb
    """
    name = fspath(path)
    try:
        with open(name, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file {name!r}: check the path.") from None
    except IsADirectoryError:
        raise ValueError(f"{name!r} is a folder, not a picture file.") from None
    return decode_image(content, name)
