"""From a picture to what the network sees: grey, low-frequency band, normalised image.

DIQA does not look at the picture itself but at its high-frequency residual
I-hat = I_gray - I_low. The low band is made by the Laplacian pyramid's pair of operators, which
the first author of DIQA uses in his public code for sister papers: two rounds of a 5 x 5 binomial
blur with stride 2 (reduce), then two rounds of the matching interpolation (expand).

Sources:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
    Burt, Adelson: The Laplacian Pyramid as a Compact Image Code. IEEE Trans. Communications
        31(4), 1983. https://doi.org/10.1109/TCOM.1983.1095851
"""

from typing import Any

import numpy as np
import tensorflow as tf

from diqa_utils._internal.arrays import MINIMUM_SIZE
from diqa_utils._internal.checks import scaled, takes_images

__all__ = ["MINIMUM_SIZE", "low_frequency", "normalize", "to_gray"]

#: Burt and Adelson's generating kernel in one dimension.
BINOMIAL_ROW = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)

#: Mirrored pixels added before and after each side, so that the borders of the low band come from
#: pixels and not from zeros. Before: 10 keeps the pyramid's grid on the image's pixels 0, 4, 8 ...
#: After: 14 is what the last of them needs, and a few more make a multiple of four.
MARGIN_BEFORE, MARGIN_AFTER = 10, 14


#: What two rounds of reduce weigh the pixels around a sample with, in one dimension: (13,).
TWO_ROUNDS = np.convolve(BINOMIAL_ROW, np.kron(BINOMIAL_ROW, [1, 0])[:-1]).astype(np.float32)

#: Two rounds of reduce in one go. Down: (13, 1, 1, 1), stride 4. Across, for pixels that stand in
#: fours: (1, 4, 4, 1), stride 1.
REDUCE_DOWN = TWO_ROUNDS[:, None, None, None]
REDUCE_ACROSS = np.pad(TWO_ROUNDS, (0, 3)).reshape(1, 4, 4, 1)

#: What two rounds of expand make of the samples around four pixels of a row: (samples, pixels).
#: Sample i stands at pixel 4 i of the expanded band, which begins 10 pixels before the image. Each
#: round has only half of the samples to weigh.
INTERPOLATION = 4 * np.pad(TWO_ROUNDS, (12 - MARGIN_BEFORE, 1)).reshape(4, 4)[::-1]


@takes_images(pixels=True)
def to_gray(image: Any) -> tf.Tensor:
    """Converts a picture to grey levels in 0..1.

    The weights are those of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B. A one-channel picture
    keeps its values.

    Args:
        image: (H, W, C) or (N, H, W, C) with C = 1 or 3; uint8 in 0..255, or floating-point in
            0..1. Tensor or array; at least 48 x 48 pixels.

    Returns:
        float32 tensor in 0..1, (H, W, 1) or (N, H, W, 1).

    Raises:
        ValueError: If rank, channels, dtype, size or value range are not as above, or a value is
            NaN. Values are checked eagerly only.

    Chapter: notebooks/02-normalisation.ipynb
    """
    # Channel by channel: faster than a sum over the last axis, and no copy of all in float32.
    channels = [scaled(channel) for channel in tf.split(image, image.shape[-1], axis=-1)]
    if len(channels) == 1:
        return channels[0]
    red, green, blue = channels
    return 0.299 * red + 0.587 * green + 0.114 * blue


@takes_images(unit_range=True)
def low_frequency(gray: Any) -> tf.Tensor:
    """Returns the low-frequency band I_low: blurred, reduced to a quarter, expanded again.

    Two rounds of the binomial 5 x 5 kernel with stride 2 act like a Gaussian of sigma
    sqrt(5) = 2.24 pixels. Every sample stays where it was: a linear ramp comes out unchanged and
    the centroid of an impulse does not move. Borders are mirrored.

    Args:
        gray: (H, W, 1) or (N, H, W, 1), floating-point in 0..1; at least 48 x 48 pixels.

    Returns:
        float32 tensor in 0..1 of the same shape.

    Raises:
        ValueError: If rank, channels, dtype, size or value range are not as above, or a value is
            NaN. Values are checked eagerly only.

    Chapter: notebooks/02-normalisation.ipynb
    """
    height, width = tf.unstack(tf.shape(gray)[1:3])
    low = expand_twice(reduce_twice(gray))[:, :height, :width]
    low.set_shape(gray.shape)
    return low


def reduce_twice(batch: tf.Tensor) -> tf.Tensor:
    """Reduces (N, H, W, 1) twice: (N, ceil(H / 4) + 3, ceil(W / 4) + 3, 1), its borders mirrored.

    Four pixels of a row count as channels of one: a convolution is slow where it has only one.
    """
    number, *sides, _ = tf.unstack(tf.shape(batch))
    margins = [[MARGIN_BEFORE, MARGIN_AFTER + 3 - (side + 3) % 4] for side in sides]
    padded = tf.pad(batch, [[0, 0], *margins, [0, 0]], mode="REFLECT")
    in_fours = tf.reshape(padded, [number, tf.shape(padded)[1], -1, 4])
    across = tf.nn.conv2d(in_fours, REDUCE_ACROSS, strides=1, padding="VALID")
    return tf.nn.conv2d(across, REDUCE_DOWN, strides=(4, 1), padding="VALID")


def expand_twice(quarter: tf.Tensor) -> tf.Tensor:
    """Expands (N, h + 3, w + 3, 1) twice: (N, 4 h, 4 w, 1), first the columns and then the rows.

    Each sample becomes four pixels, which are four sums of the same four samples.
    """
    number, height, width, _ = tf.unstack(tf.shape(quarter))
    down, across = INTERPOLATION[:, None, None], INTERPOLATION[None, :, None]
    columns = tf.nn.conv2d(quarter, down, strides=1, padding="VALID")  # (N, h, w + 3, 4)
    columns = tf.transpose(columns, [0, 1, 3, 2])
    columns = tf.reshape(columns, [number, 4 * (height - 3), width, 1])
    rows = tf.nn.conv2d(columns, across, strides=1, padding="VALID")  # (N, 4 h, w, 4)
    return tf.reshape(rows, [number, 4 * (height - 3), 4 * (width - 3), 1])


def normalize(image: Any) -> tf.Tensor:
    """Returns the normalised image: I-hat = I_gray - I_low.

    Args:
        image: (H, W, C) or (N, H, W, C) with C = 1 or 3; uint8 in 0..255, or floating-point in
            0..1. At least 48 x 48 pixels.

    Returns:
        float32 tensor in -1..1, (H, W, 1) or (N, H, W, 1); zero where the image is flat (to
        within float32 rounding).

    Raises:
        ValueError: For what `to_gray` refuses.

    Chapter: notebooks/02-normalisation.ipynb
    """
    gray = to_gray(image)
    return gray - low_frequency(gray)
