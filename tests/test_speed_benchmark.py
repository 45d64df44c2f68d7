"""The speed benchmark: that both ways give the same answer. Never how long they take."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.speed import ladder, operations, pictures, scoring, timing
from diqa_utils.models import build_error_map_model


def test_a_step_is_that_of_the_tutorial_on_the_same_batch(small_network):
    pairs = pictures.pairs(1)[:, :, :96, :112]
    assert ladder.check_the_step(pairs) <= ladder.TOLERANCE


def test_a_score_is_that_of_the_plain_network(small_network):
    picture = pictures.pairs(1)[0, 1, :96, :112]
    assert scoring.check_the_answer(scoring.diqa(), picture) <= scoring.TOLERANCE


def test_answers_that_differ_stop_the_benchmark():
    assert timing.agree("sums", [1.0, 2.0], [1.0, 2.05], tolerance=0.1) == pytest.approx(0.05)
    with pytest.raises(AssertionError, match=r"sums: the answers differ by 0\.2"):
        timing.agree("sums", [1.0, 2.0], [1.0, 2.2], tolerance=0.1)
    with pytest.raises(AssertionError, match="sums"):
        timing.agree("sums", [np.nan], [1.0], tolerance=0.1)


def test_operations_are_those_that_tensorflow_counts(monkeypatch):
    monkeypatch.setattr("diqa_utils.models.CONVOLUTIONS", operations.CONVOLUTIONS)
    model = build_error_map_model()
    graph = tf.function(lambda image: model(image)).get_concrete_function(
        tf.TensorSpec((1, 64, 64, 1))
    )
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    counted = tf.compat.v1.profiler.profile(graph.graph, options=options).total_float_ops
    # It counts biases and scales, too.
    assert sum(operations.forward_operations(64, 64)) == pytest.approx(counted, rel=0.05)
