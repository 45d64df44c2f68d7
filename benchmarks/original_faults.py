"""Measures every fault of the original tutorial beside what the library does instead.

    python -m benchmarks.original_faults

Each function below measures one thing and returns numbers for the tutorial's way (`original`) and
the library's (`ours`). The photographs are those of the sample database, at their own size. Nothing
here is random, and nothing depends on the machine's speed.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import original_tutorial as original
from benchmarks import results
from diqa_utils import maps, preprocessing
from diqa_utils.datasets.sample_iqa import sample_iqa_dataset_builder as sample
from diqa_utils.distortions import distort
from diqa_utils.models import build_error_map_model, build_feature_extractor, build_score_model
from diqa_utils.plotting import stretch

NAME = "original_faults"

#: Pixels at the border that are left out where something else than the border is measured.
INSIDE = (slice(24, -24), slice(24, -24))

#: The slope of the tutorial's training, for images in 0..1.
UNIT_ALPHA = 255 * original.ALPHA


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


def low_band(gray: np.ndarray, *, ours: bool) -> np.ndarray:
    """Returns the low band of a grey image (H, W) in 0..255, by either way."""
    batch = tf.constant(gray, tf.float32)[None, ..., None]
    low = 255 * preprocessing.low_frequency(batch / 255) if ours else original.low_frequency(batch)
    return low.numpy()[0, ..., 0]


def either(measure: Callable[[bool], Any]) -> dict[str, Any]:
    """Measures the tutorial's way and the library's."""
    return {"original": measure(False), "ours": measure(True)}


# --- Fault 1: the low band is shifted -------------------------------------------------------------


def impulse() -> dict[str, Any]:
    """Where the low band of one bright pixel has its centre of mass, from that pixel."""

    def shift(ours: bool) -> list[float]:
        # A low band in steps of four pixels treats each of its 16 phases in another way.
        shifts = []
        for row, column in np.ndindex(4, 4):
            gray = np.zeros((96, 96))
            gray[48 + row, 48 + column] = 255
            low = low_band(gray, ours=ours)
            rows, columns = np.indices(low.shape)
            centre = (rows * low).sum() / low.sum(), (columns * low).sum() / low.sum()
            shifts.append(np.subtract(centre, (48 + row, 48 + column)))
        return np.mean(shifts, axis=0).tolist()

    gray = np.zeros((1, 32, 32, 1), np.float32)
    gray[0, 16, 16] = 1
    peak = np.argmax(original.blur(tf.constant(gray)).numpy())
    return {"blurred_peak": [int(peak) // 32, int(peak) % 32], "mean_shift": either(shift)}


def best_fit() -> dict[str, Any]:
    """The shift of the low band that brings it nearest to the photograph, and how near."""

    def measure(ours: bool) -> dict[str, Any]:
        errors = {name: _errors_by_shift(photo, ours) for name, photo in photographs().items()}
        best = {name: min(found, key=found.get) for name, found in errors.items()}
        return {
            "shifts": {name: list(shift) for name, shift in best.items()},
            "photographs_shifted": sum(shift != (0, 0) for shift in best.values()),
            "photographs_shifted_by_one": sum(shift == (1, 1) for shift in best.values()),
            "mse": float(np.mean([found[0, 0] for found in errors.values()])),
            "mse_at_best": float(np.mean([errors[name][best[name]] for name in errors])),
        }

    measured = either(measure)
    shifted = measured["original"]
    shifted["excess"] = shifted["mse"] / shifted["mse_at_best"] - 1
    return {"photographs": len(photographs()), **measured}


def _errors_by_shift(photograph: np.ndarray, ours: bool) -> dict[tuple[int, int], float]:
    gray = gray_levels(photograph)
    low = low_band(gray, ours=ours)
    shifts = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    return {
        shift: float(np.mean((gray - np.roll(low, shift, axis=(0, 1)))[INSIDE] ** 2))
        for shift in shifts
    }


# --- Fault 2: too little blur before every fourth pixel is kept -----------------------------------


def aliasing() -> dict[str, Any]:
    """How much of stripes with a period of five pixels is in the low band, and as what."""

    def measure(ours: bool) -> dict[str, float]:
        low = low_band(stripes(), ours=ours)[INSIDE]
        wave = low.mean(axis=0)[:320] - low.mean()
        spectrum = np.abs(np.fft.rfft(wave))
        return {
            "passes": float(np.std(low) / np.std(stripes()[INSIDE])),
            "period_out": float(320 / np.argmax(spectrum)),
        }

    def share(sigma: float) -> float:
        window = original.gaussian(taps=33, sigma=sigma)
        return float(abs(np.sum(window * np.exp(2j * np.pi * np.arange(33) / 5))))

    sigmas = {"7/6": 7 / 6, "2": 2.0, "sqrt(5)": 5**0.5}
    window = original.gaussian()
    middle = slice(original.TAPS // 2 - 3, original.TAPS // 2 + 4)
    return {
        "period_in": 5,
        "blur_passes": {name: share(sigma) for name, sigma in sigmas.items()},
        "low_band": either(measure),
        "mass_within_3": {
            "one_dimension": float(window[middle].sum()),
            "two_dimensions": float(window[middle].sum() ** 2),
        },
    }


def stripes(period: int = 5) -> np.ndarray:
    """Returns upright stripes, (96, 384) in 0..255."""
    wave = np.sin(2 * np.pi * np.arange(384) / period)
    return np.tile(127.5 + 100 * wave, (96, 1))


# --- Fault 3: the halo ----------------------------------------------------------------------------


def halo() -> dict[str, Any]:
    """What normalisation makes of a flat image, and of the borders of photographs."""
    flat = np.full((96, 96), 128.0)

    def on_flat(ours: bool) -> dict[str, Any]:
        normalized = flat - low_band(flat, ours=ours)
        scaled = (normalized[..., None] / 255).astype(np.float32)
        across = np.abs(normalized[48])  # a row, far from the corners
        return {
            "at_edge": float(across.max()),
            "in_corner": float(np.abs(normalized).max()),
            "pixels_wide": int(np.sum(across > 1)),
            "reliability": float(maps.reliability_map(scaled, alpha=UNIT_ALPHA).numpy()[48].max()),
        }

    def error_at_border(ours: bool) -> float:
        """How far the four outermost pixels of a cut-out are from what the whole photograph says.

        The mean over photographs, in grey levels of the normalised image.
        """
        errors = []
        for photograph in photographs().values():
            gray = gray_levels(photograph)
            low_of_whole = low_band(gray, ours=ours)[INSIDE]
            error = np.abs(low_band(gray[INSIDE], ours=ours) - low_of_whole)
            border = np.ones(error.shape, bool)
            border[4:-4, 4:-4] = False
            errors.append(error[border].mean())
        return float(np.mean(errors))

    return {
        "flat_level": 128,
        "on_flat": either(on_flat),
        "error_at_border": either(error_at_border),
    }


# --- Fault 4: division by zero, truncation, statistics of a batch ---------------------------------


def not_a_number() -> dict[str, Any]:
    """The share of pixels that are NaN after steps that divide."""
    black = np.zeros((1, 64, 64, 3), np.uint8)
    constant = tf.fill((1, 64, 64, 1), 0.5)
    return {
        "stretched_constant": {
            "original": share_of_nan(original.stretch(constant, 0, 1)),
            "ours": share_of_nan(stretch(constant)),
        },
        "reliability_of_black": {
            "original": share_of_nan(original.average_reliability_map(original.preprocess(black))),
            "ours": share_of_nan(maps.average_reliability_map(preprocessing.normalize(black))),
        },
    }


def share_of_nan(values: Any) -> float:
    """Returns the share of NaN among the values."""
    return float(np.mean(np.isnan(np.asarray(values))))


def display() -> dict[str, Any]:
    """What is left of pictures that are rescaled for display."""
    photograph = photographs()["china"]
    faint = gray_levels(photograph)[..., None] / 255
    pair = np.stack([faint, 0.45 + 0.1 * faint]).astype(np.float32)

    def span(values: Any) -> float:
        return float(np.ptp(np.asarray(values)[1]))

    whole = original.stretch(tf.constant(photograph), 0, 1).numpy()
    return {
        "faint_span": {
            "original": span(original.stretch(tf.constant(pair), 0, 1)),
            "ours": span(stretch(pair)),
        },
        "uint8_values": {
            "original": int(np.unique(whole).size),
            "ours": int(np.unique(stretch(photograph)).size),
        },
        "uint8_share_of_black": float(np.mean(whole == 0)),
    }


def batch_statistics() -> dict[str, Any]:
    """The mean of r / mean(r) of a sharp and a blurred photograph in one batch."""
    sharp = photographs()["china"]
    batch = np.stack([sharp, distort(sharp, "gaussian_blur", 5)])

    def measure(ours: bool) -> dict[str, float]:
        if ours:
            average = maps.average_reliability_map(preprocessing.normalize(batch))
        else:
            average = original.average_reliability_map(original.preprocess(batch))
        means = np.mean(average.numpy(), axis=(1, 2, 3))
        return {"sharp": float(means[0]), "blurred": float(means[1])}

    return either(measure)


# --- Fault 5: the gradient at zero ----------------------------------------------------------------


def gradient_at_zero() -> dict[str, Any]:
    """The share of NaN in the gradient of the error map where two images agree."""

    def measure(ours: bool) -> float:
        reference = tf.zeros((64, 64, 1))
        distorted = tf.Variable(reference)
        function = maps.error_map if ours else original.error_map
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(function(reference, distorted))
        return share_of_nan(tape.gradient(total, distorted))

    return either(measure)


# --- Fault 6: one optimizer for two models --------------------------------------------------------


def shared_optimizer() -> dict[str, Any]:
    """What comes of training both models, as the tutorial does and with an optimizer each."""
    normalized, target = tf.zeros((1, 64, 64, 1)), tf.zeros((1, 16, 16, 1))
    try:
        original.train_both_steps(normalized, target, tf.ones_like(target), tf.zeros((1, 1)))
        error = ""
    except ValueError as raised:
        error = type(raised).__name__

    extractor = build_feature_extractor()
    model = build_score_model(extractor)
    first = build_error_map_model(extractor)
    first.compile(optimizer="nadam", loss="mse")
    first.fit(normalized, target, verbose=0)
    model.compile(optimizer="nadam", loss="mse")
    inputs = {"normalized": normalized, "hand_crafted": tf.zeros((1, 2))}
    model.fit(inputs, tf.zeros((1, 1)), verbose=0)
    return {"original_raises": error, "ours_steps": int(model.optimizer.iterations)}


# --- Fault 7: what is measured, and on what -------------------------------------------------------


def measuring() -> dict[str, Any]:
    """Photographs kept for testing; and the loss beside the number printed as accuracy."""
    reference = photographs()["china"][None]
    distorted = distort(reference[0], "jpeg", 3)[None]
    _, target, reliability = original.training_example(reference, distorted)
    nothing = tf.zeros_like(target)
    train, validation, test = sample.PARTS
    return {
        "photographs_held_out": {"original": 0, "ours": validation + test},
        "photographs": train + validation + test,
        "loss_of_zero": float(original.loss(target, nothing, reliability)),
        "accuracy_of_zero": float(original.accuracy(target, nothing)),
    }


# --- Fault 8: rounding, and the memory of shuffling -----------------------------------------------


def rounding() -> dict[str, Any]:
    """What `tf.round(x, 2)` returns: its second argument is a name."""
    return {"before": 54.37, "after": float(tf.round(54.37, 2))}


def shuffling() -> dict[str, Any]:
    """The memory of 1024 shuffled examples of LIVE: decoded, reference and distorted image each.

    LIVE's pictures are 768 x 512 as a rule (Sheikh, Sabir and Bovik 2006), some are smaller. Its
    982 rows all fit into the buffer. Ours keeps what training needs of each of 779 images: the
    normalised image and two maps of a sixteenth of its pixels.
    """
    rows, images, pixels = 982, 779, 768 * 512
    held = min(rows, original.SHUFFLE_BUFFER) * 2 * 3 * pixels
    cached = images * (pixels + 2 * pixels // 16) * 4
    return {"rows": rows, "gigabytes": {"original": held / 1e9, "ours": cached / 1e9}}


# --- Fault 10: the table of databases -------------------------------------------------------------

#: The tutorial's table: references, distortions, levels, samples.
TABLE = {
    "LIVE": (29, 5, "5", 1011),
    "TID2008": (25, 17, "5", 1701),
    "TID2013": (25, 24, "5", 3025),
    "CSIQ": (30, 6, "5", 930),
}

#: The same of the releases, with distorted images in place of samples, and who says so.
RELEASES = {
    "LIVE": (29, 5, "varying", 779),
    "TID2008": (25, 17, "4", 1700),
    "TID2013": (25, 24, "5", 3000),
    "CSIQ": (30, 6, "4 or 5", 866),
}
SOURCES = {
    "LIVE": "Sheikh, Sabir and Bovik (2006), https://doi.org/10.1109/TIP.2006.881959",
    "TID2008": "Ponomarenko et al. (2009), http://www.ponomarenko.info/tid2008.htm",
    "TID2013": "Ponomarenko et al. (2015), https://doi.org/10.1016/j.image.2014.10.009",
    "CSIQ": "Larson and Chandler (2010), https://doi.org/10.1117/1.3267105",
}


def table() -> dict[str, Any]:
    """The tutorial's counts and those of the releases."""
    columns = ("references", "distortions", "levels", "images")
    return {
        name: {
            "original": dict(zip(columns, TABLE[name], strict=True)),
            "release": dict(zip(columns, RELEASES[name], strict=True)),
            "source": SOURCES[name],
        }
        for name in TABLE
    }


# --- What the measurements showed besides ---------------------------------------------------------


def sizes() -> dict[str, Any]:
    """Target and prediction of an image whose sides are no multiples of four, as (h, w)."""
    images = np.zeros((1, 127, 158, 3), np.uint8)
    normalized, target, _ = original.training_example(images, images)
    predicted = original.build_models()[0](normalized)
    ours = maps.downscale(preprocessing.normalize(images))
    return {
        "image": [127, 158],
        "network": list(predicted.shape[1:3]),
        "target": {"original": list(target.shape[1:3]), "ours": list(ours.shape[1:3])},
    }


def pixels_in_target() -> dict[str, Any]:
    """The share of an error map's pixels that its quarter-size version depends on."""

    def measure(ours: bool) -> float:
        full = tf.Variable(tf.ones((1, 64, 64, 1)))
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(maps.downscale(full) if ours else original.to_quarter(full))
        return float(np.mean(tape.gradient(total, full).numpy() != 0))

    return either(measure)


def slopes() -> dict[str, Any]:
    """The share of pixels with r above 0.9, for the slope of the figures and that of training."""

    def share(alpha: float) -> float:
        shares = [
            np.mean(original.reliability_map(original.preprocess(image[None]), alpha) > 0.9)
            for image in photographs().values()
        ]
        return float(np.mean(shares))

    return {
        "figures": share(original.ALPHA_OF_FIGURES),
        "training": share(original.ALPHA),
        "training_for_unit_range": UNIT_ALPHA,
    }


def features() -> dict[str, Any]:
    """What the score is regressed from: with and without the two hand-crafted features."""
    *_, score_model = original.build_models()
    return {
        "numbers": {"original": 128, "ours": 130},
        "parameters": {
            "original": trainable_parameters(score_model),
            "ours": trainable_parameters(build_score_model()),
        },
    }


def trainable_parameters(model: keras.Model) -> int:
    """Returns how many numbers training sets."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


MEASUREMENTS: tuple[Callable[[], dict[str, Any]], ...] = (
    *(impulse, best_fit, aliasing, halo, not_a_number, display, batch_statistics),
    *(gradient_at_zero, shared_optimizer, measuring, rounding, shuffling, table),
    *(sizes, pixels_in_target, slopes, features),
)


def rounded(value: Any) -> Any:
    """Returns results with four significant digits: what differs between machines is dropped."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    # What is left of zero after sums in single precision has no digits that mean anything.
    if isinstance(value, float):
        return 0.0 if abs(value) < 1e-4 else float(f"{value:.4g}")
    return value


def rows(measured: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every number with its dotted path."""
    for key, value in measured.items():
        path = f"{place}.{key}".lstrip(".")
        if isinstance(value, dict):
            yield from rows(value, path)
        else:
            yield path, value


def main() -> None:
    measured = {measure.__name__: rounded(measure()) for measure in MEASUREMENTS}
    for path, value in rows(measured):
        print(f"{path:50} {value}")
    print(f"Written to {results.write(NAME, measured)}.")


if __name__ == "__main__":
    main()
