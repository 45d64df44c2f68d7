"""The extended predictor: DIQA's hand-crafted features, taken further.

DIQA was made for distortions that somebody added to a pristine picture. It sets two numbers beside
the features of its network, for what normalisation removes. Photographs as people take them are
judged by much of that: brightness, colour, contrast, sharpness, and where in the picture they are.
So this predictor has 448 numbers in place of two, those of `image_statistics`, and a few small
networks that turn them into an opinion, and into how far off they expect to be. Its score is the
mean of theirs.

The network of the paper is in `models`. Its features, set beside these numbers, did not bring the
score closer to people's, so they are left out here.
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from diqa_utils.image_statistics import OF_WHOLE, STATISTICS

__all__ = ["build_extended_score_model", "opinions_of", "unusualness", "usual_limits"]

#: Small networks whose opinions are averaged, and the units of their two hidden layers.
MEMBERS = 4
HIDDEN_UNITS = (256, 64)
DROPOUT = 0.3

#: Standardised statistics are kept within this many standard deviations.
LIMIT = 3.0

#: What each network says of a picture, in standard deviations of the training pictures: its
#: quality, its rank among them, and the logarithm of how far off that quality may be. The rank is
#: an exercise; the score is made of the quality.
OPINIONS = ("quality", "rank", "log error")

#: What is large where a picture was enlarged smoothly: there a pixel and its diagonal neighbour lie
#: on one side of the mean around them, so the products of their contrasts are hardly ever negative.
#: The same is so beside strong edges, but there contrast has a high kurtosis.
DIAGONAL = [
    STATISTICS.index(f"skewness of contrast times that {neighbour} at 1/1")
    for neighbour in ("below right", "below left")
]
KURTOSIS = STATISTICS.index("log kurtosis of contrast at 1/1")


@keras.saving.register_keras_serializable("diqa_utils")
class _Limited(layers.Layer):
    """Keeps standardised numbers within three standard deviations."""

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Takes and returns (N, C)."""
        return tf.clip_by_value(values, -LIMIT, LIMIT)


def build_extended_score_model(
    *,
    mean: float = 0.5,
    deviation: float = 0.25,
    units: int = HIDDEN_UNITS[0],
    dropout: float = DROPOUT,
) -> keras.Model:
    """Builds the extended score model, from statistics to quality and its expected error.

    526,348 trainable parameters by default, and the means and variances by which the 448 statistics
    are brought to one scale. Training sets them from its pictures; until then they are zero and
    one.

    Args:
        mean: Mean quality of the training pictures.
        deviation: Standard deviation of their quality.
        units: Units of the first hidden layer of each small network.
        dropout: Share of the hidden units that are left out of a training step at random.

    Returns:
        A model from what `image_statistics` makes of pictures (N, 448) to (N, 2): the quality, near
        0..1, higher is better, and the mean absolute error that is expected of it, above zero.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    statistics = keras.Input((len(STATISTICS),), name="statistics")
    standardized = layers.Normalization(name="standardized")(statistics)
    limited = _Limited(name="limited")(standardized)
    numbers = range(1, MEMBERS + 1)
    members = [_member(limited, number, units, dropout) for number in numbers]
    # (N, members, 3)
    opinions = layers.Concatenate(axis=1, name="opinions")(members)
    opinion = layers.GlobalAveragePooling1D(name="opinion")(opinions)
    quality = layers.Rescaling(deviation, mean, name="quality")(opinion[:, :1])
    error = layers.Activation("exponential", name="relative_error")(opinion[:, 2:])
    error = layers.Rescaling(deviation, name="error")(error)
    score = layers.Concatenate(name="score")([quality, error])
    return keras.Model(statistics, score, name="extended_score_model")


def opinions_of(score_model: keras.Model) -> keras.Model:
    """Returns the part of the extended score model that is trained.

    Args:
        score_model: Model of `build_extended_score_model`; its weights are shared.

    Returns:
        A model from statistics (N, 448) to the opinion of each small network, (N, 4, 3): quality,
        rank and log error, in standard deviations of the training pictures.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    opinions = score_model.get_layer("opinions").output
    return keras.Model(score_model.input, opinions, name="extended_opinions")


def unusualness(score_model: keras.Model, statistics: tf.Tensor) -> tf.Tensor:
    """Says in two ways how far pictures are from those that a model learnt from.

    The first is the fourth root of the mean fourth power of the standardised statistics of the
    whole: large if a few of them are as in no photograph, as those of flat fields, drawings and
    pages of text are. The second is how skewed the products of diagonal neighbours are, less the
    logarithm of the kurtosis of contrast: large where a picture was enlarged smoothly.

    Args:
        score_model: Model of `build_extended_score_model`, trained.
        statistics: float32 (N, 448), as `image_statistics` gives them.

    Returns:
        float32 (N, 2).
    """
    standardized = score_model.get_layer("standardized")(statistics)[:, : len(OF_WHOLE)]
    strangeness = tf.reduce_mean(standardized**4, axis=-1) ** 0.25
    skewness = tf.reduce_sum(tf.gather(statistics, DIAGONAL, axis=-1), axis=-1)
    smoothness = skewness - statistics[:, KURTOSIS]
    return tf.stack([strangeness, smoothness], axis=-1)


def usual_limits(measured: np.ndarray, share: float) -> list[float]:
    """Returns how far out a picture may be that counts as usual.

    Each limit is the k-th smallest value of ordinary photographs, k = ceil((n + 1) share): of new
    ones like them, at most 1 - share lie beyond it.

    Args:
        measured: (n, 2), the `unusualness` of photographs that the model has not learnt from.
        share: Share that lies within each limit, between 0 and 1.

    Returns:
        A limit for each column.

    Raises:
        ValueError: There are too few photographs for this share.
    """
    position = math.ceil((len(measured) + 1) * share)
    if position > len(measured):
        raise ValueError(f"{len(measured)} photograph(s) are too few for a share of {share:.1%}.")
    return np.sort(measured, axis=0)[position - 1].tolist()


def _member(hidden: tf.Tensor, number: int, first: int, dropout: float) -> tf.Tensor:
    """One small network: two hidden layers, then its three opinions, (N, 1, 3)."""
    for layer, units in enumerate((first, *HIDDEN_UNITS[1:]), start=1):
        name = f"member{number}_hidden{layer}"
        hidden = layers.Dense(units, activation="gelu", name=name)(hidden)
        hidden = layers.Dropout(dropout, name=f"member{number}_dropout{layer}")(hidden)
    opinion = layers.Dense(len(OPINIONS), name=f"member{number}_opinion")(hidden)
    return layers.Reshape((1, len(OPINIONS)), name=f"member{number}")(opinion)
