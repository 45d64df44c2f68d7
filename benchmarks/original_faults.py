"""Measures the faults of the original tutorial beside what the library does instead.

    python -m benchmarks.original_faults

Each function measures one thing, for the tutorial's way (`original`) and the library's (`ours`), on
the photographs of the sample database at their own size. Nothing here is random, and nothing
depends on the machine's speed.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.spatial.distance import cdist

from benchmarks import original_tutorial as original
from benchmarks import results
from diqa_utils import datasets, maps, preprocessing
from diqa_utils.datasets.sample_iqa import sample_iqa_dataset_builder as sample
from diqa_utils.distortions import distort
from diqa_utils.metrics import srcc

NAME = "original_faults"

#: Pixels at the border that are left out where something else than the border is measured.
INSIDE = (slice(24, -24), slice(24, -24))


@cache
def photographs() -> dict[str, np.ndarray]:
    """Returns the photographs by name, uint8 (H, W, 3), cut to sides that are multiples of four."""
    cut = {}
    for name, read in sorted(sample.PHOTOGRAPHS.items()):
        image = np.atleast_3d(read())  # a grey one is (H, W)
        height, width = (side // 4 * 4 for side in image.shape[:2])
        cut[name] = np.broadcast_to(image[:height, :width], (height, width, 3))
    return cut


def gray_levels(photograph: np.ndarray) -> np.ndarray:
    """Returns the grey image (H, W) in 0..255."""
    return 255 * preprocessing.to_gray(photograph).numpy()[..., 0]


def stripes(period: int = 5) -> np.ndarray:
    """Returns upright stripes, (96, 384) in 0..255."""
    wave = np.sin(2 * np.pi * np.arange(384) / period)
    return np.tile(127.5 + 100 * wave, (96, 1))


def low_band(gray: np.ndarray, *, ours: bool) -> np.ndarray:
    """Returns the low band of a grey image (H, W) in 0..255, by either way."""
    batch = tf.constant(gray, tf.float32)[None, ..., None]
    low = 255 * preprocessing.low_frequency(batch / 255) if ours else original.low_frequency(batch)
    return low.numpy()[0, ..., 0]


def either(measure: Callable[[bool], Any]) -> dict[str, Any]:
    """Measures the tutorial's way and the library's."""
    return {"original": measure(False), "ours": measure(True)}


# --- The low band ---------------------------------------------------------------------------------


def best_fit() -> dict[str, Any]:
    """The shift of the low band that brings it nearest to the photograph, and how near."""
    shifts = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]

    def measure(ours: bool) -> dict[str, float]:
        errors = np.empty((len(photographs()), len(shifts)))
        for row, photograph in enumerate(photographs().values()):
            gray = gray_levels(photograph)
            low = low_band(gray, ours=ours)
            for column, shift in enumerate(shifts):
                difference = gray - np.roll(low, shift, axis=(0, 1))
                errors[row, column] = np.mean(difference[INSIDE] ** 2)
        best = errors.argmin(axis=1)
        return {
            "photographs_shifted": int(np.sum(best != shifts.index((0, 0)))),
            "photographs_shifted_by_one": int(np.sum(best == shifts.index((1, 1)))),
            "mse": float(errors[:, shifts.index((0, 0))].mean()),
            "mse_at_best": float(errors.min(axis=1).mean()),
        }

    return either(measure)


def aliasing() -> dict[str, Any]:
    """How much of stripes with a period of five pixels is in the low band, and as what."""

    def measure(ours: bool) -> dict[str, float]:
        low = low_band(stripes(), ours=ours)[INSIDE]
        spectrum = np.abs(np.fft.rfft(low.mean(axis=0)[:320] - low.mean()))
        return {
            "passes": float(np.std(low) / np.std(stripes()[INSIDE])),
            "period_out": float(320 / np.argmax(spectrum)),
        }

    middle = slice(original.TAPS // 2 - 3, original.TAPS // 2 + 4)
    return {
        "low_band": either(measure),
        "mass_within_3": {"two_dimensions": float(original.gaussian()[middle].sum() ** 2)},
    }


def halo() -> dict[str, Any]:
    """What normalisation makes of a flat image, and of the borders of photographs."""

    def on_flat(ours: bool) -> dict[str, float]:
        flat = np.full((96, 96), 128.0)
        normalized = flat - low_band(flat, ours=ours)
        across = np.abs(normalized[48])  # a row, far from the corners
        reliability = original.reliability_map(tf.constant(across, tf.float32))
        return {
            "at_edge": float(across.max()),
            "pixels_wide": int(np.sum(across > 1)),
            "reliability": float(np.max(reliability)),
        }

    def error_at_border(ours: bool) -> float:
        """How far the outermost pixels of a cut-out are from what the whole photograph says."""
        errors = []
        for photograph in photographs().values():
            gray = gray_levels(photograph)
            error = np.abs(low_band(gray[INSIDE], ours=ours) - low_band(gray, ours=ours)[INSIDE])
            border = np.ones(error.shape, bool)
            border[4:-4, 4:-4] = False
            errors.append(error[border].mean())
        return float(np.mean(errors))

    return {"on_flat": either(on_flat), "error_at_border": either(error_at_border)}


# --- Display, batches and maps --------------------------------------------------------------------


def display() -> dict[str, Any]:
    """What is left of pictures that are rescaled for display."""
    photograph = photographs()["china"]
    black = np.mean(np.asarray(original.stretch(photograph, 0, 1)) == 0)
    return {"uint8_share_of_black": float(black)}


def batch_statistics() -> dict[str, Any]:
    """The mean of r / mean(r) of a sharp and a blurred photograph in one batch."""
    sharp = photographs()["china"]
    batch = np.stack([sharp, distort(sharp, "gaussian_blur", 5)])

    def measure(ours: bool) -> dict[str, float]:
        if ours:
            average = maps.average_reliability_map(preprocessing.normalize(batch))
        else:
            average = original.average_reliability_map(original.preprocess(batch))
        means = np.mean(average, axis=(1, 2, 3))
        return {"sharp": float(means[0]), "blurred": float(means[1])}

    return either(measure)


def pixels_in_target() -> dict[str, Any]:
    """The share of an error map's pixels that its quarter-size version depends on."""

    def measure(ours: bool) -> float:
        full = tf.Variable(tf.ones((1, 64, 64, 1)))
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(maps.downscale(full) if ours else original.to_quarter(full))
        return float(np.mean(tape.gradient(total, full).numpy() != 0))

    return either(measure)


def slopes() -> dict[str, float]:
    """The share of pixels with r above 0.9, for the slope of the figures and that of training."""

    def share(alpha: float) -> float:
        normalized = (original.preprocess(image[None]) for image in photographs().values())
        shares = [np.mean(original.reliability_map(image, alpha) > 0.9) for image in normalized]
        return float(np.mean(shares))

    return {"figures": share(original.ALPHA_OF_FIGURES), "training": share(original.ALPHA)}


# --- Which fault matters most ---------------------------------------------------------------------

#: Faults that can be mended one at a time, while all others stay.
MENDABLE = ("shift", "aliasing", "halo", "reduction")


def low_band_mended(gray: tf.Tensor, mended: str) -> tf.Tensor:
    """Returns the tutorial's low band of (1, H, W, 1), one of its faults mended."""
    before = 8 if mended == "shift" else 7  # tap 8 of 16 is the peak
    around = ((0, 0), (before, 15 - before), (before, 15 - before), (0, 0))
    padded = tf.pad(gray, around, "SYMMETRIC" if mended == "halo" else "CONSTANT")
    window = original.gaussian()
    kernel = np.outer(window, window)[..., None, None].astype(np.float32)
    blurred = tf.nn.conv2d(padded, kernel, strides=1, padding="VALID")
    if mended != "aliasing":
        return enlarged(original.to_quarter(blurred, "bicubic"))

    # What is aliased depends on where the coarse grid lies: it cancels in the mean over its places.
    wide = tf.pad(blurred, ((0, 0), (16, 16), (16, 16), (0, 0)), "SYMMETRIC")
    total = tf.zeros_like(wide)
    for place in np.ndindex(4, 4):
        moved = enlarged(original.to_quarter(tf.roll(wide, place, (1, 2)), "bicubic"))
        total += tf.roll(moved, (-place[0], -place[1]), (1, 2))
    return total[:, 16:-16, 16:-16] / 16


def enlarged(quarter: tf.Tensor) -> tf.Tensor:
    """Returns an image at four times its sides, as the tutorial does it."""
    height, width = quarter.shape[1:3]
    return tf.image.resize(quarter, (4 * height, 4 * width), method="bicubic")


def example_mended(
    reference: np.ndarray, distorted: np.ndarray, mended: str
) -> dict[str, np.ndarray]:
    """Returns what the tutorial trains on, made of a pair (H, W, 3) with one fault mended."""
    pair = tf.image.rgb_to_grayscale(tf.cast(np.stack([reference, distorted]), tf.float32))
    normalized = [gray[None] - low_band_mended(gray[None], mended) for gray in pair]
    reduce = maps.downscale if mended == "reduction" else original.to_quarter
    example = {
        "normalized": normalized[1],
        "error_map": reduce(original.error_map(*normalized)),
        "reliability": reduce(original.average_reliability_map(normalized[1])),
    }
    return {name: np.asarray(value) for name, value in example.items()}


def ranking() -> dict[str, Any]:
    """How far mending one fault alone moves what the network is trained on.

    The mean change of a value, as a share of the mean size of the value, over the photographs, each
    damaged in one of the five ways of the sample database. For the statistics of a batch: the ten
    in one batch, as if they were of one size.
    """
    kinds = sample.DISTORTIONS
    pairs = [
        (photograph, distort(photograph, kinds[number % len(kinds)], 3))
        for number, photograph in enumerate(photographs().values())
    ]
    as_it_was = [example_mended(*pair, "nothing") for pair in pairs]

    def change(mended: str) -> dict[str, float]:
        shares = [
            {
                name: np.mean(np.abs(value - before[name])) / np.mean(np.abs(before[name]))
                for name, value in example_mended(*pair, mended).items()
            }
            for pair, before in zip(pairs, as_it_was, strict=True)
        ]
        return {name: float(np.mean([share[name] for share in shares])) for name in shares[0]}

    means = np.array(
        [np.mean(original.reliability_map(example["normalized"])) for example in as_it_was]
    )
    in_batch = means / means.mean()  # the mean of r / mean(r) of each, which should be 1
    batch = {"reliability": float(np.mean(np.abs(in_batch - 1) / in_batch))}
    return {mended: change(mended) for mended in MENDABLE} | {"batch_of_ten": batch}


def no_split() -> dict[str, float]:
    """The agreement of a predictor that only remembers, without a split and with one.

    It repeats the quality of the training picture most like the one it sees. Without a split it is
    asked for other pictures of the same photographs; with one, for photographs that it has never
    seen.
    """
    parts = {}
    for name in ("train", "test"):
        rows = list(datasets.load("sample_iqa", split=name).as_numpy_iterator())
        pictures = np.stack([row["distorted_image"] for row in rows])
        small = tf.image.resize(pictures, (24, 24), method="area").numpy()
        parts[name] = small.reshape(len(rows), -1), np.array([row["quality"] for row in rows])

    def agreement(memory: tuple[np.ndarray, ...], asked: tuple[np.ndarray, ...]) -> float:
        nearest = cdist(asked[0], memory[0]).argmin(axis=1)
        return srcc(memory[1][nearest], asked[1])

    shuffled = np.random.default_rng(0).permutation(len(parts["train"][1]))
    fifth, rest = np.split(shuffled, [len(shuffled) // 5])
    some, others = (tuple(values[rows] for values in parts["train"]) for rows in (fifth, rest))
    return {
        "same_photographs": agreement(others, some),
        "other_photographs": agreement(parts["train"], parts["test"]),
    }


MEASUREMENTS: tuple[Callable[[], dict[str, Any]], ...] = (
    *(best_fit, aliasing, halo, display, batch_statistics, pixels_in_target),
    *(slopes, ranking, no_split),
)


def measure() -> dict[str, Any]:
    return {function.__name__: function() for function in MEASUREMENTS}


if __name__ == "__main__":
    results.write(NAME, measure())
