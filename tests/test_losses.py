"""The loss of step 1."""

import numpy as np
import pytest
import tensorflow as tf

from diqa_utils.losses import weighted_error_map_loss

NAMES = ("y_true", "y_pred", "reliability")


@pytest.fixture(params=[(12, 13, 1), (3, 12, 13, 1)], ids=["image", "batch"])
def maps(request, rng):
    return [rng.random(request.param).astype(np.float32) for _ in NAMES]


def test_loss_is_the_mean_of_the_squared_weighted_difference(maps):
    truth, prediction, reliability = (values.astype(np.float64) for values in maps)
    expected = np.mean(((prediction - truth) * reliability) ** 2)
    loss = weighted_error_map_loss(*maps)
    assert (loss.shape, loss.dtype) == ((), tf.float32)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_loss_worked_by_hand():
    truth = np.array([[[1.0], [2.0]]])
    prediction = np.array([[[3.0], [1.0]]])
    reliability = np.array([[[0.5], [2.0]]])
    # ((3 - 1) * 0.5)^2 = 1 and ((1 - 2) * 2)^2 = 4
    assert float(weighted_error_map_loss(truth, prediction, reliability)) == 2.5


def test_loss_is_zero_for_a_perfect_prediction_and_where_nothing_is_reliable(maps):
    truth, prediction, reliability = maps
    assert float(weighted_error_map_loss(truth, truth, reliability)) == 0
    assert float(weighted_error_map_loss(truth, prediction, 0 * reliability)) == 0


def test_gradient_of_the_loss(maps):
    truth, prediction, reliability = map(tf.constant, maps)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        loss = weighted_error_map_loss(truth, prediction, reliability)
    expected = 2 * (maps[1] - maps[0]) * maps[2] ** 2 / maps[0].size
    np.testing.assert_allclose(tape.gradient(loss, prediction), expected, atol=1e-7)


def test_graph_mode_with_unknown_sizes_gives_the_same(rng):
    maps = [rng.random((2, 12, 13, 1)).astype(np.float32) for _ in NAMES]
    signature = [tf.TensorSpec((None, None, None, 1))] * 3
    traced = tf.function(weighted_error_map_loss, input_signature=signature)
    assert float(traced(*maps)) == pytest.approx(float(weighted_error_map_loss(*maps)), rel=1e-6)


@pytest.mark.parametrize(
    ("position", "values", "words"),
    [
        (1, np.zeros((2, 12, 13)), "y_true and y_pred must have the same shape"),
        (1, np.zeros((1, 12, 13, 1)), "y_true and y_pred must have the same shape"),
        (2, np.zeros((2, 12, 1, 1)), "y_true and reliability must have the same shape"),
        (2, np.zeros(()), "y_true and reliability must have the same shape"),
        (0, np.full((2, 12, 13, 1), np.nan), "y_true holds NaN"),
        (1, np.full((2, 12, 13, 1), np.nan), "y_pred holds NaN"),
        (2, np.full((2, 12, 13, 1), np.nan), "reliability holds NaN"),
    ],
)
def test_bad_maps_are_refused_by_name(position, values, words):
    maps = [np.zeros((2, 12, 13, 1), np.float32) for _ in NAMES]
    maps[position] = values
    with pytest.raises(ValueError, match=words):
        weighted_error_map_loss(*maps)
