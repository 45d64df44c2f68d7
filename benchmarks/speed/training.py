"""Step 1 beside the tutorial's loop, and beside what the machine can do at best."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import original_tutorial
from benchmarks.speed import pictures
from benchmarks.speed.timing import agree, in_turn, ratios
from diqa_utils._internal.tensorflow import untuned
from diqa_utils.models import CONVOLUTIONS, build_error_map_model
from diqa_utils.pipelines import error_map_batches, to_error_map_example
from diqa_utils.training import train_step

#: Pictures, passes over them, and how often all that is timed. The first pass makes the examples,
#: which the library keeps where they fit into memory, and the tutorial makes anew in every pass.
NUMBER, EPOCHS, ROUNDS = 8, 4, 3

#: Side of our patches, and how many a picture gives. They make a batch: both ways change the
#: weights once for each picture.
PATCH, PATCHES = 112, 32

#: The pixels of the patches of a picture, as a share of its own: 1.02.
SHARE = PATCHES * PATCH**2 / pictures.PIXELS

#: Where the examples are kept, and whether they are: in memory if nothing is said.
KEEPING: dict[str, dict[str, int]] = {
    "images_per_s": {},
    "disk_images_per_s": {"memory_limit": 0},
    "streaming_images_per_s": {"memory_limit": 0, "disk_limit": 0},
}

#: How far the losses may differ, as a share of them.
TOLERANCE = 1e-3

#: Side of the square matrices whose product is the limit.
SIDE = 4096

Step = Callable[..., Any]


def forward_operations(height: int, width: int) -> list[int]:
    """Returns the multiplications and additions of f's convolutions and of g, forward."""
    counts, channels = [], 1
    for filters, stride in CONVOLUTIONS:
        height, width = -(-height // stride), -(-width // stride)
        counts.append(2 * height * width * 9 * channels * filters)
        channels = filters
    return [*counts, 2 * height * width * channels]


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


def loop(
    batches: Callable[[], Iterable[Any]], step: Step, *, epochs: int = 1
) -> Callable[[], None]:
    """Returns what takes a step with every batch, in every epoch."""

    def train() -> None:
        examples = batches()
        for _ in range(epochs):
            for batch in examples:
                step(*batch)

    return train


def check_the_step(pairs: np.ndarray) -> float:
    """Compares our losses with the tutorial's, from the same weights; returns their difference."""
    batch = to_error_map_example({"reference_image": pairs[:1, 0], "distorted_image": pairs[:1, 1]})
    keras.utils.set_random_seed(0)
    ours = build_error_map_model()
    theirs = keras.models.clone_model(ours)
    theirs.set_weights(ours.get_weights())
    optimizers = [keras.optimizers.SGD(0.01) for _ in "ab"]
    for model, optimizer in zip((ours, theirs), optimizers, strict=True):
        optimizer.build(model.trainable_variables)
    step = tf.function(lambda *parts: train_step(ours, optimizers[0], parts))
    losses = [float(step(*batch)) for _ in range(3)]
    expected = [float(tutorial_step(theirs, optimizers[1], batch)[0]) for _ in range(3)]
    relative = np.array(losses) / np.array(expected)
    return agree("loss", relative, np.ones(3), tolerance=TOLERANCE)


def matrix_product() -> Callable[[], Any]:
    """Returns what multiplies two matrices."""
    factors = [tf.random.normal((SIDE, SIDE)) for _ in "ab"]
    return tf.function(lambda: tf.matmul(*factors))


def bare_step() -> Callable[[], Any]:
    """Returns a step of training on a batch that lies in memory."""
    cells = PATCH // 4
    batch = (
        0.08 * tf.random.normal((PATCHES, PATCH, PATCH, 1)),
        tf.random.uniform((PATCHES, cells, cells, 1)),
        tf.ones((PATCHES, cells, cells, 1)),
    )
    return loop(lambda: [batch], new_step(train_step))


def layer_rates() -> dict[str, float]:
    """Returns how many billion operations a second each convolution of f does, forward."""
    ways, side, channels = {}, PATCH, 1
    for number, (filters, stride) in enumerate(CONVOLUTIONS, start=1):
        values = tf.nn.relu(tf.random.normal((PATCHES, side, side, channels)))
        kernel = tf.random.normal((3, 3, channels, filters)) / (9 * channels) ** 0.5

        @tf.function
        def convolve(
            values: tf.Tensor = values, kernel: tf.Tensor = kernel, stride: int = stride
        ) -> tf.Tensor:
            return tf.nn.relu(tf.nn.conv2d(values, kernel, stride, "SAME"))

        ways[f"conv{number}"] = convolve
        side, channels = -(-side // stride), filters
    times = in_turn(ways, rounds=15, warm_up=2)
    work = dict(zip(ways, forward_operations(PATCH, PATCH), strict=False))
    return {name: PATCHES * work[name] / median(times[name]) / 1e9 for name in ways}


def machine_limits() -> dict[str, Any]:
    """Returns how fast a step on a batch in memory is, and a product of matrices."""
    times = in_turn({"product": matrix_product(), "step": bare_step()}, rounds=9, warm_up=2)
    # A step goes forward, and as much again for the gradients by the weights and by the inputs;
    # nobody asks for the gradient by the picture.
    forward = forward_operations(PATCH, PATCH)
    operations = PATCHES * (3 * sum(forward) - forward[0])
    product = 2 * SIDE**3 / median(times["product"]) / 1e9
    step = operations / median(times["step"]) / 1e9
    return {"matmul_gflops": product, "step_gflops": step, "share_of_matmul": step / product}


def measure() -> dict[str, Any]:
    """Times passes over some pictures, and what the machine can do."""
    pairs = pictures.pairs(NUMBER)
    check_the_step(pairs)
    tutorial, theirs = tutorial_examples(pairs), new_step(tutorial_step, graph=False)
    ways = {"baseline_images_per_s": loop(lambda: tutorial, theirs, epochs=EPOCHS)}
    for name, settings in KEEPING.items():
        ways[name] = loop(
            # Made here, so that nothing is kept from one call to the next.
            lambda settings=settings: patches(pairs, **settings),
            new_step(train_step),
            epochs=EPOCHS,
        )
    times = in_turn(ways, rounds=ROUNDS)
    for name in KEEPING:
        times[name] = [time / SHARE for time in times[name]]
    return {
        **{name: EPOCHS * NUMBER / median(rounds) for name, rounds in times.items()},
        **ratios(times, "baseline_images_per_s", "images_per_s"),
        **machine_limits(),
        "layers": layer_rates(),
    }
