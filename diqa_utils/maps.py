"""What the network learns from: the error map, and how far each pixel is to be trusted.

Source:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
"""

from typing import Any

import tensorflow as tf

from diqa_utils._internal.arrays import OUTPUT_STRIDE as OUTPUT_STRIDE
from diqa_utils._internal.checks import takes_images
from diqa_utils.preprocessing import low_frequency, to_gray

__all__ = [
    "DEFAULT_ALPHA",
    "DEFAULT_EXPONENT",
    "average_reliability_map",
    "downscale",
    "error_map",
    "hand_crafted_features",
    "reliability_map",
]

#: The exponent p of the error map, as in the paper.
DEFAULT_EXPONENT = 0.2

#: The slope of the reliability map for images in 0..1. The sources disagree on it; 255 is the
#: original tutorial's alpha = 1 for images in 0..255.
DEFAULT_ALPHA = 255.0

#: Height, width and channel, with or without a batch axis before them.
IMAGE_AXES = (-3, -2, -1)

#: Differences between normalised images that are smaller come from rounding to float32. The power
#: p = 0.2 would make them visible: (1e-7) ^ 0.2 = 0.04.
ROUNDING = 1e-6

#: Keeps r / mean(r) at one where an image is flat: far above what rounding makes of a flat image,
#: far below the reliability of any texture.
FLAT_RELIABILITY = 1e-3


@takes_images(positive="exponent")
def error_map(
    reference: Any,
    distorted: Any,
    *,
    exponent: float = DEFAULT_EXPONENT,
) -> tf.Tensor:
    """Returns the objective error map e_gt = |I-hat_r - I-hat_d| ^ p.

    Value and gradient are zero where the images agree to within float32 rounding. So the gradient
    is defined there too, though the derivative of |x| ^ p is infinite at zero for p < 1.

    Args:
        reference: The normalised reference, (H, W, 1) or (N, H, W, 1), floating-point in -1..1.
        distorted: The normalised distorted image, of the same shape.
        exponent: p, greater than zero; 0.2 in the paper.

    Returns:
        float32 tensor of the same shape, zero or more.

    Raises:
        ValueError: If the shapes differ, rank, channels, size or dtype are wrong, a value is NaN
            (checked eagerly only), or `exponent` is not greater than zero.

    Chapter: notebooks/03-error-maps.ipynb
    """
    difference = tf.abs(reference - distorted)
    differs = difference > ROUNDING
    # The inner `where` keeps 0 ^ (p - 1) out of the gradient, where its
    # infinity would be multiplied by zero, which is NaN.
    base = tf.where(differs, difference, 1.0)
    # x ^ p = exp(p log x) is several times as fast as a power.
    power = tf.exp(exponent * tf.math.log(base))
    return tf.where(differs, power, 0.0)


@takes_images(not_negative="alpha")
def reliability_map(
    normalized: Any,
    *,
    alpha: float = DEFAULT_ALPHA,
) -> tf.Tensor:
    """Returns the reliability map r = 2 / (1 + exp(-alpha |I-hat_d|)) - 1.

    Texture and edges get values near one, flat regions values near zero: there the error map
    says little about what a person sees.

    Args:
        normalized: The normalised distorted image, (H, W, 1) or (N, H, W, 1), floating-point in
            -1..1.
        alpha: Slope of r, by which it saturates, zero or more; for images in 0..1.

    Returns:
        float32 tensor of the same shape, in 0..1.

    Raises:
        ValueError: If rank, channels, size or dtype are wrong, a value is NaN (checked eagerly
            only), or `alpha` is negative.

    Chapter: notebooks/04-reliability-maps.ipynb
    """
    # 2 / (1 + exp(-a)) - 1 = tanh(a / 2), which loses no digits near zero.
    return tf.tanh(alpha / 2 * tf.abs(normalized))


def average_reliability_map(
    normalized: Any,
    *,
    alpha: float = DEFAULT_ALPHA,
) -> tf.Tensor:
    """Returns r-hat = r / mean(r), the mean taken over each image by itself.

    Its mean is one in each image, so it moves attention within an image. The mean of its square,
    by which the loss weights an image, is still larger where few pixels are reliable. A flat image,
    where r is zero everywhere, gets one everywhere.

    Args:
        normalized: The normalised distorted image, (H, W, 1) or (N, H, W, 1), floating-point in
            -1..1.
        alpha: Slope of r, by which it saturates, zero or more; for images in 0..1.

    Returns:
        float32 tensor of the same shape, zero or more, with mean one per image.

    Raises:
        ValueError: For what `reliability_map` refuses.

    Chapter: notebooks/04-reliability-maps.ipynb
    """
    r = reliability_map(normalized, alpha=alpha) + FLAT_RELIABILITY
    return r / tf.reduce_mean(r, axis=IMAGE_AXES, keepdims=True)


@takes_images()
def downscale(image_map: Any) -> tf.Tensor:
    """Averages a map over blocks of 4 x 4 pixels, to the size of the network's output.

    Where a side is no multiple of four, the last block averages the pixels that there are.

    Args:
        image_map: (H, W, 1) or (N, H, W, 1), floating-point.

    Returns:
        float32 tensor, (ceil(H / 4), ceil(W / 4), 1), with the batch axis in front if there was
        one.

    Raises:
        ValueError: If rank, channels, size or dtype are wrong, or a value is NaN (checked eagerly
            only).

    Chapter: notebooks/03-error-maps.ipynb
    """
    # Zeros below and right complete the last blocks. Padding "SAME" would
    # put some of them before the first pixel, which shifts every block.
    below, right = tf.unstack(-tf.shape(image_map)[1:3] % 4)
    zeros = [[0, 0], [0, below], [0, right], [0, 0]]
    blocks = tf.nn.avg_pool2d(tf.pad(image_map, zeros), 4, 4, "VALID")
    inside = tf.pad(tf.ones_like(image_map[:1]), zeros)
    return blocks / tf.nn.avg_pool2d(inside, 4, 4, "VALID")


def hand_crafted_features(
    image: Any,
    *,
    alpha: float = DEFAULT_ALPHA,
) -> tf.Tensor:
    """Returns the two numbers that normalisation takes away from the network: mu_r and sigma_low.

    mu_r is the mean of the reliability map before it is divided by that very mean: how much
    texture the picture has. sigma_low is the standard deviation of the low-frequency band: its
    contrast.

    Args:
        image: The distorted picture, (H, W, C) or (N, H, W, C) with C = 1 or 3; uint8 in 0..255,
            or floating-point in 0..1.
        alpha: The slope of the reliability map, zero or more.

    Returns:
        float32 tensor [mu_r, sigma_low], (2,) or (N, 2); mu_r in 0..1, sigma_low in 0..0.5.

    Raises:
        ValueError: For what `to_gray` or `reliability_map` refuses.

    Chapter: notebooks/07-regressing-the-score.ipynb
    """
    gray = to_gray(image)
    low = low_frequency(gray)
    reliability = reliability_map(gray - low, alpha=alpha)
    texture = tf.reduce_mean(reliability, axis=IMAGE_AXES)
    contrast = tf.math.reduce_std(low, axis=IMAGE_AXES)
    return tf.stack([texture, contrast], axis=-1)
