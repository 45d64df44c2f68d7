"""The faults of the original tutorial are real, the library has none, and the numbers are kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import original_faults as faults
from benchmarks import original_tutorial as original
from benchmarks import results
from diqa_utils import error_map, maps, notebook, preprocessing
from diqa_utils.plotting import stretch


def test_committed_numbers_are_those_measured_now():
    """What the page says of the faults stands on these."""
    kept, now = (
        dict(results.groups(numbers))
        for numbers in (notebook.results(faults.NAME), faults.measure())
    )
    assert kept.keys() == now.keys(), "run `python -m benchmarks.original_faults`"
    for path, numbers in now.items():
        # Other versions of TensorFlow and Pillow may differ in what is rounded away.
        expected = pytest.approx(numbers, rel=5e-3, abs=1e-3)
        assert kept[path] == expected, f"{path}: run `python -m benchmarks.original_faults`"


def test_the_tutorials_low_band_was_shifted():
    gray = np.zeros((1, 32, 32, 1), np.float32)
    gray[0, 16, 16] = 1
    peak = int(np.argmax(original.blur(gray)))
    assert divmod(peak, 32) == (15, 15)


def test_constant_images_gave_nan_and_do_not():
    constant, black = tf.fill((1, 64, 64, 1), 0.5), np.zeros((1, 64, 64, 3), np.uint8)
    assert np.isnan(original.stretch(constant, 0, 1)).all()
    assert np.isfinite(stretch(constant)).all()
    assert np.isnan(original.average_reliability_map(original.preprocess(black))).all()
    assert np.isfinite(maps.average_reliability_map(preprocessing.normalize(black))).all()


@pytest.mark.parametrize(("function", "defined"), [(original.error_map, False), (error_map, True)])
def test_gradient_at_zero_was_nan_and_is_not(function, defined):
    reference = tf.zeros((64, 64, 1))
    distorted = tf.Variable(reference)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function(reference, distorted))
    assert np.isfinite(tape.gradient(total, distorted)).all() == defined


def test_one_optimizer_for_two_models_fails():
    error_maps, scores = original.build_models()
    optimizer = keras.optimizers.Nadam(2e-4)
    optimizer.build(error_maps.trainable_variables)
    scores.compile(optimizer=optimizer, loss="mse")
    with pytest.raises(ValueError, match="variable"):
        scores.fit(tf.zeros((1, 64, 64, 1)), tf.zeros((1, 1)), verbose=0)


def test_targets_had_another_size_than_predictions():
    images = np.zeros((1, 127, 158, 3), np.uint8)
    normalized, target, _ = original.training_example(images, images)
    assert target.shape[1:3] == (31, 39)
    assert original.build_models()[0](normalized).shape[1:3] == (32, 40)
    assert maps.downscale(preprocessing.normalize(images)).shape[1:3] == (32, 40)


def test_with_nothing_mended_the_low_band_is_that_of_the_tutorial():
    gray = faults.gray_levels(faults.photographs()["china"])[None, ..., None].astype(np.float32)
    band = faults.low_band_mended(tf.constant(gray), "nothing")
    np.testing.assert_allclose(band, original.low_frequency(gray), atol=1e-3)
