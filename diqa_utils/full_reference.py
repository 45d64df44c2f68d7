"""Two full-reference metrics, by which copies of different pictures are put in order.

Nobody rated the worse copies that the extended predictor learns from. Of copies of one picture the
strength of the damage says which is worse; of copies of two pictures, damaged in two ways, these
metrics do. They were chosen by their agreement with people, SRCC on TID2013 / KADID-10k as the
README of piq reports it: MDSI .890 / .885, HaarPSI .873 / .885 (MS-SSIM .798 / .802).

Sources:
    Nafchi, Shahkolaei, Hedjam, Cheriet: Mean Deviation Similarity Index: Efficient and Reliable
        Full-Reference Image Quality Evaluator. IEEE Access 4, 2016.
        https://doi.org/10.1109/ACCESS.2016.2604042
    Reisenhofer, Bosse, Kutyniok, Wiegand: A Haar Wavelet-Based Perceptual Similarity Index for
        Image Quality Assessment. Signal Processing: Image Communication 61, 2018.
        https://doi.org/10.1016/j.image.2017.11.001
    Kastryulin, Zakirov, Prokopenko: PyTorch Image Quality, README.
        https://github.com/photosynthesis-team/piq
"""

import numpy as np
import tensorflow as tf

__all__ = ["haarpsi", "mdsi"]

#: From RGB in 0..255 to luma and two chromas, one row each (MDSI, then HaarPSI: YIQ).
TO_LHM = np.array([[0.2989, 0.587, 0.114], [0.30, 0.04, -0.35], [0.34, -0.60, 0.17]], np.float32)
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])

#: Constants of MDSI: of the three similarities, and the weight of gradients against colours.
C1, C2, C3, GRADIENT_WEIGHT = 140.0, 55.0, 550.0, 0.6

#: Constants of HaarPSI: of the similarity, and of the logistic that it is averaged through.
HAAR_C, HAAR_ALPHA = 30.0, 4.2

MEAN_OF_FOUR = np.full((2, 2), 0.25)
PREWITT = np.array([[1, 0, -1]] * 3, np.float32) / 3


def mdsi(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
    """Returns the mean deviation similarity index: how unevenly gradients and colours differ.

    Args:
        reference: float32 (N, H, W, 3), 0..1.
        distorted: float32 (N, H, W, 3), 0..1.

    Returns:
        float32 (N,): zero for equal pictures, larger for worse ones.

    References:
        Nafchi, Shahkolaei, Hedjam and Cheriet (2016), https://doi.org/10.1109/ACCESS.2016.2604042
    """
    sides = tf.cast(tf.shape(reference)[1:3], tf.float32)
    # The authors look at pictures from such a distance that the shorter side has about 256 pixels.
    factor = tf.maximum(1, tf.cast(tf.round(tf.reduce_min(sides) / 256), tf.int32))
    first, second = (_reduced(255 * image, factor) @ TO_LHM.T for image in (reference, distorted))
    luma, other = first[..., :1], second[..., :1]
    steps, other_steps, both = (_steps(x) for x in (luma, other, (luma + other) / 2))
    gradients = (
        _similarity(steps, other_steps, C1)
        + _similarity(other_steps, both, C2)
        - _similarity(steps, both, C2)
    )
    chroma, other_chroma = first[..., 1:], second[..., 1:]
    product, squares = (
        tf.reduce_sum(values, axis=-1, keepdims=True)
        for values in (chroma * other_chroma, chroma**2 + other_chroma**2)
    )
    colours = (2 * product + C3) / (squares + C3)
    similarity = GRADIENT_WEIGHT * gradients + (1 - GRADIENT_WEIGHT) * colours
    root = tf.cast(similarity, tf.complex64) ** 0.25  # a similarity may be negative
    deviation = tf.abs(root - tf.reduce_mean(root, axis=[1, 2], keepdims=True))
    return tf.reduce_mean(deviation, axis=[1, 2, 3]) ** 0.25


def haarpsi(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
    """Returns the Haar perceptual similarity index: whether wavelets of three scales agree.

    Args:
        reference: float32 (N, H, W, 3), 0..1.
        distorted: float32 (N, H, W, 3), 0..1.

    Returns:
        float32 (N,), 0..1: one for equal pictures, lower for worse ones.

    References:
        Reisenhofer et al. (2018), https://doi.org/10.1016/j.image.2017.11.001
    """
    first, second = (
        _reduced(255 * image, 2) @ TO_YIQ.T.astype(np.float32) for image in (reference, distorted)
    )
    similarities, weights = [], []
    for down in (True, False):
        haar = [[_haar(x[..., :1], scale, down) for x in (first, second)] for scale in (1, 2, 3)]
        fine = [_similarity(one, other, HAAR_C**2) for one, other in haar[:2]]
        similarities.append((fine[0] + fine[1]) / 2)
        weights.append(tf.maximum(*haar[2]))
    chroma, other = (tf.abs(_filtered(x[..., 1:], MEAN_OF_FOUR)) for x in (first, second))
    colours = tf.reduce_mean(_similarity(chroma, other, HAAR_C**2), axis=-1, keepdims=True)
    similarity = tf.concat([*similarities, colours], axis=-1)
    weight = tf.concat([*weights, (weights[0] + weights[1]) / 2], axis=-1)
    weight += 1e-6  # two flat pictures have no wavelets
    squashed = tf.reduce_sum(weight * tf.sigmoid(HAAR_ALPHA * similarity), axis=[1, 2, 3])
    mean = squashed / tf.reduce_sum(weight, axis=[1, 2, 3])
    return (tf.math.log(mean / (1 - mean)) / HAAR_ALPHA) ** 2


def _reduced(images: tf.Tensor, factor: tf.Tensor | int) -> tf.Tensor:
    """Averages squares of `factor` x `factor` pixels."""
    rows, columns = tf.shape(images)[1] // factor, tf.shape(images)[2] // factor
    cut = images[:, : rows * factor, : columns * factor]
    squares = tf.reshape(cut, [-1, rows, factor, columns, factor, 3])
    return tf.reduce_mean(squares, axis=[2, 4])


def _similarity(first: tf.Tensor, second: tf.Tensor, constant: float) -> tf.Tensor:
    """One where two maps agree, less where they do not."""
    return (2 * first * second + constant) / (first**2 + second**2 + constant)


def _steps(luma: tf.Tensor) -> tf.Tensor:
    """The magnitude of the gradient, by Prewitt's filters."""
    return tf.sqrt(_filtered(luma, PREWITT) ** 2 + _filtered(luma, PREWITT.T) ** 2)


def _haar(luma: tf.Tensor, scale: int, down: bool) -> tf.Tensor:
    """How far halves of squares of 2^scale pixels differ, at every place."""
    side = 2**scale
    kernel = np.full((side, side), 1 / side)
    kernel[: side // 2] *= -1
    return tf.abs(_filtered(luma, kernel if down else kernel.T))


def _filtered(images: tf.Tensor, kernel: np.ndarray) -> tf.Tensor:
    """Filters each channel by a kernel, zero outside."""
    weights = np.repeat(kernel.astype(np.float32)[:, :, None, None], images.shape[-1], axis=2)
    return tf.nn.depthwise_conv2d(images, weights, [1, 1, 1, 1], padding="SAME")
