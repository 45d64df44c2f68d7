"""Spatial distortions: jitter, patches, pixelation, quantisation and colour blocks."""

import numpy as np
from PIL import Image
from scipy import ndimage

from diqa_utils.distortions.common import to_uint8

JITTER_SIGMA = (0.4, 0.8, 1.4, 2.3, 3.8)
PATCH_SHARE = (0.05, 0.15, 0.3, 0.55, 1.0)
PIXEL_SIDE = (1.6, 2.4, 3.6, 5.5, 9.0)
QUANTIZED_VALUES = (20, 12, 8, 5, 3)
BLOCK_SHARE = (0.03, 0.08, 0.15, 0.28, 0.5)

#: The side of the largest patches, and how far patches come from, in pixels.
PATCH, REACH = 16, 12

#: A patch or block is at most this part of the shorter side of the picture. It lies at a random
#: place in a cell of a grid, larger than itself by the factor ROOM, so that none covers another.
PART_OF_SIDE, ROOM = 8, 1.5


def jitter(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Takes each pixel from a place nearby, as through ground glass."""
    height, width, channels = image.shape
    offsets = JITTER_SIGMA[level - 1] * rng.standard_normal((2, height, width), np.float32)
    places = np.indices((height, width), np.float32) + offsets
    moved = [
        ndimage.map_coordinates(image[..., c].astype(np.float32), places, order=1, mode="mirror")
        for c in range(channels)
    ]
    return to_uint8(np.stack(moved, axis=-1))


def non_eccentricity_patch(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Covers small squares with what stands a little beside them: hard to see, as in TID2013."""
    side = min(PATCH, _block_side(image))
    corners = _scattered_corners(image, side, rng)
    offsets = rng.integers(-REACH, REACH, corners.shape, endpoint=True)
    sources = np.clip(corners + offsets, 0, np.array(image.shape[:2]) - side)
    count = _count(PATCH_SHARE[level - 1], corners)
    result = image.copy()
    result[_squares(corners[:count], side)] = image[_squares(sources[:count], side)]
    return result


def pixelate(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Averages the picture over large pixels."""
    height, width = image.shape[:2]
    side = PIXEL_SIDE[level - 1]
    few = max(1, round(width / side)), max(1, round(height / side))
    small = Image.fromarray(image).resize(few, Image.Resampling.BOX)
    return np.array(small.resize((width, height), Image.Resampling.NEAREST))


def quantization(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Leaves few values, the same for all channels, and chooses them well: Otsu's method."""
    histogram = np.bincount(image.ravel(), minlength=256)
    return to_uint8(_class_means(histogram, QUANTIZED_VALUES[level - 1]))[image]


def _class_means(histogram: np.ndarray, classes: int) -> np.ndarray:
    """The mean of the class that each of the values 0..255 falls into, (256,).

    The classes are the neighbouring values with the least variance within, which Otsu's criterion
    asks for; found exactly by dynamic programming.

    Source:
        Otsu: A Threshold Selection Method from Gray-Level Histograms. IEEE Trans. Systems, Man, and
            Cybernetics 9(1), 1979. https://doi.org/10.1109/TSMC.1979.4310076
    """
    values = np.arange(256)
    count, total, squares = (
        np.concatenate([[0], np.cumsum(histogram * values**power)]) for power in range(3)
    )
    # mean[i, j] and error[i, j]: of a class that holds the values i, ..., j - 1
    inside = np.maximum(count - count[:, None], 1)
    mean = (total - total[:, None]) / inside
    error = (squares - squares[:, None]) - mean * (total - total[:, None])
    error[np.tril_indices(257, -1)] = np.inf
    least, cuts = error[0], []  # least[j]: of the values below j
    for _ in range(classes - 1):
        with_one_more = least[:, None] + error
        cuts.append(with_one_more.argmin(axis=0))
        least = with_one_more.min(axis=0)
    result, end = np.empty(256), 256
    for cut in [*reversed(cuts), np.zeros(257, int)]:
        start = cut[end]
        result[start:end] = mean[start, end]
        end = start
    return result


def color_block(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Covers squares with one colour each."""
    side = _block_side(image)
    corners = _scattered_corners(image, side, rng)
    colors = rng.integers(0, 256, (len(corners), 1, 1, 3), np.uint8)
    count = _count(BLOCK_SHARE[level - 1], corners)
    result = image.copy()
    result[_squares(corners[:count], side)] = colors[:count]
    return result


def _block_side(image: np.ndarray) -> int:
    return max(1, min(image.shape[:2]) // PART_OF_SIDE)


def _scattered_corners(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Upper left corners (N, 2) of squares that do not overlap, in random order.

    A weak level takes the first few, and a strong one some more.
    """
    size = np.array(image.shape[:2])
    cells = np.maximum(size // np.ceil(ROOM * side).astype(int), 1)
    grid = np.indices(cells).reshape(2, -1).T
    first, end = grid * size // cells, (grid + 1) * size // cells
    return rng.permutation(rng.integers(first, end - side, endpoint=True))


def _count(share: float, corners: np.ndarray) -> int:
    return int(np.ceil(share * len(corners)))


def _squares(corners: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pixels of N squares: they broadcast to (N, side, side)."""
    y, x = corners[:, 0, None, None], corners[:, 1, None, None]
    within = np.arange(side)
    return y + within[:, None], x + within
