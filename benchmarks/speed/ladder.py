"""Step 1, from the tutorial's training loop to ours, one rung at a time."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import original_tutorial
from benchmarks.speed import pictures
from benchmarks.speed.timing import agree, in_turn, seconds
from diqa_utils._internal.tensorflow import untuned
from diqa_utils.models import build_error_map_model
from diqa_utils.pipelines import error_map_batches, to_error_map_example
from diqa_utils.training import train_step

#: Pictures, which are gone through once, and how often that is timed.
NUMBER, ROUNDS = 4, 5

#: Side of our patches, and how many a picture gives. They make a batch: both ways change the
#: weights once for each picture.
PATCH, PATCHES = 112, 32

#: The pixels of the patches of a picture, as a share of its own: 1.02.
SHARE = PATCHES * PATCH**2 / pictures.PIXELS

#: How far the losses may differ, as a share of them.
TOLERANCE = 1e-3

Step = Callable[..., Any]


def tutorial_step(
    model: keras.Model, optimizer: keras.Optimizer, batch: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """The tutorial's step; returns the loss, and the accuracy that it printed."""
    normalized, target, reliability = batch
    with tf.GradientTape() as tape:
        value = original_tutorial.loss(target, model(normalized, training=True), reliability)
    gradients = tape.gradient(value, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return value, original_tutorial.accuracy(target, model(normalized, training=False))


def tutorial_examples(pairs: np.ndarray) -> tf.data.Dataset:
    """Returns what the tutorial trains on, made anew in each pass.

    Untuned, as ours are: how long a pass waits for its tuning to end is chance.
    """
    examples = tf.data.Dataset.from_tensor_slices(pairs.astype(np.float32)).map(
        lambda pair: original_tutorial.training_example(pair[:1], pair[1:])
    )
    return untuned(examples)


def patches(pairs: np.ndarray, **limits: int) -> tf.data.Dataset:
    """Returns our batches of patches, each with the pixels of a picture."""
    return error_map_batches(
        tf.data.Dataset.from_tensor_slices(
            {"reference_image": pairs[:, 0], "distorted_image": pairs[:, 1]}
        ),
        batch_size=PATCHES,
        patch_size=PATCH,
        patches_per_image=PATCHES,
        seed=0,
        **limits,
    )


def new_step(step: Step, *, graph: bool = True, **settings: Any) -> Step:
    """Returns a step of training with a model and an optimizer of its own."""
    keras.utils.set_random_seed(0)
    model, optimizer = build_error_map_model(), keras.optimizers.Nadam(1e-4)
    optimizer.build(model.trainable_variables)

    def with_model(*batch: tf.Tensor) -> Any:
        return step(model, optimizer, batch)

    return tf.function(with_model, **settings) if graph else with_model


def check_the_step(pairs: np.ndarray) -> float:
    """Compares our losses with the tutorial's, from the same weights; returns their difference."""
    batch = to_error_map_example({"reference_image": pairs[:1, 0], "distorted_image": pairs[:1, 1]})
    ours, theirs = new_step(train_step), new_step(tutorial_step, graph=False)
    ratios = [float(ours(*batch)) / float(theirs(*batch)[0]) for _ in range(3)]
    return agree("loss", ratios, np.ones(3), tolerance=TOLERANCE)


def one_pass(batches: Iterable[Any], step: Step) -> Callable[[], None]:
    """Returns what takes a step with every batch."""

    def train() -> None:
        for batch in batches:
            step(*batch)

    return train


def measure() -> dict[str, Any]:
    """Times a pass over some pictures on each rung, in turn."""
    pairs = pictures.pairs(NUMBER)
    check_the_step(pairs)
    whole = tf.data.Dataset.from_tensor_slices(
        {"reference_image": pairs[:, :1], "distorted_image": pairs[:, 1:]}
    )
    theirs, ours = tutorial_examples(pairs), untuned(whole.map(to_error_map_example).prefetch(1))
    streamed, kept = patches(pairs, memory_limit=0, disk_limit=0), patches(pairs)
    rungs = {
        "tutorial": one_pass(theirs, new_step(tutorial_step, graph=False)),
        "compiled_graph": one_pass(theirs, new_step(tutorial_step)),
        "one_forward_pass": one_pass(theirs, new_step(train_step)),
        "smaller_filter": one_pass(ours, new_step(train_step)),
        "patches": one_pass(streamed, new_step(train_step)),
        "examples_kept": one_pass(kept, new_step(train_step)),
    }
    times = in_turn(rungs, rounds=ROUNDS)
    # Alone, and seldom: the compiler itself takes long.
    times |= in_turn({"xla": one_pass(kept, new_step(train_step, jit_compile=True))}, rounds=2)
    worth = dict.fromkeys(("patches", "examples_kept", "xla"), NUMBER * SHARE)
    per_picture = {
        name: seconds([time / worth.get(name, NUMBER) for time in rounds])
        for name, rounds in times.items()
    }
    first = per_picture["tutorial"]["median"]
    return {
        name: values | {"ratio": first / values["median"]} for name, values in per_picture.items()
    }
