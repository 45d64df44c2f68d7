"""Pre-training without human scores: endless error maps from any pristine pictures.

Step 1 needs no opinion, only a picture and a damaged copy of it. So it can have as many examples as
one likes: each batch is cut from pictures drawn at random, damaged at random, and never seen again.
Batch number k depends on the seed and on k alone: a run that was stopped goes on with the batch
that it would have had.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from diqa_utils._internal.tensorflow import as_it_is, untuned
from diqa_utils.distortions import DISTORTIONS, LEVELS, distort
from diqa_utils.images import is_picture_name, read_image
from diqa_utils.maps import DEFAULT_ALPHA, DEFAULT_EXPONENT, OUTPUT_STRIDE
from diqa_utils.pipelines import to_error_map_example
from diqa_utils.preprocessing import MINIMUM_SIZE

__all__ = [
    "check_patch_size",
    "check_pristine",
    "damaged_pair",
    "damaged_pairs",
    "patches_of_squares",
    "pristine_batches",
    "pristine_pictures",
    "throughput",
]

#: Side of the square that is cut from a picture and damaged as a whole, in pixels.
CROP = 256

#: Pixels at each side of the crop that no patch has: what is there was made of mirrored pixels.
MARGIN = 16

#: The share of crops that are cut from the picture at half its size.
HALVED = 0.5


def pristine_pictures(folder: str | PathLike[str]) -> list[np.ndarray]:
    """Reads every picture below a folder, in the order of their paths.

    Args:
        folder: Folder of pictures without visible faults; files whose names do not end as those
            of a format that Pillow reads are passed over.

    Returns:
        uint8 arrays (H, W, 3).

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There is no picture in it, one is damaged, or a side of one is shorter than
            256 pixels.

    Chapter: notebooks/10-pretraining.ipynb
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {str(root)!r}: check the path.")
    paths = sorted(path for path in root.rglob("*") if is_picture_name(path))
    if not paths:
        raise ValueError(f"There is no picture below {str(root)!r}: name a folder that has some.")
    pictures = [read_image(path) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        check_pristine(picture, repr(str(path)))
    return pictures


def check_pristine(picture: np.ndarray, name: str) -> None:
    """Raises a ValueError if a picture will not do for step 1.

    Args:
        picture: Array that should be uint8 (H, W, 3), no side shorter than 256 pixels.
        name: What messages call it.
    """
    shape, kind = np.shape(picture), np.asarray(picture).dtype
    if kind != np.uint8 or len(shape) != 3 or shape[-1] != 3 or min(shape[:2]) < CROP:
        raise ValueError(
            f"{name} is {kind} of shape {shape}; it must be uint8 (H, W, 3) with sides of {CROP} "
            "pixels or more."
        )


def check_patch_size(patch_size: int) -> None:
    """Raises a ValueError if four patches of a size cannot be cut from a square."""
    largest = (CROP - 2 * MARGIN) // 2
    if patch_size % OUTPUT_STRIDE or not MINIMUM_SIZE <= patch_size <= largest:
        raise ValueError(
            f"patch_size must be a multiple of {OUTPUT_STRIDE} from {MINIMUM_SIZE} to {largest}, "
            f"not {patch_size}."
        )


def pristine_batches(
    pictures: Sequence[np.ndarray],
    *,
    batch_size: int,
    patch_size: int = 112,
    seed: int = 0,
    first: int = 0,
    distortions: Sequence[str] = tuple(DISTORTIONS),
    exponent: float = DEFAULT_EXPONENT,
    alpha: float = DEFAULT_ALPHA,
) -> tf.data.Dataset:
    """Makes the endless batches of step 1 from pristine pictures.

    A square of 256 pixels is cut from a picture, at its full size or at half of it, mirrored or
    not, and damaged at one of five levels. Its maps are made before it is cut into four patches.

    Args:
        pictures: uint8 (H, W, 3), no side shorter than 256 pixels.
        batch_size: Patches per batch, a multiple of four.
        patch_size: Side of the patches in pixels, a multiple of four from 48 to 112.
        seed: Seed of the whole sequence of batches.
        first: Number of the batch to begin with.
        distortions: Names of what `distort` damages pictures with, each as often as the others.
        exponent: Exponent p of the error map.
        alpha: Slope of the reliability map.

    Returns:
        A dataset without end of (normalised patches, error maps, average reliability maps);
        float32.

    Raises:
        ValueError: There are no pictures, one is too small, a number is not as above, or a
            distortion is not known.

    Chapter: notebooks/10-pretraining.ipynb
    """
    if not pictures:
        raise ValueError("There are no pictures to make batches of.")
    for number, picture in enumerate(pictures):
        check_pristine(picture, f"picture {number}")
    if batch_size < 4 or batch_size % 4:
        raise ValueError(f"batch_size must be a multiple of four, not {batch_size}.")
    if unknown := [name for name in distortions if name not in DISTORTIONS]:
        raise ValueError(f"distortions: {unknown[0]!r} is none of {', '.join(DISTORTIONS)}.")
    check_patch_size(patch_size)

    def to_batch(pairs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        distorted, target, reliability = to_error_map_example(
            {"reference_image": pairs[:, 0], "distorted_image": pairs[:, 1]},
            exponent=exponent,
            alpha=alpha,
        )
        return patches_of_squares((distorted, target, reliability), patch_size)

    pairs = damaged_pairs(pictures, batch_size // 4, distortions, seed=seed, first=first)
    return pairs.map(as_it_is(to_batch), num_parallel_calls=2, deterministic=True).prefetch(4)


def damaged_pairs(
    pictures: Sequence[np.ndarray],
    number: int,
    distortions: Sequence[str],
    *,
    seed: int,
    first: int,
) -> tf.data.Dataset:
    """Makes squares of pristine pictures and damaged copies of them, without end.

    Args:
        pictures: uint8 (H, W, 3), no side shorter than 256 pixels.
        number: Number of squares at a time.
        distortions: Names of what `distort` damages pictures with.
        seed: Seed of the whole sequence.
        first: Number of the pairs to begin with.

    Returns:
        A dataset without end of pairs, uint8 (number, 2, 256, 256, 3): pristine, then damaged.

    Chapter: notebooks/10-pretraining.ipynb
    """
    draw = partial(damaged_pair, pictures, distortions)

    def pairs_of(index: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng([seed, int(index)])
        return np.stack([draw(rng) for _ in range(number)])

    @as_it_is
    def to_pairs(index: tf.Tensor) -> tf.Tensor:
        pairs = tf.numpy_function(pairs_of, [index], tf.uint8)
        return tf.ensure_shape(pairs, [number, 2, CROP, CROP, 3])

    indices = tf.data.Dataset.range(first, tf.int64.max)
    pairs = indices.map(to_pairs, num_parallel_calls=2, deterministic=True)
    return untuned(pairs)


def patches_of_squares(example: tuple[tf.Tensor, ...], patch_size: int) -> tuple[tf.Tensor, ...]:
    """Cuts four patches from each square, away from its edge.

    Args:
        example: Normalised squares (N, 256, 256, 1), and maps of a quarter of their size.
        patch_size: Side of the patches in pixels.

    Returns:
        (4 N, patch_size, patch_size, 1), and the same patches of the maps.
    """
    return tuple(_four_patches(values, patch_size) for values in example)


def throughput(batches: tf.data.Dataset, number: int) -> float:
    """Measures how many patches a second a pipeline makes.

    Args:
        batches: Batches of patches, as `pristine_batches` makes them.
        number: Number of batches to measure, after a first one that starts the pipeline up.

    Returns:
        Patches per second.

    Raises:
        ValueError: There are not so many batches.

    Chapter: notebooks/10-pretraining.ipynb
    """
    iterator: Iterator[tuple[tf.Tensor, ...]] = iter(batches.take(number + 1))
    next(iterator, None)
    start = time.perf_counter()
    sizes = [len(batch[0]) for batch in iterator]
    if number < 1 or len(sizes) < number:
        raise ValueError(f"There are no {number} batches to measure after the first.")
    return sum(sizes) / (time.perf_counter() - start)


def damaged_pair(
    pictures: Sequence[np.ndarray], distortions: Sequence[str], rng: np.random.Generator
) -> np.ndarray:
    """Cuts a square from a picture at random and damages it at random.

    Args:
        pictures: uint8 (H, W, 3), no side shorter than 256 pixels.
        distortions: Names of what `distort` damages pictures with.
        rng: Source of all that is random here.

    Returns:
        uint8 (2, 256, 256, 3): pristine, then damaged.

    Chapter: notebooks/10-pretraining.ipynb
    """
    picture = pictures[int(rng.integers(len(pictures)))]
    if rng.random() < HALVED and min(picture.shape[:2]) >= 2 * CROP:
        picture = np.asarray(Image.fromarray(picture).reduce(2))  # means of 2 x 2 pixels
    top, left = (int(rng.integers(side - CROP + 1)) for side in picture.shape[:2])
    crop = picture[top : top + CROP, left : left + CROP]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    crop = np.ascontiguousarray(crop)
    distortion, level = str(rng.choice(distortions)), int(rng.choice(LEVELS))
    return np.stack([crop, distort(crop, distortion, level, seed=int(rng.integers(2**31)))])


def _four_patches(values: tf.Tensor, patch_size: int) -> tf.Tensor:
    """Cuts a patch from each quarter of squares, or of maps of them, (N, S, S, 1)."""
    stride = CROP // values.shape[1]
    side, margin = patch_size // stride, MARGIN // stride
    ends = margin, values.shape[1] - margin - side
    corners = [(top, left) for top in ends for left in ends]
    patches = [values[:, top : top + side, left : left + side] for top, left in corners]
    return tf.concat(patches, axis=0)
