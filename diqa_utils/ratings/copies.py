"""Copies of pictures that get worse: how they are made and measured, and put in order.

People rated photographs as they are. What happens to a photograph on its way, compression,
enlargement, noise, they did not rate; so the extended predictor learns from copies too, of which
it is known without raters which is worse. Of copies of one picture the strength of the damage says
it; of copies of two pictures without faults, two full-reference metrics do, where they agree.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image
from scipy import stats
from tqdm.auto import tqdm

from diqa_utils._internal.tensorflow import compiled
from diqa_utils._internal.threads import cores, map_ahead
from diqa_utils.distortions import DISTORTIONS, LEVELS, distort
from diqa_utils.full_reference import haarpsi, mdsi
from diqa_utils.image_statistics import image_statistics
from diqa_utils.metrics import srcc

__all__ = [
    "Damage",
    "WorseCopies",
    "clear_pairs",
    "damaged_at_random",
    "damaged_in_every_way",
    "measure_copies",
    "order_of_copies",
]

#: Side of the squares that are cut from pictures to make copies of, in pixels.
SQUARE = 384

#: The share of pictures that are damaged in one way before they are damaged in another, and up to
#: which level; and the share of pristine pictures that are halved first.
DAMAGED_BEFORE, HIGHEST_BEFORE = 0.3, 3
HALVED = 0.3

#: Pairs of copies that are drawn, to keep those of which it is clear which is worse.
CANDIDATE_PAIRS = 200_000


class Damage(NamedTuple):
    """What makes copies of a picture worse from level to level.

    Attributes:
        kind: Name of one of `DISTORTIONS`.
        seed: Seed of what is random in it.
        before: Name of what has damaged the picture already, and its level; None if nothing has.
    """

    kind: str
    seed: int
    before: tuple[str, int] | None = None


@dataclass(frozen=True)
class WorseCopies:
    """Statistics of pictures and of copies of them that get worse from level to level.

    Attributes:
        statistics: float32 (n, 6, 448), as `image_statistics` gives them: of each picture, and of
            its copies at the five levels.
        metrics: float32 (n, 6, 2): MDSI, its sign turned, and HaarPSI against the picture before
            all damage; higher is better.
        pristine: bool (n,): whether that picture had no visible faults, so that its copies can be
            compared with those of others.
        kinds: text (n,): what the copies were damaged with.
    """

    statistics: np.ndarray
    metrics: np.ndarray
    pristine: np.ndarray
    kinds: np.ndarray

    def ranks(self) -> np.ndarray:
        """Returns the share of all copies that each metric finds worse: (n, 6, 2), 0..1."""
        flat = self.metrics.reshape(-1, self.metrics.shape[-1])
        return (stats.rankdata(flat, axis=0) / len(flat)).reshape(self.metrics.shape)


def damaged_at_random(
    rated: Iterable[np.ndarray], pristine: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, Damage, bool]]:
    """Says of pictures how they are to be damaged: a rated one and a pristine one by turns.

    Of each picture a square is taken: the middle of a rated one, any part of a pristine one, which
    may be halved and mirrored. Each distortion is as likely as the others, and some pictures are
    damaged in another way before.

    Args:
        rated: uint8 (H, W, 3).
        pristine: uint8 (H, W, 3), without visible faults; there may be none.

    Yields:
        A square, its damage, and whether it is pristine: the same ones in each run.
    """
    kinds = tuple(DISTORTIONS)
    for number, picture in enumerate(rated):
        rng = np.random.default_rng([0, number])
        squares = [(_middle(picture), False)]
        if pristine:
            squares.append((_any_part(pristine[number % len(pristine)], rng), True))
        for square, is_pristine in squares:
            before = None
            if rng.random() < DAMAGED_BEFORE:
                before = str(rng.choice(kinds)), int(rng.integers(1, HIGHEST_BEFORE + 1))
            yield (
                square,
                Damage(str(rng.choice(kinds)), int(rng.integers(2**31)), before),
                is_pristine,
            )


def damaged_in_every_way(
    pristine: Sequence[np.ndarray],
) -> Iterator[tuple[np.ndarray, Damage, bool]]:
    """Yields the middle of each pristine picture with each distortion, as `damaged_at_random`."""
    for number, picture in enumerate(pristine):
        for kind in DISTORTIONS:
            yield _middle(picture), Damage(kind, seed=number), True


def measure_copies(
    pictures: Iterable[tuple[np.ndarray, Damage, bool]], *, number: int, progress: bool = True
) -> WorseCopies:
    """Measures pictures and copies of them that get worse level by level.

    Args:
        pictures: uint8 (H, W, 3), how each is damaged, and whether it is pristine.
        number: How many of them to take, from the first on.
        progress: Whether to show a progress bar.

    Returns:
        What was measured of `number` pictures, or of fewer if there are fewer.

    Raises:
        ValueError: There is no picture, or one that `image_statistics` refuses.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    @compiled
    def measure(copies: tf.Tensor, picture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        unit = tf.cast(copies, tf.float32) / 255
        reference = tf.broadcast_to(tf.cast(picture, tf.float32) / 255, tf.shape(unit))
        metrics = tf.stack([-mdsi(reference, unit), haarpsi(reference, unit)], axis=-1)
        return image_statistics(copies), metrics

    def worse(job: tuple[np.ndarray, Damage, bool]) -> tuple[Any, ...]:
        picture, damage, is_pristine = job
        start = distort(picture, *damage.before, seed=damage.seed) if damage.before else picture
        copies = [distort(start, damage.kind, level, seed=damage.seed) for level in LEVELS]
        measured = measure(tf.constant(np.stack([start, *copies])), tf.constant(picture))
        return *(values.numpy() for values in measured), is_pristine, damage.kind

    rows = map_ahead(worse, islice(pictures, number), ahead=cores())
    bar = list(tqdm(rows, "worse copies", number, disable=not progress, leave=False))
    if not bar:
        raise ValueError("There are no pictures to make worse copies of.")
    return WorseCopies(*map(np.array, zip(*bar, strict=True)))


def clear_pairs(copies: WorseCopies, gap: float) -> np.ndarray:
    """Draws pairs of copies of pristine pictures of which both metrics say which is worse.

    Args:
        copies: What was measured of pictures and their copies.
        gap: Share of all copies that must lie between the two, by each metric.

    Returns:
        Rows of the better and of the worse one of each pair, counted over all copies, (n, 2).
    """
    ranks = copies.ranks().reshape(-1, 2)
    pristine = np.flatnonzero(np.repeat(copies.pristine, copies.metrics.shape[1]))
    if not len(pristine):
        return np.empty((0, 2), np.int64)
    pairs = np.random.default_rng(0).choice(pristine, (CANDIDATE_PAIRS, 2))
    ahead = ranks[pairs[:, 0]] - ranks[pairs[:, 1]]  # (n, 2), of each metric
    return pairs[ahead.min(axis=1) > gap]


def order_of_copies(copies: WorseCopies, quality: np.ndarray) -> dict[str, Any]:
    """Measures how well scores put copies of pristine pictures in order.

    Args:
        copies: What `measure_copies` gives of pictures that are `damaged_in_every_way`.
        quality: Scores of all copies, (n, 6).

    Returns:
        "levels", the mean SRCC of the score with the level of the damage, within a picture and a
        kind of damage; "levels_by_kind", the same for each kind; "scenes", the SRCC over all copies
        with the mean rank that the two full-reference metrics give them.
    """
    levels = np.arange(quality.shape[1])
    by_picture = np.array([srcc(row, -levels) for row in quality])
    by_kind = {
        kind: float(by_picture[copies.kinds == kind].mean())
        for kind in dict.fromkeys(copies.kinds.tolist())
    }
    return {
        "levels": float(by_picture.mean()),
        "scenes": srcc(quality.ravel(), copies.ranks().mean(axis=-1).ravel()),
        "levels_by_kind": by_kind,
    }


def _middle(picture: np.ndarray) -> np.ndarray:
    """Cuts the square in the middle of a picture, or what there is of it."""
    top, left = (max(0, side - SQUARE) // 2 for side in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + SQUARE, left : left + SQUARE])


def _any_part(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cuts a square from a picture at random: of its own size or half of it, mirrored or not."""
    if rng.random() < HALVED and min(picture.shape[:2]) >= SQUARE:
        picture = np.asarray(Image.fromarray(picture).reduce(2))
    top, left = (int(rng.integers(max(1, side - SQUARE + 1))) for side in picture.shape[:2])
    square = picture[top : top + SQUARE, left : left + SQUARE]
    return np.ascontiguousarray(square[:, ::-1] if rng.random() < 0.5 else square)
