"""Encoded pictures: which can be stored as they are, and how they are decoded."""

import io

import tensorflow as tf

from diqa_utils.images import MAX_MEGAPIXELS, decode_image, open_picture

#: Files of these kinds can be stored as they are; TensorFlow decodes them.
KINDS = frozenset({"BMP", "JPEG", "MPO", "PNG"})

#: The level at which a PNG is packed: a sixth larger than usual, in a quarter of the time.
FAST = 1

ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = 1


def decode(content: tf.Tensor) -> tf.Tensor:
    """Decodes a stored picture, in a graph or eagerly, to uint8 (H, W, 3).

    A JPEG file gives the values that `read_image` gives: with TensorFlow's default it does not.
    """
    return tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(content, channels=3, expand_animations=False),
    )


def encoded(content: bytes, name: str) -> tuple[bytes, tuple[int, int]]:
    """Checks a picture file, and returns what to store of it and its (height, width).

    Plain files are stored as they are. A file that TensorFlow would show otherwise than
    `read_image` (turned, transparent, in CMYK, with 16 bits) is stored as PNG.

    Raises:
        ValueError: If the file, which is named, is no picture or damaged.
    """
    if not _is_plain(content):
        pixels = decode_image(content, name)
        height, width, _ = pixels.shape
        return tf.io.encode_png(pixels, compression=FAST).numpy(), (height, width)
    try:
        height, width, _ = decode(content).shape
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"{name!r} is damaged and cannot be decoded: fetch it again.") from error
    return content, (height, width)


def _is_plain(content: bytes) -> bool:
    """Whether TensorFlow shows a file as `read_image` does; reads its head only."""
    try:
        with open_picture(io.BytesIO(content), "") as image:
            return (
                image.format in KINDS
                and image.mode in {"L", "RGB"}
                and image.width * image.height <= MAX_MEGAPIXELS * 1e6
                and not image.has_transparency_data
                and image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT
            )
    except Exception:  # no picture, damaged, or too large: `decode_image` says which
        return False


def same_shape_problem(
    distorted: str, shape: tuple[int, int], reference: str, reference_shape: tuple[int, int]
) -> str | None:
    """Says that a distorted picture and its reference differ in size, if they do."""
    if shape == reference_shape:
        return None
    sizes = [f"{height} x {width}" for height, width in (shape, reference_shape)]
    return f"{distorted!r} has {sizes[0]} pixels and its reference {reference!r} has {sizes[1]}."
