"""Rated pictures as a predictor takes them, in files."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np


class RatedPictures:
    """Pictures in the form in which a predictor takes them, in files, with their ratings.

    Pictures may differ in size. DIQA's are read from the disk as they are needed, so the memory
    that they take does not grow with their number.

    Args:
        folder: as `prepare_pictures` wrote it.

    Attributes:
        image_ids: (N,), text.
        quality: (N,), 0..1.
        extras: (N, K), what the predictor takes of each picture besides its pixels: the statistics
            of the extended predictor, which takes nothing else; [mu_r, sigma_low] of DIQA.
        sizes: (N, 2), height and width; zero for the extended predictor.

    Raises:
        FileNotFoundError: if there are no prepared pictures in the folder.

    Chapter: notebooks/11-human-ratings.ipynb
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
        """Returns the rows of some pictures, (n,).

        Raises:
            ValueError: if one of them is not there.
        """
        row_of = {name: row for row, name in enumerate(self.image_ids.tolist())}
        if missing := [name for name in image_ids if name not in row_of]:
            raise ValueError(f"{missing[0]!r} is not one of the prepared pictures.")
        return np.array([row_of[name] for name in image_ids], dtype=np.int64)
