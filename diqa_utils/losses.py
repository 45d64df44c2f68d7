"""The loss of step 1: errors of the predicted error map, weighted by reliability.

Source:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
"""

from typing import Any

import tensorflow as tf

from diqa_utils._internal.checks import check_finite, check_same_shape

__all__ = ["weighted_error_map_loss"]


def weighted_error_map_loss(
    y_true: Any, y_pred: Any, reliability: Any, *, border: int = 0
) -> tf.Tensor:
    """Returns the mean of ((prediction - truth) * reliability) ** 2.

    L1 = || (g(f(I-hat_d)) - e_gt) * r-hat ||^2, as a mean over pixels and images so that it does
    not depend on their number.

    Args:
        y_true: the error map e_gt at the network's scale, (h, w, 1) or (N, h, w, 1).
        y_pred: the predicted error map, of the same shape.
        reliability: the average reliability map r-hat at the same scale, of the same shape.
        border: cells that are left out at each side, where the prediction has seen the zeros beyond
            the edge.

    Returns:
        float32 scalar, zero or more.

    Raises:
        ValueError: if the shapes differ, a value is NaN (checked eagerly only), or the border
            leaves nothing of the maps or is negative.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/05-the-loss.ipynb
    """
    maps = {"y_true": y_true, "y_pred": y_pred, "reliability": reliability}
    tensors = {name: tf.cast(values, tf.float32) for name, values in maps.items()}
    for name, tensor in tensors.items():
        check_finite(tensor, name=name)
        # Broadcasting would turn a forgotten axis into a wrong number, silently.
        check_same_shape(tensors["y_true"], tensor, names=("y_true", name))
    weighted = (tensors["y_pred"] - tensors["y_true"]) * tensors["reliability"]
    return tf.reduce_mean(tf.square(_shaved(weighted, border)))


def _shaved(maps: tf.Tensor, border: int) -> tf.Tensor:
    """Leaves out the cells at the edges of maps (..., h, w, 1)."""
    shortest = min((side for side in maps.shape[-3:-1] if side is not None), default=None)
    if border < 0 or (shortest is not None and shortest <= 2 * border):
        raise ValueError(
            f"border is {border}: it must be zero or more and leave something of maps of shape "
            f"{tuple(maps.shape)}."
        )
    return maps[..., border:-border, border:-border, :] if border else maps
