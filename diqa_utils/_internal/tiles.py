"""Large pictures, tile by tile.

A tile is looked at together with its surroundings, so that what is found in it is what would have
been found in the whole picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: Side of a tile, in pixels. With its surroundings it is what has to fit into memory.
SIDE = 1024

#: How far around a tile the picture is looked at, in pixels. Statistics at an eighth of the size
#: and f both reach less than 48.
HALO = 64


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

    def place(self, step: int) -> tuple[slice, slice]:
        """Where the tile lies in a map of the picture that has a cell for `step` pixels a side."""
        return _span(self.top, self.height, step), _span(self.left, self.width, step)

    def inside(self, step: int) -> tuple[slice, slice]:
        """Where the tile lies in such a map of its own pixels."""
        return _span(self.above, self.height, step), _span(self.before, self.width, step)


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


def _span(start: int, length: int, step: int) -> slice:
    return slice(start // step, (start + length) // step)
