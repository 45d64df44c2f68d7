"""Large pictures, tile by tile.

A tile is looked at together with its surroundings, so that what is found in it is what would have
been found in the whole picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: Side of a tile, in pixels. With its surroundings it is what has to fit into memory.
SIDE = 1024

#: How far around a tile the picture is looked at, in pixels; f at half size sees 45 of them on
#: each side, and the low-frequency band that is taken away first reaches some further.
HALO = 96


@dataclass(frozen=True)
class Tile:
    """A tile of a picture, and where it lies.

    Attributes:
        pixels: the tile with its surroundings, (h, w, C).
        top: first row of the tile in the picture; left: its first column.
        height: rows of the tile without surroundings; width: its columns.
        above: rows of surroundings above it; before: columns of surroundings at its left.
    """

    pixels: np.ndarray
    top: int
    left: int
    height: int
    width: int
    above: int
    before: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the tile within its pixels."""
        return self.above, self.before, self.height, self.width


def tiles(picture: np.ndarray) -> Iterator[Tile]:
    """Yields the tiles of a picture (H, W, C), row by row; one tile where it is small."""
    for top, height in _stretches(picture.shape[0]):
        for left, width in _stretches(picture.shape[1]):
            first, start = max(0, top - HALO), max(0, left - HALO)
            rows = slice(first, top + height + HALO)
            columns = slice(start, left + width + HALO)
            pixels = picture[rows, columns]
            yield Tile(pixels, top, left, height, width, top - first, left - start)


def _stretches(length: int) -> Iterator[tuple[int, int]]:
    """Cuts a side into (start, length); the last one takes a short rest along."""
    starts = range(0, max(1, length - SIDE // 2), SIDE)
    for start in starts:
        last = start == starts[-1]
        yield start, length - start if last else SIDE
