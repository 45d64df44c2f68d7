"""What the benchmark of runtimes compares, and what the chapter tells of its results."""

import numpy as np
import pytest

from benchmarks import runtimes
from diqa_utils import notebook


def test_pictures_are_of_twenty_sizes_odd_and_even():
    shapes = [picture.shape for picture in runtimes.pictures()]
    assert shapes == [(*size, 3) for size in runtimes.SIZES]
    assert (shapes[0], shapes[-1], len(shapes)) == ((48, 48, 3), (480, 640, 3), 20)
    assert len({(height % 2, width % 2) for height, width, _ in shapes}) == 4


def test_the_largest_difference_of_each_kind_is_found():
    zeros = np.zeros((2, 3))
    expected = [{"quality": 0.5, "low": 0.25, "high": 0.75, "error_map": zeros}] * 2
    off = {"quality": 0.5, "low": 0.125, "high": 0.875, "error_map": zeros - 0.25}
    worse = {"quality": 0.75, "low": 0.25, "high": 1.0, "error_map": zeros + 0.125}
    found = runtimes.largest_differences([off, worse], expected)
    assert found == {"quality": 250_000, "interval": 250_000, "error_map": 250_000}
    assert set(runtimes.largest_differences(expected, expected).values()) == {0}


@pytest.mark.parametrize("name", runtimes.PREDICTORS)
def test_results_say_that_all_runtimes_agree(name):
    measured = notebook.results(runtimes.NAME)[name]
    assert set(measured) == {"tensorflow", *runtimes.RUNTIMES}
    for runtime in runtimes.RUNTIMES:
        assert max(measured[runtime]["difference"].values()) <= 100  # millionths
