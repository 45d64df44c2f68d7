"""Training both steps, beside the tutorial's loop, and beside what the machine can do at best."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import original_tutorial
from benchmarks.speed import machine, pictures
from benchmarks.speed.timing import Times, agree, in_turn, ratios
from diqa_utils._internal.tensorflow import arithmetic, untuned
from diqa_utils.models import CONVOLUTIONS, build_error_map_model, build_score_model
from diqa_utils.pipelines import error_map_batches, score_batches, to_error_map_example
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
    "": {},
    "disk_": {"memory_limit": 0},
    "streaming_": {"memory_limit": 0, "disk_limit": 0},
}

RATE = 1e-4

#: How far the losses may differ in each precision, as a share of them.
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}

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


# --- Step 1 ---------------------------------------------------------------------------------------


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
    model, optimizer = build_error_map_model(), keras.optimizers.Nadam(RATE)
    optimizer.build(model.trainable_variables)

    def with_model(*batch: tf.Tensor) -> Any:
        return step(model, optimizer, batch)

    return tf.function(with_model, **settings) if graph else with_model


def loop(
    batches: Callable[[], Iterable[Any]],
    step: Step,
    *,
    epochs: int = 1,
    precision: str = "float32",
) -> Callable[[], None]:
    """Returns what takes a step with every batch, in every epoch."""

    def train() -> None:
        examples = batches()
        with arithmetic(precision):
            for _ in range(epochs):
                for batch in examples:
                    step(*batch)

    return train


def check_the_step(pairs: np.ndarray, precision: str) -> float:
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
    with arithmetic(precision):
        losses = [float(step(*batch)) for _ in range(3)]
    expected = [float(tutorial_step(theirs, optimizers[1], batch)[0]) for _ in range(3)]
    relative = np.array(losses) / np.array(expected)
    return agree(f"{precision} loss", relative, np.ones(3), tolerance=TOLERANCE[precision])


# --- Step 2: whole pictures, one at a time --------------------------------------------------------


def tutorial_scores(pairs: np.ndarray, quality: np.ndarray) -> Callable[[], Any]:
    _, model = original_tutorial.build_models()
    model.compile(optimizer=keras.optimizers.Nadam(RATE), loss="mse")
    examples = tf.data.Dataset.from_tensor_slices((pairs[:, 1].astype(np.float32), quality)).map(
        lambda picture, score: (original_tutorial.preprocess(picture[None]), score[None])
    )
    return lambda: model.fit(untuned(examples), epochs=EPOCHS, shuffle=False, verbose=0)


def our_scores(pairs: np.ndarray, quality: np.ndarray, precision: str) -> Callable[[], Any]:
    model = build_score_model()
    model.compile(optimizer=keras.optimizers.Nadam(RATE), loss="mse")
    rated = tf.data.Dataset.from_tensor_slices({"distorted_image": pairs[:, 1], "quality": quality})

    def train() -> None:
        batches = score_batches(rated, batch_size=1, seed=0)
        with arithmetic(precision):
            model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0)

    return train


# --- What the machine can do ----------------------------------------------------------------------


def matrix_product(precision: str) -> Callable[[], Any]:
    """Returns what multiplies two matrices."""
    factors = [tf.cast(tf.random.normal((SIDE, SIDE)), precision) for _ in "ab"]
    return tf.function(lambda: tf.matmul(*factors))


def bare_step(precision: str) -> Callable[[], Any]:
    """Returns a step of training on a batch that lies in memory."""
    cells = PATCH // 4
    batch = (
        0.08 * tf.random.normal((PATCHES, PATCH, PATCH, 1)),
        tf.random.uniform((PATCHES, cells, cells, 1)),
        tf.ones((PATCHES, cells, cells, 1)),
    )
    return loop(lambda: [batch], new_step(train_step), precision=precision)


def layer_rates(precision: str) -> dict[str, float]:
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

        ways[f"conv{number}"] = loop(lambda: [()], convolve, precision=precision)
        side, channels = -(-side // stride), filters
    times = in_turn(ways, rounds=15, warm_up=2)
    work = dict(zip(ways, forward_operations(PATCH, PATCH), strict=False))
    return {name: PATCHES * work[name] / median(times[name]) / 1e9 for name in ways}


# --- All together ---------------------------------------------------------------------------------


def against_baseline(times: Times, name: str) -> dict[str, float]:
    """Returns pictures a second of both ways, and their ratio."""
    return {
        "baseline_images_per_s": EPOCHS * NUMBER / median(times["baseline"]),
        "images_per_s": EPOCHS * NUMBER / median(times[name]),
        **ratios(times, "baseline", name),
    }


def measure() -> dict[str, Any]:
    """Times both steps of training in every precision."""
    pairs = pictures.pairs(NUMBER)
    for precision in machine.precisions():
        check_the_step(pairs, precision)
    quality = np.linspace(0.2, 0.8, NUMBER, dtype=np.float32)
    tutorial = tutorial_examples(pairs)
    theirs = new_step(tutorial_step, graph=False)
    error_maps = {"baseline": loop(lambda: tutorial, theirs, epochs=EPOCHS)}
    scores = {"baseline": tutorial_scores(pairs, quality)}
    limits = {}
    for precision in machine.precisions():
        for keeping, settings in KEEPING.items():
            error_maps[f"{keeping}{precision}"] = loop(
                # Made here, so that nothing is kept from one call to the next.
                lambda settings=settings: patches(pairs, **settings),
                new_step(train_step),
                epochs=EPOCHS,
                precision=precision,
            )
        scores[precision] = our_scores(pairs, quality, precision)
        limits[f"product {precision}"] = matrix_product(precision)
        limits[f"step {precision}"] = bare_step(precision)

    limit_times = in_turn(limits, rounds=9, warm_up=2)
    error_map_times = in_turn(error_maps, rounds=ROUNDS)
    score_times = in_turn(scores, rounds=ROUNDS)
    for name in error_map_times.keys() - {"baseline"}:
        error_map_times[name] = [time / SHARE for time in error_map_times[name]]
    # A step goes forward, and as much again for the gradients by the weights and by the inputs;
    # nobody asks for the gradient by the picture.
    forward = forward_operations(PATCH, PATCH)
    operations = PATCHES * (3 * sum(forward) - forward[0])
    measured = {}
    for precision in machine.precisions():
        product = 2 * SIDE**3 / median(limit_times[f"product {precision}"]) / 1e9
        step = operations / median(limit_times[f"step {precision}"]) / 1e9
        kept_otherwise = {
            f"{keeping}images_per_s": EPOCHS * NUMBER / median(error_map_times[keeping + precision])
            for keeping in KEEPING
        }
        measured[precision] = {
            **kept_otherwise,
            **against_baseline(error_map_times, precision),
            "matmul_gflops": product,
            "step_gflops": step,
            "share_of_matmul": step / product,
            "layers": layer_rates(precision),
            "scores": against_baseline(score_times, precision),
        }
    return measured
