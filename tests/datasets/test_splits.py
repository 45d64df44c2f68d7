"""Splits by reference, and pictures set aside by a fixed rule."""

import itertools

import numpy as np
import pytest

from diqa_utils.datasets import (
    assert_disjoint,
    k_folds_by_reference,
    repeated_splits,
    set_aside,
    split_by_reference,
)


@pytest.mark.parametrize("parts", [(80, 20), (7, 2, 3), (60, 1, 39), (1, 98, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("number", [4, 5, 6, 7, 12, 29, 81])
def test_a_split_deals_out_every_reference_once(parts, number):
    references = [f"scene {index}" for index in range(number)]
    split = split_by_reference(references, parts, seed=0)
    assert sorted(itertools.chain(*split)) == sorted(references)
    assert all(part == sorted(part) and part for part in split)
    assert_disjoint(**{f"part {index}": part for index, part in enumerate(split)})


@pytest.mark.parametrize(
    ("number", "parts", "sizes"),
    [
        (30, (80, 20), [24, 6]),
        (12, (7, 2, 3), [7, 2, 3]),
        (25, (0.6, 0.2, 0.2), [15, 5, 5]),
        (29, (80, 20), [23, 6]),
        (3, (98, 1, 1), [1, 1, 1]),
        (6, (7, 2, 3), [4, 1, 1]),
    ],
)
def test_parts_have_their_shares(number, parts, sizes):
    split = split_by_reference([str(index) for index in range(number)], parts, seed=3)
    assert [len(part) for part in split] == sizes


def test_a_split_depends_on_the_seed_but_not_on_order_or_repeats():
    references = [f"scene {index}" for index in range(20)]
    split = split_by_reference(references, (80, 20), seed=1)
    assert split == split_by_reference(iter(5 * references[::-1]), (80, 20), seed=1)
    assert split != split_by_reference(references, (80, 20), seed=2)
    assert all(type(name) is str for part in split for name in part)


@pytest.mark.parametrize(
    ("references", "parts", "words"),
    [
        (["a", "b", "b"], (1, 1, 1), r"2 reference\(s\) cannot be split into 3 parts"),
        ([], (1, 1), r"0 reference\(s\) cannot"),
        (["a", "b"], (1, 0), r"share must be greater than zero, not \(1, 0\)"),
        (["a", "b"], (2, -1), r"not \(2, -1\)"),
        (["a", "b"], (), r"share must be greater than zero, not \(\)"),
    ],
)
def test_splits_that_cannot_be_are_refused(references, parts, words):
    with pytest.raises(ValueError, match=words):
        split_by_reference(references, parts, seed=0)


def test_assert_disjoint_names_the_parts_and_what_they_share():
    assert assert_disjoint(train=["a", "a", "b"], validation=[], test=("c",)) is None
    words = r"train and test share 2 reference\(s\): b, c\. Split by reference"
    with pytest.raises(ValueError, match=words):
        assert_disjoint(train=["c", "b", "a"], validation=["d"], test=["b", "c", "e"])


@pytest.mark.parametrize(("number", "k"), [(29, 5), (81, 10), (4, 4), (25, 2)])
def test_each_reference_is_in_the_test_of_one_fold(number, k):
    references = [f"scene {index}" for index in range(number)]
    folds = k_folds_by_reference(references, k, seed=0)
    assert len(folds) == k
    assert sorted(itertools.chain(*(test for _, test in folds))) == sorted(references)
    for train, test in folds:
        assert_disjoint(train=train, test=test)
        assert sorted(train + test) == sorted(references)
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    assert folds == k_folds_by_reference(3 * references[::-1], k, seed=0)
    assert folds != k_folds_by_reference(references, k, seed=1)


def test_repeated_splits_differ_and_come_again():
    references = [f"scene {index}" for index in range(30)]
    splits = repeated_splits(references, (80, 20), repeats=10, seed=0)
    assert [tuple(map(len, split)) for split in splits] == [(24, 6)] * 10
    for train, test in splits:
        assert_disjoint(train=train, test=test)
    assert len({tuple(test) for _, test in splits}) == 10
    assert splits == repeated_splits(iter(references), (80, 20), repeats=10, seed=0)
    assert splits[:3] == repeated_splits(references, (80, 20), repeats=3, seed=0)


def test_one_fold_and_no_repeats_are_refused():
    with pytest.raises(ValueError, match="k must be at least 2, not 1"):
        k_folds_by_reference(["a", "b"], 1, seed=0)
    with pytest.raises(ValueError, match=r"2 reference\(s\) cannot be split into 3 parts"):
        k_folds_by_reference(["a", "b"], 3, seed=0)
    with pytest.raises(ValueError, match="repeats must be at least 1, not 0"):
        repeated_splits(["a", "b"], (1, 1), repeats=0, seed=0)


# As `printf a | sha256sum` prints them, the first two bytes: d 18ac, f 252f, c 2e7d, ä 33e6,
# b 3e23, e 3f79, a ca97, g cd0a.
BY_SHA256 = ["d", "f", "c", "ä", "b", "e", "a", "g"]


def test_pictures_are_set_aside_in_the_order_of_their_sha256():
    parts = set_aside(sorted(BY_SHA256), {"validation": 2, "calibration": 3})
    assert {part: list(ids) for part, ids in parts.items()} == {
        "validation": ["d", "f"],
        "calibration": ["c", "ä", "b"],
        "train": ["e", "a", "g"],
    }
    assert list(parts) == ["validation", "calibration", "train"]


def test_parts_that_are_set_aside_hold_every_picture_whatever_the_order(rng):
    ids = [f"photo ({number})" for number in range(200)]
    parts = set_aside(ids, {"validation": 30, "calibration": 20})
    assert [len(part) for part in parts.values()] == [30, 20, 150]
    assert_disjoint(**parts)
    shuffled = set_aside(rng.permutation(ids), {"validation": 30, "calibration": 20})
    # A later part does not change an earlier one.
    alone = set_aside(ids, {"validation": 30})
    for part, members in parts.items():
        np.testing.assert_array_equal(shuffled[part], members)
    np.testing.assert_array_equal(alone["validation"], parts["validation"])
    assert len(set_aside(ids, {})["train"]) == 200


@pytest.mark.parametrize(
    ("ids", "counts", "words"),
    [
        (["a", "b", "a"], {"test": 1}, r"image_ids has 'a' 2 time\(s\): give an id once, as text"),
        ([b"a", b"b"], {"test": 1}, r"image_ids has b'a' 1 time\(s\): give an id once, as text"),
        (["a", "b"], {"test": 2}, r"2 of 2 picture\(s\) cannot be set aside"),
        ([], {}, r"0 of 0 picture\(s\) cannot"),
        (["a", "b"], {"train": 1}, "counts has 1 for 'train': give each part but 'train'"),
        (["a", "b"], {"test": 0}, "counts has 0 for 'test': give .* a whole number"),
        (["a", "b"], {"test": 0.5}, "counts has 0.5 for 'test'"),
    ],
)
def test_pictures_that_cannot_be_set_aside_are_refused(ids, counts, words):
    with pytest.raises(ValueError, match=words):
        set_aside(ids, counts)
