"""The loss of step 1."""

import numpy as np
import pytest
import tensorflow as tf

from diqa_utils.losses import weighted_error_map_loss

NAMES = ("y_true", "y_pred", "reliability")


@pytest.fixture(params=[(12, 13, 1), (3, 12, 13, 1)], ids=["one", "batch"])
def maps(request, rng):
    return [rng.random(request.param).astype(np.float32) for _ in NAMES]


def test_loss_is_the_mean_of_the_squared_weighted_difference(maps):
    truth, prediction, reliability = (values.astype(np.float64) for values in maps)
    expected = np.mean(((prediction - truth) * reliability) ** 2)
    loss = weighted_error_map_loss(*maps)
    assert loss.shape == ()
    assert loss.dtype == tf.float32
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


def test_loss_does_not_depend_on_the_number_of_images(maps):
    once = weighted_error_map_loss(*maps)
    twice = weighted_error_map_loss(*(np.stack([values, values]) for values in maps))
    assert float(twice) == pytest.approx(float(once), rel=1e-5)


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
    with pytest.raises(tf.errors.InvalidArgumentError, match="y_true and reliability differ"):
        traced(maps[0], maps[1], maps[2][:1])


@pytest.mark.parametrize("wrong", [1, 2])
@pytest.mark.parametrize("shape", [(2, 12, 13), (1, 12, 13, 1), (2, 12, 1, 1), ()])
def test_maps_that_would_broadcast_are_refused(wrong, shape):
    maps = [np.zeros((2, 12, 13, 1), np.float32) for _ in NAMES]
    maps[wrong] = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match=f"y_true and {NAMES[wrong]} must have the same shape"):
        weighted_error_map_loss(*maps)


@pytest.mark.parametrize("wrong", range(3))
def test_nan_is_refused_by_the_name_of_its_map(wrong):
    maps = [np.zeros((12, 13, 1), np.float32) for _ in NAMES]
    maps[wrong][3, 4] = np.nan
    with pytest.raises(ValueError, match=f"{NAMES[wrong]} holds NaN"):
        weighted_error_map_loss(*maps)
