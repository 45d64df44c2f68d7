"""Splits by reference image, so that no scene is in two parts of a database."""

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["assert_disjoint", "k_folds_by_reference", "repeated_splits", "split_by_reference"]


def split_by_reference(
    reference_ids: Iterable[str], parts: Sequence[int], *, seed: int
) -> tuple[list[str], ...]:
    """Shuffles the distinct references and deals them out in the given proportion.

    Args:
        reference_ids: one id per image, or per reference; repeats do not matter, nor does order.
        parts: the share of each part, for example (80, 20) or (7, 2, 3).
        seed: one seed gives one split.

    Returns:
        One sorted list of reference ids per part; together they hold every reference once.

    Raises:
        ValueError: if there are fewer references than parts, no parts at all, or a share is not
            greater than zero.

    Chapter: notebooks/01-building-the-dataset.ipynb
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
        **parts: the reference ids of each part, by its name: `train=..., test=...`.

    Raises:
        ValueError: naming two parts and what they share.

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
    reference_ids: Iterable[str], parts: Sequence[int], *, repeats: int, seed: int
) -> list[tuple[list[str], ...]]:
    """Splits the references several times, as the field does for one number with a spread.

    Args:
        reference_ids: as in `split_by_reference`.
        parts: the share of each part, for example (80, 20).
        repeats: how many splits.
        seed: one seed gives one list of splits.

    Returns:
        One tuple of parts per split, each a sorted list of reference ids.

    Raises:
        ValueError: as `split_by_reference` does, or if there are no repeats.

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
        reference_ids: as in `split_by_reference`.
        k: how many folds, two or more.
        seed: one seed gives one list of folds.

    Returns:
        One (training, test) pair per fold, each a sorted list of reference ids. Every reference
        is in the test of exactly one fold.

    Raises:
        ValueError: if there are fewer references than folds, or fewer than two folds.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    if k < 2:
        raise ValueError(f"k must be at least 2, not {k}: one fold leaves nothing to train on.")
    references = sorted(set(reference_ids))
    folds = split_by_reference(references, (1,) * k, seed=seed)
    return [(sorted(set(references) - set(test)), test) for test in folds]
