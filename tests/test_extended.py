"""The extended predictor: what it takes of a picture, and the model as a whole."""

import keras
import numpy as np
import pytest

from diqa_utils.extended import (
    MeansAndDeviations,
    PooledPowers,
    build_extended_model,
    build_extended_score_model,
    extended_inputs,
)
from diqa_utils.image_statistics import STATISTICS, image_statistics
from diqa_utils.preprocessing import normalize


@pytest.fixture(scope="module")
def score_model():
    keras.utils.set_random_seed(0)
    return build_extended_score_model()


def test_the_model_has_at_most_six_hundred_thousand_parameters(score_model):
    trainable = sum(int(np.prod(weight.shape)) for weight in score_model.trainable_weights)
    assert trainable == 514_193
    assert score_model.count_params() <= 600_000
    assert score_model.get_layer("features").output.shape == (None, 256 + len(STATISTICS))


def test_inputs_are_the_normalized_half_and_the_statistics(photographs):
    picture = photographs["coffee"]  # 159 x 202
    inputs = extended_inputs(picture)
    height, width = 19 * 8, 25 * 8
    blocks = picture[:height, :width].reshape(height // 2, 2, width // 2, 2, 3) / 255
    half = blocks.mean(axis=(1, 3), dtype=np.float32)
    np.testing.assert_allclose(inputs["normalized"], normalize(half), atol=1e-5)
    np.testing.assert_allclose(inputs["statistics"], image_statistics(picture), atol=1e-4)


@pytest.mark.parametrize("size", [(48, 48), (49, 127), (127, 300)])
def test_small_pictures_are_continued_by_their_mirror_image(photographs, size):
    picture = np.tile(photographs["chelsea"], (1, 2, 1))[: size[0], : size[1]]
    missing = [max(0, 128 - side) for side in size]
    sides = [(gap // 2, gap - gap // 2) for gap in missing]
    continued = np.pad(picture, [*sides, (0, 0)], mode="symmetric")
    for name, values in extended_inputs(picture).items():
        np.testing.assert_allclose(values, extended_inputs(continued)[name], atol=1e-4)


def test_a_batch_equals_its_pictures_one_by_one(photographs, score_model):
    batch = np.stack(list(photographs.values())) / np.float32(255)
    model = build_extended_model(score_model)
    together = model.predict(batch, verbose=0)
    alone = [model.predict(picture[None], verbose=0)[0] for picture in batch]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_pooling_leaves_the_border_out(rng):
    features = rng.random((2, 20, 24, 3), dtype=np.float32)
    inside = features[:, 4:-4, 4:-4].astype(np.float64)
    powers = PooledPowers()(features)
    np.testing.assert_allclose(powers[:, :3], inside.mean(axis=(1, 2)), atol=1e-5)
    pooled = MeansAndDeviations()(powers)
    np.testing.assert_allclose(pooled[:, 3:], inside.std(axis=(1, 2)), atol=1e-4)


def test_a_saved_model_scores_as_before(photographs, score_model, tmp_path):
    model = build_extended_model(score_model)
    path = tmp_path / "extended.keras"
    model.save(path)
    picture = photographs["astronaut"][None] / np.float32(255)
    loaded = keras.models.load_model(path)
    np.testing.assert_allclose(
        loaded.predict(picture, verbose=0), model.predict(picture, verbose=0), atol=1e-5
    )


def test_bad_pictures_are_refused():
    with pytest.raises(ValueError, match="must have 3 channel"):
        extended_inputs(np.zeros((64, 64, 1), np.uint8))
