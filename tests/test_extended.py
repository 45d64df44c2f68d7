"""The extended score model: what it is made of, and that it answers as its parts do."""

import keras
import numpy as np
import pytest
from PIL import Image

from diqa_utils.extended import (
    build_extended_score_model,
    opinions_of,
    unusualness,
    usual_limits,
)
from diqa_utils.image_statistics import STATISTICS, image_statistics


@pytest.fixture(scope="module")
def score_model():
    keras.utils.set_random_seed(0)
    model = build_extended_score_model(mean=0.4, deviation=0.2)
    standardized = model.get_layer("standardized")
    rng = np.random.default_rng(0)
    standardized.adapt(rng.normal(1, 2, (500, len(STATISTICS))).astype(np.float32))
    return model


@pytest.fixture(scope="module")
def statistics():
    rng = np.random.default_rng(1)
    return rng.normal(1, 2, (5, len(STATISTICS))).astype(np.float32)


def test_the_score_is_the_mean_of_the_opinions_on_the_ratings_scale(score_model, statistics):
    opinions = opinions_of(score_model)(statistics).numpy()
    assert opinions.shape == (5, 4, 3)
    assert opinions.std(axis=1).min() > 1e-3  # the members differ
    quality, _, log_error = opinions.mean(axis=1).T
    expected = np.stack([0.4 + 0.2 * quality, 0.2 * np.exp(log_error)], axis=-1)
    np.testing.assert_allclose(score_model(statistics), expected, atol=1e-6)


def test_what_lies_far_out_counts_as_three_deviations(score_model, statistics):
    layer = score_model.get_layer("standardized")
    mean, deviation = layer.mean.numpy()[0], np.sqrt(layer.variance.numpy()[0])
    far, edge = (mean + times * deviation for times in (50, 3))
    np.testing.assert_allclose(
        score_model(far[None].astype(np.float32)),
        score_model(edge[None].astype(np.float32)),
        atol=1e-4,
    )


def test_the_model_can_be_saved_and_loaded(score_model, statistics, tmp_path):
    score_model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(statistics), score_model(statistics))


def test_unusual_is_what_has_odd_statistics_or_was_enlarged(score_model, statistics):
    layer = score_model.get_layer("standardized")
    mean, deviation = layer.mean.numpy()[0], np.sqrt(layer.variance.numpy()[0])
    measured = unusualness(score_model, statistics).numpy()
    of_whole = ((statistics - mean) / deviation)[:, :198]
    expected = (of_whole**4).mean(axis=1) ** 0.25
    np.testing.assert_allclose(measured[:, 0], expected, rtol=1e-4)
    places = [f"skewness of contrast times that below {side} at 1/1" for side in ("left", "right")]
    left, right = (statistics[:, STATISTICS.index(place)] for place in places)
    kurtosis = statistics[:, STATISTICS.index("log kurtosis of contrast at 1/1")]
    np.testing.assert_allclose(measured[:, 1], left + right - kurtosis, rtol=1e-4)


def test_an_enlarged_picture_is_smooth_along_diagonals(score_model, photographs):
    piece = Image.fromarray(photographs["coffee"][:100, :100])
    sizes = (100, 200, 300)
    smoothness = [
        unusualness(score_model, image_statistics(np.asarray(piece.resize((n, n))))[None])[0, 1]
        for n in sizes
    ]
    assert smoothness[0] + 1 < min(smoothness[1:])


def test_limits_are_the_kth_smallest_values():
    measured = np.random.default_rng(0).permutation(np.arange(1.0, 400)[:, None] * [1, -1])
    # k = ceil(400 * 0.99) = 396 of 399
    assert usual_limits(measured, 0.99) == [396, -4]
    with pytest.raises(ValueError, match=r"99 photograph.* too few for a share of 99\.5%"):
        usual_limits(measured[:99], 0.995)
