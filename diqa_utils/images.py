"""Reading pictures: the one place where a file, in whatever form, becomes an array.

Only decoders of photographs are ever run. Pillow has others, and one of them starts Ghostscript.
"""

import ctypes
import io
import logging
import os
import stat
import warnings
from collections.abc import Callable
from functools import cache
from os import PathLike
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps

__all__ = [
    "MAX_MEGAPIXELS",
    "checked_path",
    "decode_image",
    "is_picture_name",
    "open_picture",
    "read_image",
]

#: ITU-R BT.601 weights of red, green and blue.
LUMA_WEIGHTS = (0.299, 0.587, 0.114)

#: The formats of photographs that are read, as Pillow calls them, and the endings of their names.
FORMATS = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "HEIF": (".heic", ".heif"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "JPEG2000": (".jp2", ".j2k"),
    "MPO": (".mpo",),
    "PNG": (".png",),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}

#: Endings of raw files, which hold what a sensor saw and, for a quick look, a small preview.
RAW_ENDINGS = (
    ".3fr",
    ".arw",
    ".cr2",
    ".cr3",
    ".crw",
    ".dcr",
    ".dng",
    ".erf",
    ".fff",
    ".iiq",
    ".k25",
    ".kdc",
    ".mef",
    ".mos",
    ".mrw",
    ".nef",
    ".nrw",
    ".orf",
    ".pef",
    ".raf",
    ".raw",
    ".rw2",
    ".rwl",
    ".sr2",
    ".srf",
    ".srw",
    ".x3f",
)

#: Megapixels that are decoded unasked. A few hundred kilobytes can claim to be many more.
MAX_MEGAPIXELS = 180.0

#: Pixels that are converted at a time, so that no second copy of the picture is needed.
BAND = 2**20

#: How many bytes at the start of a file tell its format.
HEAD = 32

#: Tags of TIFF: bit 0 of the first says that a frame is a small version of another one.
SUBFILE_TYPE, DNG_VERSION = 254, 50706

#: What `read_image` takes, beside streams.
ENCODED = (str, PathLike, bytes, bytearray, memoryview, Image.Image)

# Pillow speaks of metadata that it cannot read: nobody who wants the pixels has to know.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class _NoPicture(ValueError):
    """What is wrong, in words."""


def read_image(picture: Any, *, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Reads a picture of any common kind as a viewer would show it.

    Greyscale, palette, RGBA, CMYK, LAB and 16-bit pictures become 8-bit RGB; transparent pixels are
    laid over white; the EXIF orientation is applied; of a file with several frames the first is
    read. Colour profiles are not applied.

    Args:
        picture: Path of a file (JPEG, PNG, TIFF, WebP, AVIF, JPEG 2000, BMP, GIF, PPM, and HEIC
            where pillow-heif is installed), the bytes of one, a stream opened for reading them, or
            a `PIL.Image`.
        max_megapixels: Millions of pixels that a file may have: damaged or hostile files claim to
            have more than fit into memory.

    Returns:
        uint8 array (H, W, 3), values in 0..255.

    Raises:
        FileNotFoundError: If there is no such file; other errors of the file system as they are.
        TypeError: If it is none of these.
        ValueError: If the file is no photograph, is a raw file, is damaged, is larger than
            allowed, or has pixels whose range is not known (32-bit float).

    Chapter: notebooks/09-prediction.ipynb
    """
    if isinstance(picture, Image.Image):
        return _pixels(lambda: _copy(picture, max_megapixels), "the PIL image", max_megapixels)
    if isinstance(picture, bytes | bytearray | memoryview):
        return decode_image(picture, "the picture in bytes", max_megapixels=max_megapixels)
    if hasattr(picture, "read"):
        name = getattr(picture, "name", "the picture in the stream")
        return decode_image(_all_of(picture), str(name), max_megapixels=max_megapixels)
    path = checked_path(picture)
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _NoPicture(f"{str(path)!r} is no ordinary file.")
            return _pixels(lambda: open_picture(file, str(path)), str(path), max_megapixels)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file {str(path)!r}: check the path.") from None
    except IsADirectoryError:
        raise ValueError(f"{str(path)!r} is a folder, not a picture file.") from None


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file; a pipe too, which else waits for somebody who writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_picture_name(path: str | PathLike[str]) -> bool:
    """Tells whether a file is called as photographs are: by its ending, in any case.

    Args:
        path: Name or path of a file, which need not exist.

    Returns:
        True for the ending of a format in `FORMATS`.
    """
    suffix = PurePath(path).suffix.lower()
    return any(suffix in endings for endings in FORMATS.values())


def decode_image(
    content: bytes | bytearray | memoryview, name: str, *, max_megapixels: float = MAX_MEGAPIXELS
) -> np.ndarray:
    """Decodes the content of a picture file as `read_image` does.

    Args:
        content: Bytes of the file.
        name: Name of the file, for messages.
        max_megapixels: Millions of pixels that it may have.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        ValueError: If the content is no picture that `read_image` would return.
    """
    return _pixels(lambda: open_picture(io.BytesIO(content), name), name, max_megapixels)


def checked_path(name: str | PathLike[str]) -> Path:
    """Returns a path, `~` expanded.

    Raises:
        TypeError: If it is no text and no path.
        ValueError: If it is empty, an address on the web, or holds a zero byte.
    """
    if not isinstance(name, str | PathLike) or not isinstance(text := os.fspath(name), str):
        raise TypeError(
            f"{name!r} is no picture: pass a path, an image as an array or a PIL image, the bytes "
            "of a file, or a list of them."
        )
    if text in {"", "."} and isinstance(name, str):
        raise ValueError(f"{text!r} names no picture: pass the path of a file or of a folder.")
    if "://" in text[:10]:
        raise ValueError(f"{text!r} is an address: fetch the picture, and pass its path or bytes.")
    if "\0" in text:
        raise ValueError(f"{text!r} holds a zero byte, which no path does.")
    return Path(text).expanduser()


@cache
def can_read_heic() -> bool:
    """Tells whether pillow-heif is there; from then on Pillow reads HEIC files."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


@cache
def _decoders() -> dict[str, Any]:
    """Pillow's decoders of photographs: how each opens a file, and knows its own."""
    can_read_heic()
    Image.init()
    _silence_libtiff()
    return {kind: Image.OPEN[kind] for kind in FORMATS if kind in Image.OPEN}


def _silence_libtiff() -> None:
    """Keeps libtiff from writing to standard error what it finds wrong, in a file it names not."""
    packages = Path(Image.__file__).parents[1]
    for place in ("pillow.libs/libtiff*", "PIL/.dylibs/libtiff*"):  # Linux, macOS
        for library in packages.glob(place):
            libtiff = ctypes.CDLL(str(library))
            for set_handler in (libtiff.TIFFSetErrorHandler, libtiff.TIFFSetWarningHandler):
                set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
                set_handler(None)


def _all_of(stream: Any) -> bytes:
    if stream.seekable():
        stream.seek(0)  # what has been read once is read again
    content = stream.read()
    if not isinstance(content, bytes):
        raise TypeError("The stream gives text, not bytes: open the file with mode 'rb'.")
    return content


def _pixels(opened: Callable[[], Image.Image], name: str, max_megapixels: float) -> np.ndarray:
    """Opens and decodes a picture; says in a sentence that names it what is wrong."""
    try:
        image = opened()
        _check(image, name, max_megapixels)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image, name)
    except _NoPicture as error:
        raise ValueError(str(error)) from None
    except MemoryError:
        raise ValueError(f"{name!r} takes more memory than there is: make it smaller.") from None
    except Exception as error:  # each decoder has errors of its own
        raise ValueError(f"{name!r} is damaged and cannot be decoded: {error}.") from error


def open_picture(file: BinaryIO, name: str) -> Image.Image:
    """Opens a file with the decoder of photographs that knows it, and with no other.

    Args:
        file: File opened for reading bytes.
        name: Name of the file, for messages.

    Returns:
        The picture, not yet decoded.

    Raises:
        ValueError: If no decoder knows it. What a decoder raises comes as it is.
    """
    head = file.read(HEAD)
    for open_with, knows in _decoders().values():
        known = knows(head)
        if known and not isinstance(known, str):  # a text says why it is not supported
            file.seek(0)
            return open_with(file, "")
    raise _NoPicture(f"{name!r} {_what_it_is(head, name)}")


def _what_it_is(head: bytes, name: str) -> str:
    if head[4:8] == b"ftyp" and head[8:12] in {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}:
        return "is a HEIC picture: install pillow-heif to read it, or convert it to JPEG."
    if PurePath(name).suffix.lower() in RAW_ENDINGS:
        return "is a raw file: convert it to JPEG, PNG or TIFF first."
    return "is not a picture file of a known kind: save it as JPEG, PNG or TIFF."


def _copy(image: Image.Image, max_megapixels: float) -> Image.Image:
    """Copies the user's own picture, unless another decoder would have to run to load it."""
    if image.format is not None and image.format not in FORMATS:
        raise _NoPicture(
            f"The PIL image is of the kind {image.format}, which is none of photographs: pass "
            'image.convert("RGB") if you trust it.'
        )
    _check(image, "the PIL image", max_megapixels)
    return ImageOps.exif_transpose(image)


def _check(image: Image.Image, name: str, max_megapixels: float) -> None:
    tags = getattr(image, "tag_v2", {})
    is_raw = PurePath(name).suffix.lower() in RAW_ENDINGS or DNG_VERSION in tags
    if is_raw or int(tags.get(SUBFILE_TYPE, 0)) & 1:
        raise _NoPicture(
            f"{name!r} is a raw file, and what can be read of it is a preview: convert it to JPEG, "
            "PNG or TIFF first."
        )
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise _NoPicture(
            f"{name!r} has {megapixels:.1f} megapixels, more than the {max_megapixels:g} that are "
            "read unasked: make it smaller, or, if you trust it, allow more with max_megapixels "
            "(--max-megapixels of `diqa score`)."
        )


def _to_rgb(image: Image.Image, name: str) -> np.ndarray:
    """Converts any of Pillow's modes to 8-bit RGB, some rows at a time."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = np.asarray(_band_to_rgb(band, name))
    return pixels


def _band_to_rgb(band: Image.Image, name: str) -> Image.Image:
    if band.mode.startswith("I"):  # 16-bit grey; "I" is how some formats deliver it
        levels = np.asarray(band).astype(np.float32)
        if levels.min() < 0 or levels.max() > 65535:
            raise _NoPicture(f"{name!r} has 32-bit pixels; save it with 8 or 16 bits a channel.")
        return Image.fromarray(np.round(levels / 257).astype(np.uint8)).convert("RGB")
    if band.mode == "F":
        raise _NoPicture(
            f"{name!r} has floating-point pixels of unknown range; save it with 8 or 16 bits."
        )
    if band.mode == "LAB":
        return _lab_to_rgb().apply(band)
    if band.has_transparency_data:
        rgba = band.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return band.convert("RGB")


@cache
def _lab_to_rgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
