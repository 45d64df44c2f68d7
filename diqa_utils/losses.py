"""The loss of step 1: errors of the predicted error map, weighted by reliability.

Source:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
"""

from typing import Any

import tensorflow as tf

from diqa_utils._internal.checks import takes_maps

__all__ = ["weighted_error_map_loss"]


@takes_maps
def weighted_error_map_loss(
    y_true: Any,
    y_pred: Any,
    reliability: Any,
) -> tf.Tensor:
    """Returns the mean of ((prediction - truth) * reliability) ** 2.

    L1 = || (g(f(I-hat_d)) - e_gt) * r-hat ||^2, as a mean over pixels and images so that it does
    not depend on their number.

    Args:
        y_true: The error map e_gt at the network's scale, (h, w, 1) or (N, h, w, 1).
        y_pred: The predicted error map, of the same shape.
        reliability: The average reliability map r-hat at the same scale, of the same shape.

    Returns:
        float32 scalar, zero or more.

    Raises:
        ValueError: If the shapes differ or a value is NaN (checked eagerly only).

    Chapter: notebooks/05-the-loss.ipynb
    """
    return tf.reduce_mean(tf.square((y_pred - y_true) * reliability))
