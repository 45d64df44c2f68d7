"""The normalised images of a pair, beside the tutorial's filter."""

from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import original_tutorial
from benchmarks.speed import pictures
from benchmarks.speed.timing import in_turn, ratios, seconds
from diqa_utils.preprocessing import normalize

ROUNDS = 75

#: Bytes that have to pass through memory for a pixel: three are read, a float32 is written.
BYTES = 3 + 4


def measure() -> dict[str, Any]:
    """Times the normalised images of a pair of pictures."""
    pair = tf.constant(pictures.pairs(1)[0])
    ours, tutorial = tf.function(normalize), tf.function(original_tutorial.preprocess)
    source = np.zeros(BYTES * 2 * pictures.PIXELS // 2, np.uint8)
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
    }
