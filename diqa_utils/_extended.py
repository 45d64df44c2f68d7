"""The extended predictor: DIQA's features at half size, and statistics of the whole picture.

DIQA was made for distortions that somebody added to a pristine picture. Photographs as people take
them are judged by brightness, colour, contrast and sharpness as well, which normalisation removes.
So this predictor looks at two things: the features f of the normalised picture at half its size,
pooled by mean and deviation, and the statistics of `image_statistics`. Two small layers make a
score of both.

It is not the network of the paper, which is in `models`; it is what one gets by taking the paper's
idea of hand-crafted features further. No weights for it exist yet, so nothing here is public.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from diqa_utils._image_statistics import STATISTICS, image_statistics
from diqa_utils._validation import as_batch, to_unit_range
from diqa_utils.models import MIDDLE, build_feature_extractor
from diqa_utils.preprocessing import normalize

#: Smaller pictures are continued by their mirror image up to this many pixels a side.
SMALLEST_SIDE = 128

#: Cells of the feature map that are left out at each border, where zero padding spoils them.
BORDER = 4

#: Pixels of the picture on a side of a cell of the feature map: half size, then two strides of two.
CELL = 8

#: Standardised numbers are kept within this many standard deviations.
LIMIT = 3.0

HIDDEN_UNITS = (256, 64)
DROPOUT = 0.3


def extended_inputs(picture: Any) -> dict[str, tf.Tensor]:
    """Returns what the extended score model takes: the picture at half size, and its statistics.

    Args:
        picture: (H, W, 3) or (N, H, W, 3); uint8 in 0..255, or floating-point in 0..1; at least
            48 x 48 pixels. Sides shorter than 128 pixels are continued by mirroring.

    Returns:
        `normalized`, the normalised image at half size (4 (H // 8), 4 (W // 8), 1), and
        `statistics` (198,), both with the batch axis in front if there was one; float32.

    Raises:
        ValueError: as `image_statistics` does.
    """
    batch = as_batch(picture, name="picture", channels=(3,))
    batch = mirrored(to_unit_range(batch, name="picture"))
    inputs = {"normalized": at_half_size(batch), "statistics": image_statistics(batch)}
    if tf.convert_to_tensor(picture).shape.rank == 4:
        return inputs
    return {name: values[0] for name, values in inputs.items()}


def mirrored(batch: tf.Tensor) -> tf.Tensor:
    """Continues pictures (N, H, W, 3) by mirroring until no side is shorter than 128 pixels."""
    missing = tf.nn.relu(SMALLEST_SIDE - tf.shape(batch)[1:3])
    before = missing // 2
    after = missing - before
    sides = tf.stack([[0, 0], [before[0], after[0]], [before[1], after[1]], [0, 0]])
    continued = tf.pad(batch, sides, mode="SYMMETRIC")
    continued.set_shape([batch.shape[0], None, None, batch.shape[-1]])
    return continued


def at_half_size(batch: tf.Tensor) -> tf.Tensor:
    """Halves pictures (N, H, W, 3) and normalises them: (N, 4 (H // 8), 4 (W // 8), 1).

    Up to seven pixels at the right and below are left out, so that all pictures and all tiles of
    pictures meet the strides of f in the same way.
    """
    height, width = tf.shape(batch)[1] // CELL * CELL, tf.shape(batch)[2] // CELL * CELL
    halved = tf.nn.avg_pool2d(batch[:, :height, :width], 2, 2, padding="VALID")
    return normalize(tf.clip_by_value(halved, 0.0, 1.0))


@keras.saving.register_keras_serializable("diqa_utils")
class PooledPowers(layers.Layer):
    """Means of the features and of their squares over all cells but those at the border."""

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Pools features (N, h, w, C) to (N, 2 C)."""
        inside = features[:, BORDER:-BORDER, BORDER:-BORDER]
        powers = tf.concat([inside, tf.square(inside)], axis=-1)
        return tf.reduce_mean(powers, axis=(1, 2))


@keras.saving.register_keras_serializable("diqa_utils")
class MeansAndDeviations(layers.Layer):
    """Turns means of values and of their squares into means and standard deviations."""

    def call(self, means: tf.Tensor) -> tf.Tensor:
        """Takes and returns (N, 2 C)."""
        first, second = tf.split(means, 2, axis=-1)
        variance = tf.nn.relu(second - tf.square(first))
        return tf.concat([first, tf.sqrt(variance + 1e-6)], axis=-1)


@keras.saving.register_keras_serializable("diqa_utils")
class Limited(layers.Layer):
    """Keeps standardised numbers within three standard deviations."""

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Takes and returns (N, C)."""
        return tf.clip_by_value(values, -LIMIT, LIMIT)


def build_extended_score_model(feature_extractor: keras.Model | None = None) -> keras.Model:
    """Builds the extended score model: [mean and deviation of f, statistics] to one score.

    514,193 trainable parameters with f, and the means and variances by which the 454 features are
    brought to one scale; `train_score_model` sets them.

    Args:
        feature_extractor: f, whose weights the model shares; a new one if None.

    Returns:
        A model from what `extended_inputs` makes of pictures to the quality (N, 1): near 0..1,
        higher is better. Its part after pooling is a model of its own, its layer "head".
    """
    extractor = feature_extractor or build_feature_extractor()
    normalized = keras.Input((None, None, 1), name="normalized")
    statistics = keras.Input((len(STATISTICS),), name="statistics")
    pooled = PooledPowers(name="pooled_features")(extractor(normalized))
    deviations = MeansAndDeviations(name="means_and_deviations")(pooled)
    features = layers.Concatenate(name="features")([deviations, statistics])  # (N, 454)
    hidden = layers.Normalization(name="standardized")(features)
    hidden = Limited(name="limited")(hidden)
    for number, units in enumerate(HIDDEN_UNITS, start=1):
        hidden = layers.Dense(units, activation="gelu", name=f"hidden{number}")(hidden)
        hidden = layers.Dropout(DROPOUT, name=f"dropout{number}")(hidden)
    score = layers.Dense(1, bias_initializer=MIDDLE, name="score")(hidden)
    inputs = {"normalized": normalized, "statistics": statistics}
    return keras.Model(inputs, score, name="extended_score_model")


@keras.saving.register_keras_serializable("diqa_utils")
class ExtendedInput(layers.Layer):
    """Makes of pictures (N, H, W, 3) in 0..1 one of the inputs of the extended score model.

    Args:
        part: "normalized" or "statistics", as `extended_inputs` names them.
        **settings: those of every Keras layer.
    """

    def __init__(self, part: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.part = part

    def call(self, pictures: tf.Tensor) -> tf.Tensor:
        """Returns that input; in a graph, the other one is not computed."""
        return extended_inputs(pictures)[self.part]

    def get_config(self) -> dict[str, Any]:
        """Returns what a saved model keeps of the layer."""
        return super().get_config() | {"part": self.part}


def build_extended_model(score_model: keras.Model) -> keras.Model:
    """Builds the whole extended predictor, from the picture to its quality, as one model.

    Args:
        score_model: as `build_extended_score_model` makes it, trained; its weights are shared.

    Returns:
        A model from pictures (N, H, W, 3), floating-point in 0..1, to the quality (N, 1).
    """
    picture = keras.Input((None, None, 3), name="picture")
    inputs = {name: ExtendedInput(name)(picture) for name in ("normalized", "statistics")}
    score = score_model(inputs)
    return keras.Model(picture, score, name="extended_model")
