"""The comparison of bfloat16 with float32: how its runs are put together."""

import pytest

from benchmarks import precision, results


def test_runs_are_compared_by_the_precision_that_they_were_trained_and_scored_in():
    def run(float32, bfloat16, difference):
        return {
            "srcc": {"float32": float32, "bfloat16": bfloat16},
            "largest_difference": difference,
        }

    found = precision.summary(
        {
            "float32": [run(0.50, 0.51, 0.01), run(0.60, 0.60, 0.02), run(0.55, 0.54, 0.03)],
            "bfloat16": [run(0.10, 0.52, 0.04), run(0.20, 0.58, 0.01), run(0.57, 0.57, 0.02)],
        }
    )
    assert found["trained"]["float32"] == {"values": [0.50, 0.60, 0.55], "median": 0.55}
    assert found["trained"]["bfloat16"] == {"values": [0.52, 0.58, 0.57], "median": 0.57}
    assert found["difference_of_medians"] == pytest.approx(0.02)
    assert found["same_weights"] == {"srcc": pytest.approx(0.42), "score": 0.04}


def test_the_same_weights_agree_in_both_precisions():
    assert results.load(precision.NAME)["same_weights"]["srcc"] < 0.003
