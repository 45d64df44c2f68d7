"""What the benchmark of sizes computes, and what the chapter tells of its results."""

import numpy as np
import pytest
from skimage import data

from benchmarks import score_sizes as sizes


class Contrast:
    """Scores a picture by how widely its pixels spread."""

    def score(self, pictures):
        return [float(np.std(picture)) for picture in pictures]


def test_all_versions_are_scored_at_the_size_asked_for():
    pictures = [data.coffee()[:64, :96], data.astronaut()[:64, :64]]
    scores = sizes.scores_of(Contrast(), pictures, 0.5)
    assert scores.shape == (2, len(sizes.KINDS), 6)
    small = sizes.shrunk(pictures[1], 0.5)
    assert scores[1, :, 0] == pytest.approx(np.full(3, np.std(small)))


def test_summary_tells_falling_scores_from_rising_ones():
    steps = np.arange(6) / 10
    one = [0.9 - steps, 0.5 - steps, 0.1 + steps]
    summary = sizes.summary(np.array([one, one]))
    assert [summary[kind]["order"] for kind in sizes.KINDS] == pytest.approx([1, 1, -1])
    assert summary["fall"] == pytest.approx(steps / 3)
