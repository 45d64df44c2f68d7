"""From a database to batches that the two training steps take.

What does not change from epoch to epoch (decoding, normalisation, maps) is computed once and kept:
in memory if it is small, on disk if it is larger. Cropping and flipping come after it. A database
too large for both streams: it is decoded anew in every epoch. From the disk and from a stream only
small patches are shuffled, so memory does not grow with the database.
"""

import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from diqa_utils._internal.files import cache_folder
from diqa_utils._internal.tensorflow import UNTUNED
from diqa_utils.maps import (
    DEFAULT_ALPHA,
    DEFAULT_EXPONENT,
    OUTPUT_STRIDE,
    average_reliability_map,
    downscale,
    error_map,
    hand_crafted_features,
)
from diqa_utils.preprocessing import MINIMUM_SIZE, normalize

__all__ = ["error_map_batches", "score_batches", "to_error_map_example", "to_score_example"]

MIB = 2**20

#: Bytes of examples that are kept in memory, if nobody says.
MEMORY_LIMIT = 1024 * MIB

#: Bytes of examples that are kept on disk, if nobody says and memory has no room for them.
DISK_LIMIT = 16 * 1024 * MIB

#: Bytes of examples, and of patches, that are shuffled at a time where examples are not in memory.
SHUFFLED_BYTES = 32 * MIB

#: Bytes that one pixel of a normalised image takes, with its share of the two maps, in float32.
BYTES_PER_PIXEL = 4 * (1 + 2 / OUTPUT_STRIDE**2)

#: What to do about a full disk.
WAYS_OUT = (
    "name a folder with more space in DIQA_CACHE_DIR, or set disk_limit=0 to make the examples "
    "anew in every epoch"
)

Features = dict[str, tf.Tensor]


def to_error_map_example(
    features: Features,
    *,
    exponent: float = DEFAULT_EXPONENT,
    alpha: float = DEFAULT_ALPHA,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Turns an image of a database, or a batch of them, into what step 1 trains on.

    Args:
        features: `reference_image` and `distorted_image`, (H, W, 3) or (N, H, W, 3), uint8.
        exponent: Exponent p of the error map.
        alpha: Slope of the reliability map.

    Returns:
        The normalised distorted image (H, W, 1), its error map and its average reliability map,
        both (ceil(H / 4), ceil(W / 4), 1), all with the batch axis in front if there was one;
        float32.

    Raises:
        ValueError: For what `normalize` or `error_map` refuses.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    reference = normalize(features["reference_image"])
    distorted = normalize(features["distorted_image"])
    target = downscale(error_map(reference, distorted, exponent=exponent))
    reliability = downscale(average_reliability_map(distorted, alpha=alpha))
    return distorted, target, reliability


def to_score_example(
    features: Features, *, alpha: float = DEFAULT_ALPHA
) -> tuple[Features, tf.Tensor]:
    """Turns one image of a database into what step 2 trains on.

    Args:
        features: `distorted_image` (H, W, 3), uint8, and `quality`, in 0..1.
        alpha: Slope of the reliability map.

    Returns:
        The inputs of the score model, `normalized` (H, W, 1) and `hand_crafted` (2,), and the
        quality; float32.

    Raises:
        ValueError: For what `normalize` refuses.

    Chapter: notebooks/07-regressing-the-score.ipynb
    """
    image = features["distorted_image"]
    inputs = {
        "normalized": normalize(image),
        "hand_crafted": hand_crafted_features(image, alpha=alpha),
    }
    return inputs, tf.cast(features["quality"], tf.float32)


def error_map_batches(
    dataset: tf.data.Dataset,
    *,
    batch_size: int,
    patch_size: int | None = None,
    patches_per_image: int = 1,
    seed: int | None = None,
    exponent: float = DEFAULT_EXPONENT,
    alpha: float = DEFAULT_ALPHA,
    memory_limit: int = MEMORY_LIMIT,
    disk_limit: int = DISK_LIMIT,
) -> tf.data.Dataset:
    """Makes the batches of step 1.

    Args:
        dataset: Images of a database, as `datasets.load` gives them.
        batch_size: Images or patches per batch; 1 where whole images differ in size.
        patch_size: Side of square patches in pixels, a multiple of four from 48, cut at random;
            None for whole images. Maps are made from whole images before they are cut, so r-hat
            keeps its mean of one over the image.
        patches_per_image: Number of patches that an epoch has of each image.
        seed: Shuffles, crops and flips anew in every epoch. Together with TensorFlow's global seed
            it gives one sequence. None keeps the order, for validation; patches need a seed.
        exponent: Exponent p of the error map.
        alpha: Slope of the reliability map.
        memory_limit: Bytes. Normalised images and maps, about 4.5 bytes a pixel, are kept in memory
            if they need no more.
        disk_limit: Bytes. If they need more than that, but no more than this, this function makes
            them all and writes them below the folder that `DIQA_CACHE_DIR` names (the user's cache
            folder without it), until the batches or the process are gone. If they need more still,
            and where nobody knows how many images there are, they are made anew in every epoch.
            Unless they are in memory, examples and patches are shuffled within a window of 32 MiB:
            let `datasets.load` shuffle the images with a seed.

    Returns:
        A dataset of (normalised images, error maps, reliability maps); float32.

    Raises:
        ValueError: If the dataset is empty, the patch size is no multiple of four from 48 to the
            size of the images, there are no patches per image, or patches have no seed.
        OSError: If the disk has no room for what `disk_limit` allows.
        tf.errors.InvalidArgumentError: While iterating, if images differ in size and one is
            smaller than a patch.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    _check_patches(dataset, patch_size, patches_per_image, seed)
    make = partial(to_error_map_example, exponent=exponent, alpha=alpha)
    store = choose_store(dataset, make, memory_limit, disk_limit)
    examples = dataset.map(make, num_parallel_calls=tf.data.AUTOTUNE)
    if store.place is not None:
        examples = store.fill(examples.cache(store.place))
    if seed is not None:
        examples = examples.shuffle(store.window, seed=seed)
    if patch_size is not None:
        number = patches_per_image
        examples = random_patches(examples, store, patch_size, number, seed)
    return examples.batch(batch_size).prefetch(2).with_options(UNTUNED)


def score_batches(
    dataset: tf.data.Dataset,
    *,
    batch_size: int,
    seed: int | None = None,
    alpha: float = DEFAULT_ALPHA,
    memory_limit: int = MEMORY_LIMIT,
    disk_limit: int = DISK_LIMIT,
) -> tf.data.Dataset:
    """Makes the batches of step 2: whole images.

    Args:
        dataset: Images of a database, as `datasets.load` gives them.
        batch_size: Images per batch; 1 where they differ in size.
        seed: Shuffles anew in every epoch; together with TensorFlow's global seed it gives one
            sequence. None keeps the order.
        alpha: Slope of the reliability map.
        memory_limit: Bytes. Normalised images, 4 bytes a pixel, are kept in memory if they need no
            more.
        disk_limit: Bytes. If they need more than that, but no more than this, they are kept on
            disk, else made anew in every epoch, which `error_map_batches` explains.

    Returns:
        A dataset of (inputs of the score model, quality); float32.

    Raises:
        ValueError: If the dataset is empty.
        OSError: If the disk has no room for what `disk_limit` allows.

    Chapter: notebooks/07-regressing-the-score.ipynb
    """
    make = partial(to_score_example, alpha=alpha)
    store = choose_store(dataset, make, memory_limit, disk_limit)
    examples = dataset.map(make, num_parallel_calls=tf.data.AUTOTUNE)
    if store.place is not None:
        examples = store.fill(examples.cache(store.place))
    if seed is not None:
        examples = examples.shuffle(store.window, seed=seed)
    return examples.batch(batch_size).prefetch(2).with_options(UNTUNED)


@dataclass(frozen=True)
class Store:
    """Where the examples of a dataset are kept between epochs.

    Attributes:
        place: Argument of `cache`: a file, "" for memory, or None to make examples anew in every
            epoch.
        window: Number of examples that are shuffled at a time.
        folder: Folder of the file, deleted with the dataset that reads it.
    """

    place: str | None
    window: int
    folder: tempfile.TemporaryDirectory[str] | None = None

    def fill(self, examples: tf.data.Dataset) -> tf.data.Dataset:
        """Writes the file, if there is one, so that any number of iterators can read it.

        Raises:
            OSError: If the disk fills up.
        """
        if self.folder is None:
            return examples
        weakref.finalize(examples, self.folder.cleanup)
        try:
            for _ in examples.with_options(UNTUNED):
                pass
        except tf.errors.ResourceExhaustedError as error:
            raise OSError(f"The disk of {self.folder.name} is full: {WAYS_OUT}.") from error
        return examples


def choose_store(
    dataset: tf.data.Dataset, make: Callable[[Features], Any], memory_limit: int, disk_limit: int
) -> Store:
    """Chooses where examples are kept, by the bytes that they need and the limits.

    Raises:
        ValueError: If the dataset is empty.
        OSError: If the disk has no room for what `disk_limit` allows.
    """
    first = next(iter(dataset.take(1)), None)
    if first is None:
        raise ValueError("The dataset is empty: there is nothing to make batches of.")
    arrays = [np.asarray(values) for values in tf.nest.flatten(make(first))]
    each = sum(array.nbytes for array in arrays)
    number = int(dataset.cardinality())  # negative where nobody knows
    if 0 < number * each <= memory_limit:
        return Store("", number)  # the buffer holds references to what is kept, not copies
    window = max(1, SHUFFLED_BYTES // each)
    if not 0 < number * each <= disk_limit:
        return Store(None, window)
    root = cache_folder() / "examples"
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if number * each > free:
        raise OSError(
            f"The examples need {number * each / MIB:,.0f} MiB on the disk of {root}, which has "
            f"{free / MIB:,.0f} MiB left: {WAYS_OUT}."
        )
    folder = tempfile.TemporaryDirectory(dir=root)
    return Store(f"{folder.name}/examples", window, folder)


def random_patches(
    examples: tf.data.Dataset, store: Store, patch_size: int, number: int, seed: int | None
) -> tf.data.Dataset:
    """Cuts random patches, in turn one of every image or all of an image at once."""
    if store.place == "":
        images = examples.repeat(number)
    else:  # reading them again would cost more than the patches of one image in a row
        images = examples.flat_map(
            lambda *example: tf.data.Dataset.from_tensors(example).repeat(number)
        )
        if (count := int(examples.cardinality())) >= 0:
            images = images.apply(tf.data.experimental.assert_cardinality(count * number))
    # A fresh pair of numbers for every patch of every epoch, from one seed.
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    patches = tf.data.Dataset.zip(images, seeds).map(
        lambda example, numbers: _random_patch(example, patch_size, numbers),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    if store.place == "":
        return patches
    window = SHUFFLED_BYTES // (patch_size**2 * BYTES_PER_PIXEL)
    return patches.shuffle(int(window), seed=seed)


def _random_patch(
    example: tuple[tf.Tensor, tf.Tensor, tf.Tensor], patch_size: int, seed: tf.Tensor
) -> tuple[Any, ...]:
    """Cuts the same square from image and maps, and mirrors half of all squares."""
    normalized, target, reliability = example
    cells = patch_size // OUTPUT_STRIDE
    # Whole cells only: the last cell of a side that is no multiple of four has fewer pixels.
    free = tf.shape(normalized)[:2] // OUTPUT_STRIDE - cells + 1
    tf.debugging.assert_positive(free, f"An image is smaller than patch_size = {patch_size}.")
    uniform = tf.random.stateless_uniform((3,), seed=seed)
    row, column = tf.unstack(tf.cast(uniform[:2] * tf.cast(free, tf.float32), tf.int32))
    mirrored = uniform[2] < 0.5

    def cut(values: tf.Tensor, side: int, top: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        columns = left + tf.range(side)
        columns = tf.where(mirrored, columns[::-1], columns)
        patch = tf.gather(values[top : top + side], columns, axis=1)
        return tf.ensure_shape(patch, (side, side, 1))

    return (
        cut(normalized, patch_size, row * OUTPUT_STRIDE, column * OUTPUT_STRIDE),
        cut(target, cells, row, column),
        cut(reliability, cells, row, column),
    )


def _check_patches(
    dataset: tf.data.Dataset, patch_size: int | None, patches_per_image: int, seed: int | None
) -> None:
    if patch_size is None:
        return
    if seed is None:
        raise ValueError("Random patches need a seed.")
    if patches_per_image < 1:
        raise ValueError(f"patches_per_image must be at least 1, not {patches_per_image}.")
    if patch_size % OUTPUT_STRIDE or patch_size < MINIMUM_SIZE:
        raise ValueError(
            f"patch_size must be a multiple of {OUTPUT_STRIDE}, {MINIMUM_SIZE} or more, "
            f"not {patch_size}."
        )
    height, width = sides = dataset.element_spec["distorted_image"].shape[:2]
    if any(side is not None and side < patch_size for side in sides):
        raise ValueError(
            f"patch_size is {patch_size}, but the images are only {height} x {width} pixels."
        )
