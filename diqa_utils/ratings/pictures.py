"""Rated pictures as a predictor takes them, in files."""

import shutil
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils._internal.arrays import MINIMUM_SIZE
from diqa_utils._internal.files import PACKAGE, read_arrays, write_atomically
from diqa_utils._internal.tensorflow import compiled
from diqa_utils._internal.threads import cores, map_ahead
from diqa_utils.image_statistics import image_statistics
from diqa_utils.maps import DEFAULT_ALPHA, hand_crafted_features
from diqa_utils.preprocessing import normalize

__all__ = ["RatedPictures", "prepare_pictures"]

#: Whose change makes prepared pictures and worse copies stale.
SOURCES = (
    "full_reference.py",
    "image_statistics.py",
    "maps.py",
    "preprocessing.py",
    "ratings/copies.py",
    "ratings/pictures.py",
    *(f"distortions/{path.name}" for path in sorted((PACKAGE / "distortions").glob("*.py"))),
)

#: What the table of prepared pictures holds, and the bytes of one number in `pixels.float16`.
COLUMNS = ("image_ids", "quality", "extras", "sizes")
PIXEL_BYTES = 2


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
        ValueError: A file in it is damaged.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        path = Path(folder)
        file = path / "table.npz"
        if not file.exists():
            raise FileNotFoundError(f"There are no prepared pictures in {str(path)!r}.")
        remedy = f"delete the folder {str(path)!r}, and its pictures are prepared anew"
        table = read_arrays(file, remedy)
        _check_table(table, f"{str(file)!r} is damaged: {remedy}.")
        self.image_ids, self.quality, self.extras, self.sizes = (table[name] for name in COLUMNS)
        self._starts = np.concatenate([[0], np.cumsum(np.prod(self.sizes, axis=1))])
        pixels, wanted = path / "pixels.float16", int(self._starts[-1])
        if not pixels.exists() or pixels.stat().st_size != wanted * PIXEL_BYTES:
            raise ValueError(f"{str(pixels)!r} is missing or of the wrong length: {remedy}.")
        if wanted:
            self._pixels = np.memmap(pixels, np.float16, mode="r")

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
            predictor less than one kilobyte for each picture. What was prepared there before is
            replaced; `RatedPictures` opens it as it is.
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

    @compiled
    def numbers(picture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if predictor == "extended":
            return tf.zeros((0, 0, 1), tf.float16), image_statistics(picture)
        features = hand_crafted_features(picture, alpha=alpha)
        return tf.cast(normalize(picture), tf.float16), features

    def measured(example: dict[str, Any]) -> tuple[Any, ...]:
        picture, image_id = example["distorted_image"], example["image_id"].decode()
        check_size(image_id, picture.shape)
        pixels, extras = numbers(tf.constant(picture))
        return pixels.numpy(), image_id, example["quality"], extras.numpy()

    def write(place: Path) -> None:
        place.mkdir()
        examples = map_ahead(measured, dataset.as_numpy_iterator(), ahead=cores())
        number = max(0, int(dataset.cardinality())) or None
        bar = tqdm(examples, "preparing", number, disable=not progress, leave=False)
        rows = []
        with open(place / "pixels.float16", "wb") as file:
            for pixels, *row in bar:
                file.write(pixels.tobytes())
                rows.append((*row, pixels.shape[:2]))
        if not rows:
            raise ValueError("The dataset is empty: there is nothing to prepare.")
        columns: dict[str, Any] = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
        np.savez(place / "table.npz", **columns)
        shutil.rmtree(path, ignore_errors=True)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)
    return RatedPictures(path)


def check_size(image_id: str, size: Sequence[int], smallest: int = MINIMUM_SIZE) -> None:
    """Raises a ValueError that names a picture if a side of it has too few pixels.

    Args:
        image_id: Id of the picture.
        size: Height and width; what follows does not count.
        smallest: Pixels that each side needs.
    """
    if min(size[:2]) < smallest:
        raise ValueError(
            f"{image_id!r} is {size[0]} x {size[1]} pixels, and {smallest} x {smallest} are needed "
            "at least: leave it out of the table"
            + ("." if smallest == MINIMUM_SIZE else ", or lower crop_size in the recipe.")
        )


def _check_table(table: dict[str, np.ndarray], message: str) -> None:
    """Raises a ValueError if arrays are not those of prepared pictures."""
    if table.keys() != set(COLUMNS):
        raise ValueError(message)
    ids, quality, extras, sizes = (table[name] for name in COLUMNS)
    number = len(ids) if ids.ndim == 1 else -1
    shapes = quality.shape == (number,) and extras.shape[:1] == sizes.shape[:1] == (number,)
    kinds = "".join(values.dtype.kind for values in (ids, quality, extras, sizes))
    if not (shapes and kinds == "Uffi" and extras.ndim == 2 and sizes.shape[1:] == (2,)):
        raise ValueError(message)
    if not (np.isfinite(quality).all() and np.isfinite(extras).all() and (sizes >= 0).all()):
        raise ValueError(message)
