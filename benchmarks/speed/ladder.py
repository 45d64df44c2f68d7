"""From the tutorial's training loop to ours, one rung at a time."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from benchmarks.speed import machine, pictures
from benchmarks.speed.timing import in_turn, seconds
from benchmarks.speed.training import (
    RATE,
    patches,
    pictures_worth,
    tutorial_examples,
    tutorial_step,
)
from diqa_utils._internal.tensorflow import arithmetic, untuned
from diqa_utils.models import build_error_map_model
from diqa_utils.pipelines import to_error_map_example
from diqa_utils.training import train_step

#: Pictures, which are gone through once, and how often that is timed.
NUMBER, ROUNDS = 4, 5

Step = Callable[..., Any]


def measure() -> dict[str, Any]:
    """Times a pass over some pictures on each rung, in turn."""
    pairs = pictures.pairs(NUMBER)
    theirs = tutorial_examples(pairs)
    ours = untuned(
        tf.data.Dataset.from_tensor_slices(
            {"reference_image": pairs[:, :1], "distorted_image": pairs[:, 1:]}
        )
        .map(to_error_map_example)
        .prefetch(1)
    )
    rungs = {
        "tutorial": _loop(theirs, _eager(tutorial_step)),
        "compiled_graph": _loop(theirs, _compiled(tutorial_step)),
        "one_forward_pass": _loop(theirs, _compiled(_one_pass)),
        "smaller_filter": _loop(ours, _compiled(_one_pass)),
        "patches": _loop(patches(pairs, memory_limit=0, disk_limit=0), _compiled(_one_pass)),
        "examples_kept": _loop(patches(pairs), _compiled(_one_pass)),
    }
    if "bfloat16" in machine.precisions():
        kept = patches(pairs)
        rungs["bfloat16"] = _loop(kept, _compiled(_one_pass), precision="bfloat16")
    times = in_turn(rungs, rounds=ROUNDS)
    # Alone, and seldom: the compiler itself takes long.
    xla = _loop(patches(pairs), _compiled(_one_pass, jit_compile=True))
    times |= in_turn({"xla": xla}, rounds=2)
    worth = {
        name: pictures_worth(NUMBER) for name in ("patches", "examples_kept", "bfloat16", "xla")
    }
    per_picture = {
        name: seconds([time / worth.get(name, NUMBER) for time in some])
        for name, some in times.items()
    }
    first = per_picture["tutorial"]["median"]
    return {
        name: values | {"ratio": first / values["median"]} for name, values in per_picture.items()
    }


def _one_pass(model: keras.Model, optimizer: keras.Optimizer, batch: Any) -> tf.Tensor:
    return train_step(model, optimizer, batch)


def _eager(step: Step) -> Step:
    model, optimizer = _new()
    return lambda batch: step(model, optimizer, batch)


def _compiled(step: Step, **settings: Any) -> Step:
    model, optimizer = _new()
    return tf.function(lambda batch: step(model, optimizer, batch), **settings)


def _new() -> tuple[keras.Model, keras.Optimizer]:
    keras.utils.set_random_seed(0)
    model, optimizer = build_error_map_model(), keras.optimizers.Nadam(RATE)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def _loop(batches: tf.data.Dataset, step: Step, *, precision: str = "float32") -> Callable[[], Any]:
    def loop() -> None:
        with arithmetic(precision):
            for batch in batches:
                step(batch)

    return loop
