"""From the tutorial's training loop to ours, one rung at a time."""

from typing import Any

import tensorflow as tf

from benchmarks.speed import pictures
from benchmarks.speed.timing import in_turn, seconds
from benchmarks.speed.training import (
    SHARE,
    loop,
    new_step,
    patches,
    tutorial_examples,
    tutorial_step,
)
from diqa_utils._internal.tensorflow import untuned
from diqa_utils.pipelines import to_error_map_example
from diqa_utils.training import train_step

#: Pictures, which are gone through once, and how often that is timed.
NUMBER, ROUNDS = 4, 5


def measure() -> dict[str, Any]:
    """Times a pass over some pictures on each rung, in turn."""
    pairs = pictures.pairs(NUMBER)
    whole = tf.data.Dataset.from_tensor_slices(
        {"reference_image": pairs[:, :1], "distorted_image": pairs[:, 1:]}
    )
    theirs, ours = tutorial_examples(pairs), untuned(whole.map(to_error_map_example).prefetch(1))
    streamed, kept = patches(pairs, memory_limit=0, disk_limit=0), patches(pairs)
    rungs = {
        "tutorial": loop(lambda: theirs, new_step(tutorial_step, graph=False)),
        "compiled_graph": loop(lambda: theirs, new_step(tutorial_step)),
        "one_forward_pass": loop(lambda: theirs, new_step(train_step)),
        "smaller_filter": loop(lambda: ours, new_step(train_step)),
        "patches": loop(lambda: streamed, new_step(train_step)),
        "examples_kept": loop(lambda: kept, new_step(train_step)),
    }
    times = in_turn(rungs, rounds=ROUNDS)
    # Alone, and seldom: the compiler itself takes long.
    xla = loop(lambda: kept, new_step(train_step, jit_compile=True))
    times |= in_turn({"xla": xla}, rounds=2)
    worth = dict.fromkeys(("patches", "examples_kept", "xla"), NUMBER * SHARE)
    per_picture = {
        name: seconds([time / worth.get(name, NUMBER) for time in rounds])
        for name, rounds in times.items()
    }
    first = per_picture["tutorial"]["median"]
    return {
        name: values | {"ratio": first / values["median"]} for name, values in per_picture.items()
    }
