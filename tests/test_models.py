"""The feature extractor f, the error-map model and the score model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from diqa_utils.models import (
    MeanAndDeviation,
    build_error_map_model,
    build_feature_extractor,
    build_score_model,
)

SIZES = [(48, 48), (49, 50), (64, 97)]
BUILDERS = [build_feature_extractor, build_error_map_model, build_score_model]


def residuals(rng, number, size):
    return rng.normal(0, 0.1, (number, *size, 1)).astype(np.float32)


def awake(model):
    """`model` with random weights in its head, which may start from zero."""
    for weights in model.layers[-1].weights:
        values = np.random.default_rng(1).normal(0, 0.1, weights.shape)
        weights.assign(values.astype(np.float32))
    return model


def inputs(model, images):
    """What `model` takes for these images, with made-up hand-crafted features."""
    if model.name != "score_model":
        return images
    hand_crafted = np.linspace(0.1, 0.4, 2 * len(images), dtype=np.float32).reshape(-1, 2)
    return {"normalized": images, "hand_crafted": hand_crafted}


def predict(model, images):
    return np.asarray(model(inputs(model, images)))


# Architecture


@pytest.mark.parametrize(
    ("build", "name", "parameters"),
    [
        (build_feature_extractor, "feature_extractor", 381_200),
        (build_error_map_model, "error_map_model", 381_329),
        (build_score_model, "score_model", 398_097),
    ],
)
def test_name_and_number_of_parameters(build, name, parameters):
    model = build()
    assert model.name == name
    assert sum(np.size(weights) for weights in model.trainable_weights) == parameters


def test_convolutions_of_f():
    convolutions = build_feature_extractor().layers[-8:]
    assert [layer.name for layer in convolutions] == [f"conv{number}" for number in range(1, 9)]
    assert [layer.filters for layer in convolutions] == [48, 48, 64, 64, 64, 64, 128, 128]
    assert [layer.strides[0] for layer in convolutions] == [1, 2, 1, 2, 1, 1, 1, 1]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}


@pytest.mark.parametrize("build", BUILDERS[1:])
@pytest.mark.parametrize("contrast", [0, 1])
def test_untrained_heads_call_everything_middling(build, contrast, rng):
    assert np.all(predict(build(), contrast * residuals(rng, 2, (48, 48))) == 0.5)


def test_receptive_field_is_45_pixels():
    extractor = build_feature_extractor()
    for weights in extractor.weights:  # all positive: no ReLU is off, nothing cancels
        weights.assign(tf.fill(weights.shape, 0.01))
    image = tf.ones((1, 96, 96, 1))
    with tf.GradientTape() as tape:
        tape.watch(image)
        middle = extractor(image)[0, 12, 12, 0]
    touched = np.argwhere(np.squeeze(tape.gradient(middle, image)) > 0)
    extent = touched.max(axis=0) - touched.min(axis=0) + 1
    assert extent.tolist() == [45, 45]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("build", BUILDERS[:2])
def test_output_has_a_quarter_of_the_side_rounded_up(build, size, rng):
    model = build()
    channels = 128 if build is build_feature_extractor else 1
    expected = (2, -(-size[0] // 4), -(-size[1] // 4), channels)
    assert predict(model, residuals(rng, 2, size)).shape == expected


def test_output_moves_by_one_cell_when_the_image_moves_by_four_pixels(rng):
    model = awake(build_error_map_model())
    scene = residuals(rng, 1, (132, 132))
    here, there = predict(model, scene[:, :128, :128]), predict(model, scene[:, 4:, 4:])
    inside = np.s_[:, 8:-8, 8:-8]
    assert here[inside].std() > 1e-3
    np.testing.assert_allclose(here[:, 1:, 1:][inside], there[:, :-1, :-1][inside], atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_score_is_one_number_an_image_of_any_size(size, rng):
    assert predict(build_score_model(), residuals(rng, 3, size)).shape == (3, 1)


def test_features_are_zero_or_more_and_heads_are_linear(rng):
    images = residuals(rng, 2, (48, 48))
    assert predict(build_feature_extractor(), images).min() >= 0
    for build, head in [(build_error_map_model, "error_map"), (build_score_model, "score")]:
        model = awake(build())
        _, bias = model.get_layer(head).weights
        before = predict(model, images)
        bias.assign_sub([5.0])
        np.testing.assert_allclose(predict(model, images), before - 5, atol=1e-5)


def test_score_model_computes_h_of_pooled_and_hand_crafted_features(rng):
    extractor = build_feature_extractor()
    model = awake(build_score_model(extractor))
    images = residuals(rng, 2, (52, 49))
    features = np.concatenate(
        [predict(extractor, images).mean(axis=(1, 2)), inputs(model, images)["hand_crafted"]],
        axis=1,
    )
    assert features.shape == (2, 130)
    (kernel, bias), (score_kernel, score_bias) = (
        [np.asarray(weights) for weights in model.get_layer(name).weights]
        for name in ("hidden", "score")
    )
    expected = np.maximum(features @ kernel + bias, 0) @ score_kernel + score_bias
    np.testing.assert_allclose(predict(model, images), expected, rtol=1e-4, atol=1e-5)


def test_another_pooling_takes_the_place_of_the_mean(rng):
    extractor = build_feature_extractor()
    model = build_score_model(extractor, pooling=MeanAndDeviation())
    images = residuals(rng, 2, (52, 49))
    maps = predict(extractor, images)
    features = keras.Model(model.inputs, model.get_layer("features").output)
    expected = [maps.mean(axis=(1, 2)), np.sqrt(maps.var(axis=(1, 2)) + 1e-6)]
    given = inputs(model, images)
    expected = np.concatenate([*expected, given["hand_crafted"]], axis=1)
    assert expected.shape == (2, 258)
    np.testing.assert_allclose(features(given), expected, rtol=1e-3, atol=1e-5)


def test_a_flat_picture_has_a_gradient(rng):
    model = awake(build_score_model(pooling=MeanAndDeviation()))
    with tf.GradientTape() as tape:
        score = model(inputs(model, np.zeros((1, 48, 48, 1), np.float32)))
    gradients = tape.gradient(score, model.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


# Behaviour


@pytest.mark.parametrize("build", BUILDERS)
def test_a_batch_gives_what_its_images_give(build, rng):
    model = awake(build())
    contrasts = np.array([1, 0.1, 0.01], np.float32)[:, None, None, None]
    batch = inputs(model, residuals(rng, 3, (50, 53)) * contrasts)
    apart = [
        model(tf.nest.map_structure(lambda part, i=i: part[i : i + 1], batch)) for i in range(3)
    ]
    np.testing.assert_allclose(model(batch), np.concatenate(apart), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build", BUILDERS)
def test_graph_mode_with_unknown_sizes_gives_the_same(build, rng):
    model = awake(build())
    traced = tf.function(lambda values: model(values), reduce_retracing=True)
    for size in SIZES:
        batch = tf.nest.map_structure(tf.constant, inputs(model, residuals(rng, 2, size)))
        np.testing.assert_allclose(traced(batch), model(batch), rtol=1e-4, atol=1e-4)


def test_models_share_the_extractor_they_are_given_or_make_their_own():
    extractor = build_feature_extractor()
    for build in BUILDERS[1:]:
        assert build(extractor).get_layer("feature_extractor") is extractor
        first, second = (build().get_layer("feature_extractor") for _ in range(2))
        assert np.any(first.get_weights()[0] != second.get_weights()[0])


@pytest.mark.parametrize("build", BUILDERS)
def test_one_seed_gives_one_model(build):
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        weights.append(build().get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)
