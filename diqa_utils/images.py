"""Reading picture files: the one place where a file becomes an array."""

import io
import warnings
from os import PathLike, fspath
from pathlib import PurePath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["decode_image", "is_picture_name", "read_image"]

#: ITU-R BT.601 weights of red, green and blue.
LUMA_WEIGHTS = (0.299, 0.587, 0.114)


def read_image(path: str | PathLike[str]) -> np.ndarray:
    """Reads a picture file of any common kind as a viewer would show it.

    Greyscale, palette, RGBA, CMYK and 16-bit files become 8-bit RGB; transparent pixels are laid
    over white; the EXIF orientation is applied; of a file with several frames the first is read.
    Colour profiles are not applied.

    Args:
        path: Path of the file, in any format that Pillow reads.

    Returns:
        uint8 array (H, W, 3), values in 0..255.

    Raises:
        FileNotFoundError: If there is no such file; other errors of the file system as they are.
        ValueError: If the file is no picture, is damaged, is too large to be safe to decode, or
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


def is_picture_name(path: str | PathLike[str]) -> bool:
    """Tells whether a file is called as pictures are: by its ending, in any case.

    Args:
        path: Name or path of a file, which need not exist.

    Returns:
        True for the ending of a format that Pillow reads.
    """
    suffix = PurePath(path).suffix.lower()
    return Image.registered_extensions().get(suffix) in Image.OPEN


def decode_image(content: bytes, name: str) -> np.ndarray:
    """Decodes the content of a picture file as `read_image` does.

    Args:
        content: Bytes of the file.
        name: Name of the file, for messages.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        ValueError: If the content is no picture that `read_image` would return.
    """
    return np.array(_to_rgb(_decode(content, name), name))


def _decode(content: bytes, name: str) -> Image.Image:
    """Decodes the first frame, upright."""
    try:
        with warnings.catch_warnings():
            # Pillow warns from half the size on at which it refuses: 90 of 179 megapixels.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                return ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise ValueError(f"{name!r} is not a picture file of a known kind.") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name!r} is too large to decode safely: {error}") from error
    except Exception as error:  # each decoder has errors of its own
        raise ValueError(f"{name!r} is damaged and cannot be decoded: {error}.") from error


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Converts any Pillow mode to 8-bit RGB."""
    if image.mode.startswith("I"):  # 16-bit grey; "I" is how some formats deliver it
        levels = np.asarray(image).astype(np.float64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(f"{name!r} has 32-bit pixels; save it with 8 or 16 bits a channel.")
        return Image.fromarray(np.round(levels / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError(
            f"{name!r} has floating-point pixels of unknown range; save it with 8 or 16 bits."
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
