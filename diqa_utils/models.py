"""The networks of DIQA: features f, error-map head g, score head h.

Step 1 trains g(f(I-hat_d)) to predict the error map, for which no human is needed. Step 2 keeps f,
drops g and trains h on [GAP(f(I-hat_d)), mu_r, sigma_low] to predict the score.

Source:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

__all__ = ["build_error_map_model", "build_feature_extractor", "build_score_model"]

#: (filters, stride) of the eight 3 x 3 convolutions of f.
CONVOLUTIONS = ((48, 1), (48, 2), (64, 1), (64, 2), (64, 1), (64, 1), (128, 1), (128, 1))

#: The network multiplies its input by this. The normalised image has a standard deviation of about
#: 1 / 13; the usual initialisations expect about one.
INPUT_SCALE = 13.0

#: Units of the hidden layer of h.
HIDDEN_UNITS = 128

#: Weight of the penalty on the squared weights of the hidden layer of h. Rated pictures are few.
HIDDEN_L2 = 5e-3

#: Added to the variance of a map before its root is taken.
SMALLEST_VARIANCE = 1e-6

#: Where both heads start, whatever they see: in the middle between 0 and 1.
MIDDLE = keras.initializers.Constant(0.5)
START_IN_THE_MIDDLE = {"kernel_initializer": "zeros", "bias_initializer": MIDDLE}


class MeanAndDeviation(layers.Layer):
    """Pools maps (N, H, W, C) to the mean and the standard deviation of each: (N, 2 C).

    The paper pools means only.
    """

    def call(self, maps: Any) -> tf.Tensor:
        """Returns the means, then the deviations."""
        mean, variance = tf.nn.moments(maps, [1, 2])
        # The root of zero has no gradient.
        return tf.concat([mean, tf.sqrt(variance + SMALLEST_VARIANCE)], axis=-1)


def build_feature_extractor() -> keras.Model:
    """Builds f: eight 3 x 3 convolutions with ReLU, two of them with stride 2.

    381,200 parameters; receptive field 45 pixels; output stride 4.

    Returns:
        A model from the normalised image (N, H, W, 1), any size from 48 x 48 pixels, to features
        (N, ceil(H / 4), ceil(W / 4), 128), zero or more.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    normalized = keras.Input((None, None, 1), name="normalized")
    features = layers.Rescaling(INPUT_SCALE, name="input_scale")(normalized)
    for number, (filters, stride) in enumerate(CONVOLUTIONS, start=1):
        convolution = layers.Conv2D(
            filters,
            3,
            strides=stride,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )
        features = convolution(features)
    return keras.Model(normalized, features, name="feature_extractor")


def build_error_map_model(
    feature_extractor: keras.Model | None = None,
) -> keras.Model:
    """Builds g(f(.)): the features, then one linear convolution to the error map.

    381,329 parameters.

    Args:
        feature_extractor: f, whose weights the model shares; a new one if None.

    Returns:
        A model from the normalised image (N, H, W, 1) to the predicted error map
        (N, ceil(H / 4), ceil(W / 4), 1).

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    extractor = feature_extractor or build_feature_extractor()
    normalized = keras.Input((None, None, 1), name="normalized")
    # It starts with a grey map; training adds what the features say.
    head = layers.Conv2D(1, 1, **START_IN_THE_MIDDLE, name="error_map")
    error_map = head(extractor(normalized))
    return keras.Model(normalized, error_map, name="error_map_model")


def build_score_model(
    feature_extractor: keras.Model | None = None,
    *,
    pooling: keras.Layer | None = None,
) -> keras.Model:
    """Builds h on [GAP(f(.)), mu_r, sigma_low]: two fully connected layers to one score.

    398,097 trainable parameters, and the means and variances by which the 130 features are brought
    to one scale: pooled features are far smaller than sigma_low and mu_r. `training` sets them
    from the training images; until then they are zero and one.

    Args:
        feature_extractor: f, whose weights the model shares; a new one if None.
        pooling: Layer from maps (N, h, w, 128) to lists (N, K); their means if None, as in the
            paper.

    Returns:
        A model from a dictionary of `normalized`, the normalised image (N, H, W, 1), and
        `hand_crafted`, [mu_r, sigma_low] (N, 2), to the quality (N, 1): near 0..1, higher is
        better.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/07-regressing-the-score.ipynb
    """
    extractor = feature_extractor or build_feature_extractor()
    pooling = pooling or layers.GlobalAveragePooling2D()
    normalized = keras.Input((None, None, 1), name="normalized")
    hand_crafted = keras.Input((2,), name="hand_crafted")
    pooled = pooling(extractor(normalized))  # (N, 128)
    features = layers.Concatenate(name="features")([pooled, hand_crafted])
    standardized = layers.Normalization(name="standardized")(features)
    hidden = layers.Dense(
        HIDDEN_UNITS,
        "relu",
        kernel_regularizer=keras.regularizers.L2(HIDDEN_L2),
        name="hidden",
    )
    # It starts by calling everything middling, which is never far off.
    head = layers.Dense(1, **START_IN_THE_MIDDLE, name="score")
    score = head(hidden(standardized))
    inputs = {"normalized": normalized, "hand_crafted": hand_crafted}
    return keras.Model(inputs, score, name="score_model")
