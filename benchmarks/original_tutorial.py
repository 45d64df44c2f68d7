"""How the original tutorial did each step: what the book's library is compared with.

A reference for measurements, not for use: it repeats the tutorial's behaviour, faults included.
Written anew for this book; each function says what to look for. Images are float32 in 0..255, as
they were there; batches are (N, H, W, C).

Source:
    Ocampo: image-quality, notebooks/train-diqa-base.ipynb, 2020.
        https://github.com/ocampor/image-quality
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

#: The window of the low-pass filter: 16 pixels wide, and the standard deviation of BRISQUE's.
TAPS, SIGMA = 16, 7 / 6

#: The exponent of the error map, and the slope of the reliability map in training and in figures.
EXPONENT, ALPHA, ALPHA_OF_FIGURES = 0.2, 0.2, 1.0

#: (filters, stride) of the 3 x 3 convolutions that both models share.
CONVOLUTIONS = ((48, 1), (48, 2), (64, 1), (64, 2), (64, 1), (64, 1), (128, 1), (128, 1))


def gaussian(taps: int = TAPS, sigma: float = SIGMA) -> np.ndarray:
    """Returns the one-dimensional Gaussian window: an even number of taps has none in the middle.

    Its peak stands at tap 8 of 0..15.
    """
    distance = np.arange(taps) - round(taps / 2)
    window = np.exp(-(distance**2) / (2 * sigma**2))
    return window / window.sum()


def blur(gray: tf.Tensor, sigma: float = SIGMA) -> tf.Tensor:
    """Blurs (N, H, W, 1): zeros beyond the border, seven of them before and eight after."""
    window = gaussian(sigma=sigma)
    kernel = np.outer(window, window)[..., None, None].astype(np.float32)
    return tf.nn.conv2d(gray, kernel, strides=1, padding="SAME")


def to_quarter(images: tf.Tensor, method: str = "bilinear") -> tf.Tensor:
    """Resizes to a quarter without antialiasing; sides that 4 does not divide are rounded down."""
    height, width = images.shape[1:3]
    return tf.image.resize(images, (height // 4, width // 4), method=method)


def low_frequency(gray: tf.Tensor) -> tf.Tensor:
    """Returns the low band of (N, H, W, 1): blurred, a quarter, and back."""
    return tf.image.resize(to_quarter(blur(gray), "bicubic"), gray.shape[1:3], method="bicubic")


def preprocess(images: Any) -> tf.Tensor:
    """Returns the normalised images of (N, H, W, 3), 0..255."""
    gray = tf.image.rgb_to_grayscale(tf.cast(images, tf.float32))
    return gray - low_frequency(gray)


def stretch(images: Any, low: float, high: float) -> tf.Tensor:
    """Rescales for display: one minimum and maximum for the batch, and back to the dtype given."""
    values = tf.cast(images, tf.float32)
    smallest, largest = tf.reduce_min(values), tf.reduce_max(values)
    stretched = (high - low) / (largest - smallest) * (values - smallest) + low
    return tf.cast(stretched, tf.convert_to_tensor(images).dtype)


def error_map(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
    """Returns |reference - distorted| ^ p: infinitely steep at zero."""
    return tf.abs(reference - distorted) ** EXPONENT


def reliability_map(normalized: tf.Tensor, alpha: float = ALPHA) -> tf.Tensor:
    """Returns r."""
    return 2 / (1 + tf.exp(-alpha * tf.abs(normalized))) - 1


def average_reliability_map(normalized: tf.Tensor, alpha: float = ALPHA) -> tf.Tensor:
    """Returns r / mean(r): one mean for the batch, and nothing against a mean of zero."""
    reliability = reliability_map(normalized, alpha)
    return reliability / tf.reduce_mean(reliability)


def training_example(
    references: np.ndarray, distorted: np.ndarray
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns what step 1 trains on: normalised image, error map and reliability map."""
    normalized = preprocess(distorted)
    target = to_quarter(error_map(preprocess(references), normalized))
    return normalized, target, to_quarter(average_reliability_map(normalized))


def loss(target: tf.Tensor, predicted: tf.Tensor, reliability: tf.Tensor) -> tf.Tensor:
    """Returns what training minimised."""
    return tf.reduce_mean(((target - predicted) * reliability) ** 2)


def accuracy(target: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """Returns what training printed under this name: an error, and without the weights."""
    return tf.reduce_mean((target - predicted) ** 2)


def build_models() -> tuple[keras.Model, keras.Model]:
    """Builds the models of both steps, which share their convolutions."""
    normalized = keras.Input((None, None, 1))
    features = normalized
    for filters, stride in CONVOLUTIONS:
        features = layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu")(
            features
        )
    error_maps = keras.Model(normalized, layers.Conv2D(1, 1)(features))
    hidden = layers.Dense(128, activation="relu")(layers.GlobalAveragePooling2D()(features))
    return error_maps, keras.Model(normalized, layers.Dense(1)(hidden))
