"""Large pictures, tile by tile.

A tile is looked at together with its surroundings, so that what is measured in it is what would
have been measured in the whole picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: Side of a tile, in pixels. With its surroundings it is what has to fit into memory.
SIDE = 1024

#: How far around a tile the picture is looked at, in pixels. Statistics at an eighth of the size
#: and f both reach less than 48.
HALO = 64

#: (top, left, height, width) of a part of a picture, in pixels.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Tile:
    """A tile of a picture.

    Attributes:
        pixels: The tile with its surroundings, (h, w, C).
        place: Box of the tile in the picture.
        inside: Box of the tile in its pixels.
    """

    pixels: np.ndarray
    place: Box
    inside: Box


def tiles(picture: np.ndarray) -> Iterator[Tile]:
    """Yields the tiles of a picture (H, W, C), row by row; one tile where it is small."""
    for top, height in _stretches(picture.shape[0]):
        for left, width in _stretches(picture.shape[1]):
            above, before = min(top, HALO), min(left, HALO)
            rows = slice(top - above, top + height + HALO)
            columns = slice(left - before, left + width + HALO)
            place, inside = (top, left, height, width), (above, before, height, width)
            yield Tile(picture[rows, columns], place, inside)


def cells(box: Box, step: int) -> tuple[slice, slice]:
    """Returns where a box lies in a map that has a cell for `step` pixels a side."""
    top, left, height, width = box
    rows = slice(top // step, (top + height) // step)
    return rows, slice(left // step, (left + width) // step)


def _stretches(length: int) -> Iterator[tuple[int, int]]:
    """Cuts a side into (start, length); the last one takes a short rest along."""
    starts = range(0, max(1, length - SIDE // 2), SIDE)
    for start in starts:
        yield start, length - start if start == starts[-1] else SIDE
