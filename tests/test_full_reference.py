"""The two full-reference metrics, against NumPy and SciPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from diqa_utils.distortions import LEVELS, distort
from diqa_utils.full_reference import haarpsi, mdsi


def unit(image):
    return tf.constant(image[None], tf.float32) / 255


def reduced(image, factor):
    rows, columns = image.shape[0] // factor, image.shape[1] // factor
    cut = image[: rows * factor, : columns * factor].astype(np.float64)
    return cut.reshape(rows, factor, columns, factor, 3).mean(axis=(1, 3))


def filtered(plane, kernel):
    return ndimage.correlate(
        plane, kernel, mode="constant", origin=[-(n % 2 == 0) for n in kernel.shape]
    )


def similarity(one, other, constant):
    return (2 * one * other + constant) / (one**2 + other**2 + constant)


def mdsi_by_hand(reference, distorted):
    factor = max(1, round(min(reference.shape[:2]) / 256))
    first, second = reduced(reference, factor), reduced(distorted, factor)
    luma, other = (image @ [0.2989, 0.587, 0.114] for image in (first, second))
    prewitt = np.array([[1, 0, -1]] * 3) / 3

    def steps(plane):
        return np.hypot(filtered(plane, prewitt), filtered(plane, prewitt.T))

    r, d, f = steps(luma), steps(other), steps((luma + other) / 2)
    gradients = similarity(r, d, 140) + similarity(d, f, 55) - similarity(r, f, 55)
    h1, h2 = (image @ [0.30, 0.04, -0.35] for image in (first, second))
    m1, m2 = (image @ [0.34, -0.60, 0.17] for image in (first, second))
    colours = (2 * (h1 * h2 + m1 * m2) + 550) / (h1**2 + h2**2 + m1**2 + m2**2 + 550)
    root = (0.6 * gradients + 0.4 * colours).astype(complex) ** 0.25
    return np.abs(root - root.mean()).mean() ** 0.25


def haarpsi_by_hand(reference, distorted):
    first, second = reduced(reference, 2), reduced(distorted, 2)
    yiq = [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]
    similarities, weights = [], []
    for axis in (0, 1):
        planes = []
        for scale in (1, 2, 3):
            kernel = np.ones((2**scale, 2**scale)) / 2**scale
            kernel[: 2**scale // 2] *= -1
            kernel = kernel if axis == 0 else kernel.T
            planes.append([np.abs(filtered(x @ yiq[0], kernel)) for x in (first, second)])
        similarities.append((similarity(*planes[0], 900) + similarity(*planes[1], 900)) / 2)
        weights.append(np.maximum(*planes[2]))
    mean = np.full((2, 2), 0.25)
    colours = [
        similarity(*(np.abs(filtered(x @ row, mean)) for x in (first, second)), 900)
        for row in yiq[1:]
    ]
    similarities.append((colours[0] + colours[1]) / 2)
    weights.append((weights[0] + weights[1]) / 2)
    squashed = 1 / (1 + np.exp(-4.2 * np.array(similarities)))
    average = (squashed * weights).sum() / np.sum(weights)
    return (np.log(average / (1 - average)) / 4.2) ** 2


@pytest.mark.parametrize("kind", ["jpeg", "color_shift", "darken"])
@pytest.mark.parametrize("times", [1, 3])  # the second is more than 256 pixels high
def test_the_metrics_are_those_of_their_papers(photographs, kind, times):
    reference = photographs["chelsea"].repeat(times, axis=0).repeat(times, axis=1)
    distorted = distort(reference, kind, 3)
    pair = unit(reference), unit(distorted)
    assert float(mdsi(*pair)[0]) == pytest.approx(mdsi_by_hand(reference, distorted), rel=1e-3)
    assert float(haarpsi(*pair)[0]) == pytest.approx(
        haarpsi_by_hand(reference, distorted), rel=1e-3
    )


def test_both_fall_from_level_to_level(photographs):
    reference = photographs["coffee"]
    copies = np.stack([reference, *(distort(reference, "jpeg", level) for level in LEVELS)])
    pair = tf.repeat(unit(reference), 6, axis=0), tf.constant(copies, tf.float32) / 255
    distance, index = mdsi(*pair).numpy(), haarpsi(*pair).numpy()
    assert distance[0] == pytest.approx(0, abs=1e-3)
    assert index[0] == pytest.approx(1, abs=1e-4)
    assert (np.diff(distance) > 0).all()
    assert (np.diff(index) < 0).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_pictures_are_equal(value):
    flat = unit(np.full((48, 51, 3), value, np.uint8))
    assert float(mdsi(flat, flat)[0]) == pytest.approx(0, abs=1e-3)
    assert float(haarpsi(flat, flat)[0]) == pytest.approx(1, abs=1e-4)
