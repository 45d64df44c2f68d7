"""Splits by reference image, so that no scene is in two parts of a database.

Where there is no reference and every picture is a scene of its own, `set_aside` splits by a rule
that anybody can repeat from the names alone.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

import numpy as np

__all__ = [
    "assert_disjoint",
    "k_folds_by_reference",
    "repeated_splits",
    "set_aside",
    "split_by_reference",
]

#: The part of `set_aside` that gets what the others leave.
REST = "train"


def split_by_reference(
    reference_ids: Iterable[str], parts: Sequence[float], *, seed: int
) -> tuple[list[str], ...]:
    """Shuffles the distinct references and deals them out in the given proportion.

    Args:
        reference_ids: One id per image, or per reference; repeats and order do not matter.
        parts: Share of each part, for example (80, 20) or (7, 2, 3).
        seed: Seed of the split.

    Returns:
        One sorted list of reference ids per part; together they hold every reference once.

    Raises:
        ValueError: If there are fewer references than parts, no parts at all, or a share is not
            greater than zero.
    """
    references = sorted(set(reference_ids))
    if len(references) < len(parts):
        raise ValueError(f"{len(references)} reference(s) cannot be split into {len(parts)} parts.")
    if not parts or min(parts) <= 0:
        raise ValueError(f"Every share must be greater than zero, not {tuple(parts)}.")
    shuffled = np.random.default_rng(seed).permutation(references)
    bounds = np.round(np.cumsum(parts) / np.sum(parts) * len(references)).astype(int)
    # Even the smallest share gets one reference: each bound exceeds the one before it.
    order = np.arange(1, len(parts) + 1)
    bounds = np.maximum(np.maximum.accumulate(bounds - order), 0) + order
    bounds = np.minimum(bounds, len(references) - len(parts) + order)
    return tuple(sorted(map(str, part)) for part in np.split(shuffled, bounds[:-1]))


def assert_disjoint(**parts: Iterable[str]) -> None:
    """Raises if a reference is in more than one part.

    Args:
        **parts: Reference ids in each part, by its name: `train=..., test=...`.

    Raises:
        ValueError: If two parts share a reference; names both, and what they share.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    sets = {name: set(ids) for name, ids in parts.items()}
    names = list(sets)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            if shared := sets[first] & sets[second]:
                raise ValueError(
                    f"{first} and {second} share {len(shared)} reference(s): "
                    f"{', '.join(sorted(shared)[:5])}. Split by reference, not by image."
                )


def repeated_splits(
    reference_ids: Iterable[str], parts: Sequence[float], *, repeats: int, seed: int
) -> list[tuple[list[str], ...]]:
    """Splits the references several times, as the field does for one number with a spread.

    Args:
        reference_ids: One id per image, or per reference; repeats and order do not matter.
        parts: Share of each part, for example (80, 20).
        repeats: Number of splits.
        seed: Seed of the list of splits.

    Returns:
        One tuple of parts per split, each a sorted list of reference ids.

    Raises:
        ValueError: If there are no repeats, fewer references than parts, no parts at all, or a
            share is not greater than zero.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, not {repeats}.")
    references = sorted(set(reference_ids))
    seeds = np.random.SeedSequence(seed).generate_state(repeats)
    return [split_by_reference(references, parts, seed=int(number)) for number in seeds]


def k_folds_by_reference(
    reference_ids: Iterable[str], k: int, *, seed: int
) -> list[tuple[list[str], list[str]]]:
    """Deals the references into k parts, each of which is the test once.

    Args:
        reference_ids: One id per image, or per reference; repeats and order do not matter.
        k: Number of folds, two or more.
        seed: Seed of the list of folds.

    Returns:
        One (training, test) pair per fold, each a sorted list of reference ids. Every reference
        is in the test of exactly one fold.

    Raises:
        ValueError: If there are fewer references than folds, or fewer than two folds.
    """
    if k < 2:
        raise ValueError(f"k must be at least 2, not {k}: one fold leaves nothing to train on.")
    references = sorted(set(reference_ids))
    folds = split_by_reference(references, (1,) * k, seed=seed)
    return [(sorted(set(references) - set(test)), test) for test in folds]


def set_aside(image_ids: Iterable[str], counts: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Sets pictures aside by a fixed rule: in the order of the SHA-256 of their ids.

    The rule needs no seed and no random generator, so that another program, in another language,
    finds the same parts. It is for pictures without a reference, each a scene of its own. It goes
    by the pictures that are given: a whole release makes other parts than a part of it.

    Args:
        image_ids: One id per picture, each once; their order does not matter.
        counts: Number of pictures in each part, for example
            {"validation": 500, "calibration": 500}; the first part gets the first ones.

    Returns:
        The ids in each part, and those of all other pictures as "train", each in the order of the
        SHA-256 of their UTF-8 text: the first n of a part are a fixed sample of it.

    Raises:
        ValueError: If an id is not text or occurs twice, a count is not a whole number of one or
            more, a part is called "train", or nothing is left to train on.

    Source:
        The SHA-256 is that of the Secure Hash Standard, https://doi.org/10.6028/NIST.FIPS.180-4
    """
    ids = list(image_ids)
    for image_id, times in Counter(ids).items():
        if not isinstance(image_id, str) or times > 1:
            raise ValueError(
                f"image_ids has {image_id!r} {times} time(s): give an id once, as text."
            )
    for part, count in counts.items():
        if part == REST or not isinstance(count, Integral) or count < 1:
            raise ValueError(
                f"counts has {count!r} for {part!r}: give each part but {REST!r}, which gets the "
                "rest, a whole number of pictures, 1 or more."
            )
    if sum(counts.values()) >= len(ids):
        raise ValueError(
            f"{sum(counts.values())} of {len(ids)} picture(s) cannot be set aside: nothing would "
            "be left to train on."
        )
    ordered = sorted(ids, key=lambda image_id: hashlib.sha256(image_id.encode()).digest())
    *parts, rest = np.split(np.array(ordered), np.cumsum(list(counts.values()), dtype=int))
    return dict(zip(counts, parts, strict=True)) | {REST: rest}
