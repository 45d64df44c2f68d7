"""What it costs that `tf.data` tunes a pipeline while somebody goes through it."""

import time
from typing import Any

import tensorflow as tf

from benchmarks.speed import pictures
from benchmarks.speed.timing import in_turn, seconds
from benchmarks.speed.training import patches

#: Pictures, and so batches, of a pass; what a step takes, in seconds; and passes.
NUMBER, STEP_S, ROUNDS = 4, 0.35, 20


def measure() -> dict[str, Any]:
    """Times passes in which a step does nothing but wait, with tuning and without."""
    untuned = patches(pictures.pairs(NUMBER))
    options = tf.data.Options()
    options.autotune.enabled = True
    ways = {"tuned": untuned.with_options(options), "untuned": untuned}
    times = in_turn(
        {name: lambda batches=way: _go_through(batches) for name, way in ways.items()},
        rounds=ROUNDS,
    )
    return {"steps_s": NUMBER * STEP_S} | {name: seconds(some) for name, some in times.items()}


def _go_through(batches: tf.data.Dataset) -> None:
    for _ in batches:
        time.sleep(STEP_S)
