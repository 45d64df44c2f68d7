"""The speed benchmark: that both ways give the same answer. Never how long they take."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import __main__ as command
from benchmarks.speed import normalization, pictures, report, scoring, timing, training
from diqa_utils import notebook
from diqa_utils.models import build_error_map_model
from diqa_utils.preprocessing import low_frequency

PRECISIONS = ["float32", "bfloat16"]


@pytest.mark.parametrize("size", [(48, 48), (49, 50), (51, 64), (101, 62)])
def test_the_low_band_is_that_of_the_plain_definition(size, rng):
    gray = rng.random(size)
    found = low_frequency(gray[..., None].astype(np.float32))[..., 0]
    np.testing.assert_allclose(found, normalization.plain_low_band(gray), atol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_is_that_of_the_tutorial_on_the_same_batch(precision, small_network):
    pairs = pictures.pairs(1)[:, :, :96, :112]
    found = training.check_the_step(pairs, precision)
    assert set(found) == {"loss", "error_map"}
    assert max(found.values()) <= training.TOLERANCE[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_score_is_that_of_the_plain_network(precision, small_network):
    picture = pictures.pairs(1)[0, 1, :96, :112]
    predictor = scoring.diqa(precision)
    assert scoring.check_the_answer(predictor, picture) <= scoring.TOLERANCE[precision]


def test_answers_that_differ_stop_the_benchmark():
    assert timing.agree("sums", [1.0, 2.0], [1.0, 2.05], tolerance=0.1) == pytest.approx(0.05)
    with pytest.raises(AssertionError, match=r"sums: the answers differ by 0\.2"):
        timing.agree("sums", [1.0, 2.0], [1.0, 2.2], tolerance=0.1)
    with pytest.raises(AssertionError, match="sums"):
        timing.agree("sums", [np.nan], [1.0], tolerance=0.1)


def test_ways_are_called_in_turn():
    calls = []
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = timing.in_turn(ways, rounds=3, warm_up=1)
    assert calls == ["a", "b"] * 4
    assert [len(some) for some in times.values()] == [3, 3]


def test_a_ratio_is_the_median_of_the_rounds():
    times = {"slow": [2.0, 6.0, 4.0], "fast": [1.0, 2.0, 4.0]}
    expected = {"ratio": 2.0, "ratio_low": 1.0, "ratio_high": 3.0}
    assert timing.ratios(times, "slow", "fast") == expected


def test_operations_are_those_that_tensorflow_counts(monkeypatch):
    monkeypatch.setattr("diqa_utils.models.CONVOLUTIONS", training.CONVOLUTIONS)
    side = 64
    model = build_error_map_model()
    graph = tf.function(lambda image: model(image)).get_concrete_function(
        tf.TensorSpec((1, side, side, 1))
    )
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    counted = tf.compat.v1.profiler.profile(graph.graph, options=options).total_float_ops
    first = 2 * side**2 * 9 * training.CONVOLUTIONS[0][0]
    forward = (training.operations(side) + first) / 3
    assert forward == pytest.approx(counted, rel=0.05)  # it counts biases and scales too


def test_pairs_have_the_size_of_the_tutorials_pictures():
    pairs = pictures.pairs(5)
    assert pairs.shape == (5, 2, 512, 768, 3)
    assert np.any(pairs[:, 0] != pairs[:, 1])
    np.testing.assert_array_equal(pairs[0], pairs[4])


def test_the_results_hold_what_the_table_shows():
    found = notebook.results(command.NAME)
    assert {"machine", "training", "normalization", "scoring", "import_s", "help_s"} <= set(found)
    assert {"peak_1000_mib", "peak_20000_mib"} <= set(found["memory"])
    for one in found["training"].values():
        assert {"baseline_images_per_s", "images_per_s", "ratio", "share_of_matmul"} <= set(one)
    rows = report.rows(found)
    assert all(len(row) == len(report.COLUMNS) for row in rows)
    assert len({row[0] for row in rows}) == len(rows)
    assert report.rows({}) == []


def test_every_benchmark_is_listed_and_unknown_ones_are_refused(capsys, monkeypatch):
    files = {path.stem for path in Path(command.__file__).parent.glob("*.py")}
    helpers = {"__init__", "__main__", "original_tutorial", "real_data", "results"}
    assert files - helpers == set(command.ACCURACY)
    monkeypatch.setattr("sys.argv", ["benchmarks", "tea"])
    with pytest.raises(SystemExit):
        command.main()
    assert "there is no benchmark 'tea'" in capsys.readouterr().err
