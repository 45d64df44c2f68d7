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

from diqa_utils._internal.checks import check_not_negative

__all__ = ["build_error_map_model", "build_feature_extractor", "build_score_model"]

#: (filters, stride) of the eight 3 x 3 convolutions of f.
CONVOLUTIONS = ((48, 1), (48, 2), (64, 1), (64, 2), (64, 1), (64, 1), (128, 1), (128, 1))

#: The network multiplies its input by this. The normalised image has a standard deviation of about
#: 1 / 13; the usual initialisations expect about one.
INPUT_SCALE = 13.0

#: Units of a hidden layer of h.
HIDDEN_UNITS = 128

#: Weight of the penalty on the squared weights of the hidden layers of h. Rated pictures are few.
HIDDEN_L2 = 5e-3

#: Patches as the first author's code cuts them: side and step in pixels, and the cells that are
#: shaved from each side of their feature maps. 112 - 2 * 4 * 4 = 80: shaved maps tile without gaps.
PATCH_SIZE, PATCH_STEP, PATCH_BORDER = 112, 80, 4

#: Cells that may be shaved: of the smallest image, 48 x 48 pixels, two by two are left then.
LARGEST_BORDER = 5

#: Where both heads start: in the middle between 0 and 1.
MIDDLE = keras.initializers.Constant(0.5)


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
    feature_extractor: keras.Model | None = None, *, head_kernel: int = 1
) -> keras.Model:
    """Builds g(f(.)): the features, then one linear convolution to the error map.

    381,329 parameters.

    Args:
        feature_extractor: f, whose weights the model shares; a new one if None.
        head_kernel: side of g's kernel in cells, an odd number; the sources disagree on it.

    Returns:
        A model from the normalised image (N, H, W, 1) to the predicted error map
        (N, ceil(H / 4), ceil(W / 4), 1).

    Raises:
        ValueError: if `head_kernel` is not odd.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    if head_kernel < 1 or head_kernel % 2 == 0:
        raise ValueError(f"head_kernel must be odd, so that it has a middle, not {head_kernel}.")
    extractor = feature_extractor or build_feature_extractor()
    normalized = keras.Input((None, None, 1), name="normalized")
    # A grey map to start from: what the features say is added to it step by step.
    head = layers.Conv2D(
        1,
        head_kernel,
        padding="same",
        kernel_initializer="zeros",
        bias_initializer=MIDDLE,
        name="error_map",
    )
    predicted = head(extractor(normalized))
    return keras.Model(normalized, predicted, name="error_map_model")


def build_score_model(
    feature_extractor: keras.Model | None = None,
    *,
    border: int = 0,
    patches: bool = False,
    hidden_layers: int = 1,
    weight_penalty: float = HIDDEN_L2,
) -> keras.Model:
    """Builds h on [GAP(f(.)), mu_r, sigma_low]: fully connected layers to one score.

    398,097 trainable parameters, and the means and variances by which the 130 features are brought
    to one scale: pooled features are far smaller than sigma_low and mu_r. `training` sets them
    from the training images; until then they are zero and one.

    Args:
        feature_extractor: f, whose weights the model shares; a new one if None.
        border: cells of f's output that are left out at each side before it is pooled. What lies
            near an edge has seen the zeros beyond it.
        patches: whether f sees patches of 112 pixels with a step of 80, the last ones moved in from
            the edge, whose pooled features are averaged; 4 cells are shaved from each side then.
        hidden_layers: of 128 units, between the features and the score.
        weight_penalty: on the squared weights of the hidden layers.

    Returns:
        A model from a dictionary of `normalized`, the normalised image (N, H, W, 1), and
        `hand_crafted`, [mu_r, sigma_low] (N, 2), to the quality (N, 1): near 0..1, higher is
        better.

    Raises:
        ValueError: if a number is negative, `border` more than 5, which would leave nothing of the
            smallest images, or `patches` comes with another border than 0 or 4.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/12-what-each-part-is-worth.ipynb

    Chapter: notebooks/07-regressing-the-score.ipynb
    """
    for name, number in (("hidden_layers", hidden_layers), ("weight_penalty", weight_penalty)):
        check_not_negative(number, name=name, zero_allowed=True)
    if not 0 <= border <= LARGEST_BORDER:
        raise ValueError(f"border must be from 0 to {LARGEST_BORDER} cells, not {border}.")
    if patches and border not in (0, PATCH_BORDER):
        raise ValueError(f"patches have a border of {PATCH_BORDER} cells, not {border}.")
    extractor = feature_extractor or build_feature_extractor()
    normalized = keras.Input((None, None, 1), name="normalized")
    hand_crafted = keras.Input((2,), name="hand_crafted")
    maps = extractor(_Patches(name="patches")(normalized) if patches else normalized)
    if shaved := PATCH_BORDER if patches else border:
        maps = layers.Cropping2D(shaved, name="shaved")(maps)
    pooled = layers.GlobalAveragePooling2D(name="pooled_features")(maps)
    if patches:
        pooled = _MeanOfPatches(name="mean_of_patches")([pooled, normalized])
    features = layers.Concatenate(name="features")([pooled, hand_crafted])  # (N, 130)
    hidden = layers.Normalization(name="standardized")(features)
    for number in range(1, hidden_layers + 1):
        hidden = layers.Dense(
            HIDDEN_UNITS,
            activation="relu",
            kernel_regularizer=keras.regularizers.L2(weight_penalty),
            name="hidden" if number == 1 else f"hidden{number}",
        )(hidden)
    # It starts by calling everything middling, which is never far off.
    head = layers.Dense(1, kernel_initializer="zeros", bias_initializer=MIDDLE, name="score")
    score = head(hidden)
    inputs = {"normalized": normalized, "hand_crafted": hand_crafted}
    return keras.Model(inputs, score, name="score_model")


def _settings_of(score_model: keras.Model) -> dict[str, Any]:
    """What `build_score_model` must be told to build a model that takes the same weights."""
    names = [layer.name for layer in score_model.layers]
    patches = "patches" in names
    shaved = score_model.get_layer("shaved").cropping[0][0] if "shaved" in names else 0
    hidden_layers = sum(name.startswith("hidden") for name in names)
    return {"border": shaved, "patches": patches, "hidden_layers": hidden_layers}


def _head_kernel_of(error_map_model: keras.Model) -> int:
    """The side of the kernel of an error-map model's head."""
    return int(error_map_model.get_layer("error_map").kernel_size[0])


def _patch_starts(length: tf.Tensor) -> tf.Tensor:
    """Where patches begin along a side: every 80 pixels, the last one as far on as it can be."""
    last = tf.maximum(length - PATCH_SIZE, 0)
    return tf.concat([tf.range(0, last, PATCH_STEP), [last]], axis=0)


class _Patches(layers.Layer):
    """Cuts images (N, H, W, 1) into patches of 112 pixels, step 80: (N * patches, 112, 112, 1).

    Where a side is shorter than 112 pixels, the patches have that side.
    """

    def call(self, images: tf.Tensor) -> tf.Tensor:
        number, height, width, _ = tf.unstack(tf.shape(images))
        sides = tf.minimum(height, PATCH_SIZE), tf.minimum(width, PATCH_SIZE)
        rows, columns = (
            _patch_starts(length)[:, tf.newaxis] + tf.range(side)
            for length, side in zip((height, width), sides, strict=True)
        )
        cut = tf.gather(tf.gather(images, rows, axis=1), columns, axis=3)
        cut = tf.transpose(cut, [0, 1, 3, 2, 4, 5])  # (N, down, across, 112, 112, 1)
        down, across = tf.shape(rows)[0], tf.shape(columns)[0]
        return tf.reshape(cut, [number * down * across, *sides, 1])

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (None, None, None, shape[-1])


class _MeanOfPatches(layers.Layer):
    """Averages the features of an image's patches: (N * patches, K) to (N, K)."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        features, images = inputs
        shape = tf.shape(images)[0], -1, features.shape[-1]
        return tf.reduce_mean(tf.reshape(features, shape), axis=1)

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return (None, shapes[0][-1])
