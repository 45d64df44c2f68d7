"""The normalised images of a pair, beside the tutorial's filter."""

from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import original_tutorial
from benchmarks.speed import pictures
from benchmarks.speed.timing import agree, in_turn, ratios, seconds
from diqa_utils.images import LUMA_WEIGHTS
from diqa_utils.preprocessing import BINOMIAL_ROW, MARGIN_BEFORE, normalize

ROUNDS = 75

#: Bytes that have to pass through memory for a pixel: three are read, a float32 is written.
BYTES = 3 + 4


def plain_low_band(gray: np.ndarray) -> np.ndarray:
    """Returns the low band of (H, W) as chapter 2 defines it, pixel by pixel, in float64."""

    def reduce(values: np.ndarray) -> np.ndarray:
        number = (len(values) - 5) // 2 + 1
        return sum(w * values[k : k + 2 * number - 1 : 2] for k, w in enumerate(BINOMIAL_ROW))

    def expand(values: np.ndarray) -> np.ndarray:
        found = np.zeros((2 * len(values) + 3, values.shape[1]))
        for k, w in enumerate(BINOMIAL_ROW):
            found[k : k + 2 * len(values) - 1 : 2] += 2 * w * values
        return found

    low = np.pad(gray.astype(np.float64), (MARGIN_BEFORE, 16), mode="reflect")
    for step in (reduce, reduce, expand, expand):
        low = step(step(low).T).T
    inside = slice(MARGIN_BEFORE, None)
    return low[inside, inside][: gray.shape[0], : gray.shape[1]]


def measure() -> dict[str, Any]:
    """Times the normalised images of a pair of pictures."""
    pair = tf.constant(pictures.pairs(1)[0])
    ours, tutorial = tf.function(normalize), tf.function(original_tutorial.preprocess)
    gray = pair[0].numpy().astype(np.float64) / 255 @ np.array(LUMA_WEIGHTS)
    difference = agree(
        "normalised image", ours(pair)[0, ..., 0], gray - plain_low_band(gray), tolerance=1e-5
    )
    source = np.zeros(BYTES * pair.shape[0] * pair.shape[1] * pair.shape[2] // 2, np.uint8)
    target = np.empty_like(source)
    times = in_turn(
        {
            "baseline": lambda: tutorial(pair),
            "ours": lambda: ours(pair),
            "copy": lambda: np.copyto(target, source),  # reads half of the bytes, writes as many
        },
        rounds=ROUNDS,
    )
    return {
        **ratios(times, "baseline", "ours"),
        "baseline_s": seconds(times["baseline"]),
        "seconds": seconds(times["ours"]),
        "times_a_copy": median(times["ours"]) / median(times["copy"]),
        "largest_difference": difference,
    }
