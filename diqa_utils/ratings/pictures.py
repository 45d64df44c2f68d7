"""Rated pictures as a predictor takes them, in files, and copies of pictures that get worse."""

import shutil
from collections.abc import Iterable, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils._internal.files import write_atomically
from diqa_utils._internal.tensorflow import as_it_is, compiled, untuned
from diqa_utils._internal.threads import map_ahead
from diqa_utils.distortions import FAMILIES, LEVELS, distort
from diqa_utils.image_statistics import image_statistics
from diqa_utils.maps import DEFAULT_ALPHA, hand_crafted_features
from diqa_utils.preprocessing import normalize

__all__ = ["RatedPictures", "falling_statistics", "prepare_pictures"]

#: The damage that a person minds whatever the picture shows.
FALLING_FAMILIES = ("blur", "compression", "noise")


class RatedPictures:
    """Pictures in the form in which a predictor takes them, in files, with their ratings.

    Pictures may differ in size. DIQA's are read from the disk as they are needed, so the memory
    that they take does not grow with their number.

    Args:
        folder: What `prepare_pictures` wrote.

    Attributes:
        image_ids: (N,), text.
        quality: (N,), 0..1.
        extras: (N, K), what the predictor takes of each picture besides its pixels: the statistics
            of the extended predictor, which takes nothing else; [mu_r, sigma_low] of DIQA.
        sizes: (N, 2), height and width; zero for the extended predictor.

    Raises:
        FileNotFoundError: There are no prepared pictures in the folder.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        path = Path(folder)
        if not (path / "table.npz").exists():
            raise FileNotFoundError(f"There are no prepared pictures in {str(path)!r}.")
        with np.load(path / "table.npz", allow_pickle=False) as table:
            self.image_ids, self.quality, self.extras, self.sizes = (
                table[name] for name in ("image_ids", "quality", "extras", "sizes")
            )
        self._starts = np.concatenate([[0], np.cumsum(np.prod(self.sizes, axis=1))])
        if self._starts[-1]:
            self._pixels = np.memmap(path / "pixels.float16", np.float16, mode="r")

    def __len__(self) -> int:
        return len(self.quality)

    def normalized(self, row: int) -> np.ndarray:
        """Returns the normalised picture in a row of the table, float16 (H, W, 1)."""
        flat = self._pixels[self._starts[row] : self._starts[row + 1]]
        return flat.reshape(*self.sizes[row], 1)

    def rows_of(self, image_ids: Sequence[str]) -> np.ndarray:
        """Returns the rows of the pictures with these ids, (n,).

        Raises:
            ValueError: One of them is not there.
        """
        row_of = {name: row for row, name in enumerate(self.image_ids.tolist())}
        if missing := [name for name in image_ids if name not in row_of]:
            raise ValueError(f"{missing[0]!r} is not one of the prepared pictures.")
        return np.array([row_of[name] for name in image_ids], dtype=np.int64)


def prepare_pictures(
    dataset: tf.data.Dataset,
    folder: str | PathLike[str],
    *,
    predictor: str = "extended",
    alpha: float = DEFAULT_ALPHA,
    progress: bool = True,
) -> RatedPictures:
    """Turns the pictures of a database into what a predictor takes, and keeps that in files.

    Args:
        dataset: Pictures of a database, as `datasets.load` gives them.
        folder: Where they are kept: for DIQA two megabytes for each megapixel, for the extended
            predictor less than one kilobyte for each picture. What is there already is taken as it
            is.
        predictor: "extended" or "diqa".
        alpha: Slope of the reliability map, for DIQA's mu_r.
        progress: Whether to show a progress bar.

    Returns:
        The pictures.

    Raises:
        ValueError: There are no pictures, or one is too small.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    path = Path(folder)
    if (path / "table.npz").exists():
        return RatedPictures(path)

    def example(features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        picture = features["distorted_image"]
        if predictor == "extended":
            normalized, extras = tf.zeros((0, 0, 1)), image_statistics(picture)
        else:
            normalized = normalize(picture)
            extras = hand_crafted_features(picture, alpha=alpha)
        pixels = tf.cast(normalized, tf.float16)
        return pixels, extras, features["quality"], features["image_id"]

    examples = dataset.map(as_it_is(example), num_parallel_calls=tf.data.AUTOTUNE)
    number = max(0, int(dataset.cardinality())) or None
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)  # what a stop has left
        place.mkdir()
        numbered = untuned(examples.prefetch(8)).as_numpy_iterator()
        bar = tqdm(numbered, "preparing", number, disable=not progress, leave=False)
        sizes, rows = [], []
        with open(place / "pixels.float16", "wb") as file:
            for pixels, *row in bar:
                file.write(pixels.tobytes())
                sizes.append(pixels.shape[:2])
                rows.append(row)
        if not rows:
            raise ValueError("The dataset is empty: there is nothing to prepare.")
        extras, quality, image_ids = zip(*rows, strict=True)
        np.savez(
            place / "table.npz",
            sizes=np.array(sizes),
            extras=np.stack(extras),
            quality=np.array(quality),
            image_ids=np.array([name.decode() for name in image_ids]),
        )

    write_atomically(path, write)
    return RatedPictures(path)


def falling_statistics(
    pictures: Iterable[np.ndarray], *, number: int, progress: bool = True
) -> np.ndarray:
    """Measures pictures and copies of them that get worse level by level.

    Each picture is damaged in one way, at each of the five levels: one of KADID-10k's blurs,
    compressions or noises, each of these families as often as the others.

    Args:
        pictures: uint8 (H, W, 3).
        number: How many of them to take, from the first on.
        progress: Whether to show a progress bar.

    Returns:
        float32 (n, 6, 198): the statistics of each picture and of its five copies, as
        `image_statistics` gives them; n is `number`, or less if there are fewer pictures.

    Raises:
        ValueError: There is no picture, or one that `image_statistics` refuses.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    measure = compiled(image_statistics)

    def worse_copies(numbered: tuple[int, np.ndarray]) -> np.ndarray:
        index, picture = numbered
        rng = np.random.default_rng([0, index])  # the same damage in each run
        kind = str(rng.choice(FAMILIES[str(rng.choice(FALLING_FAMILIES))]))
        noise = int(rng.integers(2**31))
        copies = [distort(picture, kind, level, seed=noise) for level in LEVELS]
        return np.stack([picture, *copies])

    copies = map_ahead(worse_copies, enumerate(islice(pictures, number)), ahead=4)
    bar = tqdm(copies, "worse copies", number, disable=not progress, leave=False)
    statistics = [measure(tf.constant(levels)).numpy() for levels in bar]
    if not statistics:
        raise ValueError("There are no pictures to make worse copies of.")
    return np.stack(statistics)
