"""Copies of pictures that get worse."""

from itertools import islice

import numpy as np
import pytest

from diqa_utils.distortions import DISTORTIONS, distort
from diqa_utils.image_statistics import image_statistics
from diqa_utils.ratings.copies import (
    Damage,
    WorseCopies,
    clear_pairs,
    damaged_at_random,
    damaged_in_every_way,
    measure_copies,
    order_of_copies,
)


@pytest.fixture(scope="module")
def pictures(photographs):
    return list(photographs.values())


@pytest.fixture(scope="module")
def copies(pictures):
    return measure_copies(damaged_at_random(pictures, pictures), number=4, progress=False)


def made_up(metrics, pristine, kinds=None):
    """Copies of which only the metrics matter."""
    return WorseCopies(
        np.zeros((len(metrics), 6, 448), np.float32),
        np.asarray(metrics, np.float32),
        np.asarray(pristine),
        np.array(kinds or ["jpeg"] * len(metrics)),
    )


def test_copies_are_measured_as_their_pictures_are(pictures):
    jobs = [
        (pictures[0], Damage("jpeg", 0), True),
        (pictures[0], Damage("white_noise", 3, before=("darken", 2)), False),
    ]
    copies = measure_copies(jobs, number=9, progress=False)
    assert copies.statistics.shape == (2, 6, 448)
    assert copies.metrics.shape == (2, 6, 2)
    assert copies.pristine.tolist() == [True, False]
    assert copies.kinds.tolist() == ["jpeg", "white_noise"]
    expected = image_statistics(distort(pictures[0], "jpeg", 4))
    np.testing.assert_allclose(copies.statistics[0, 4], expected, atol=0.01)
    darker = distort(pictures[0], "darken", 2, seed=3)
    expected = image_statistics(distort(darker, "white_noise", 5, seed=3))
    np.testing.assert_allclose(copies.statistics[1, 5], expected, atol=0.01)
    # The metrics compare with the picture before all damage, and higher is better.
    np.testing.assert_allclose(copies.metrics[0, 0], [0, 1], atol=1e-4)
    assert (copies.metrics[1, 0] < copies.metrics[0, 0]).all()
    assert (np.diff(copies.metrics, axis=1) < 0).all()


def test_one_run_measures_what_another_does(copies, pictures):
    again = measure_copies(damaged_at_random(pictures, pictures), number=4, progress=False)
    for values, same in zip(vars(again).values(), vars(copies).values(), strict=True):
        np.testing.assert_array_equal(values, same)


def test_rated_and_pristine_pictures_take_turns(pictures):
    jobs = list(islice(damaged_at_random(pictures * 200, pictures), 1000))
    assert [pristine for _, _, pristine in jobs[:4]] == [False, True, False, True]
    assert {damage.kind for _, damage, _ in jobs} == set(DISTORTIONS)
    before = [damage.before for _, damage, _ in jobs if damage.before]
    assert 0.2 < len(before) / 1000 < 0.4
    assert {level for _, level in before} == {1, 2, 3}
    assert all(not pristine for *_, pristine in damaged_at_random(pictures, []))


def test_every_pristine_picture_is_damaged_in_every_way(pictures):
    jobs = list(damaged_in_every_way(pictures[:2]))
    assert [damage.kind for _, damage, _ in jobs] == 2 * list(DISTORTIONS)
    assert all(pristine and damage.before is None for _, damage, pristine in jobs)


def test_pairs_are_clear_to_both_metrics():
    falling = np.arange(6.0)[::-1]
    # Of the second picture the two metrics say opposite things; the third is not pristine.
    metrics = np.stack([np.stack([falling, one], axis=-1) for one in (falling, -falling, falling)])
    pairs = clear_pairs(made_up(metrics, [True, True, False]), gap=0.5)
    ranks = made_up(metrics, [True] * 3).ranks().reshape(-1, 2)
    assert len(pairs)
    assert pairs.max() < 12
    better, worse = pairs.T
    assert (ranks[better] - ranks[worse] > 0.5).all()
    assert set(better) <= {0, 1, 2}
    assert not len(clear_pairs(made_up(metrics, [False] * 3), gap=0.5))


def test_the_order_of_copies_is_a_rank_correlation():
    falling = np.arange(6.0)[::-1]
    metrics = np.stack([falling, falling], axis=-1)
    copies = made_up([metrics, metrics - 10], [True, True], ["jpeg", "darken"])
    right = order_of_copies(copies, np.stack([falling, falling - 10]))
    assert (right["levels"], right["scenes"]) == pytest.approx((1, 1))
    assert right["levels_by_kind"] == pytest.approx({"jpeg": 1, "darken": 1})
    other = order_of_copies(copies, np.stack([falling, -falling]))
    assert other["levels"] == pytest.approx(0)
    assert other["levels_by_kind"] == pytest.approx({"jpeg": 1, "darken": -1})
    swapped = order_of_copies(copies, np.stack([falling - 10, falling]))
    assert swapped["levels"] == pytest.approx(1)
    assert swapped["scenes"] < 0


def test_no_picture_is_refused():
    with pytest.raises(ValueError, match="no pictures to make worse copies of"):
        measure_copies([], number=3, progress=False)
