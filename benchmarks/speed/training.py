"""Training both steps, beside the tutorial's loop, and beside what the machine can do at best."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import original_tutorial
from benchmarks.speed import machine, pictures
from benchmarks.speed.timing import agree, in_turn, ratios, seconds
from diqa_utils._internal.tensorflow import arithmetic, compiled, untuned
from diqa_utils.models import CONVOLUTIONS, build_error_map_model, build_score_model
from diqa_utils.pipelines import (
    error_map_batches,
    score_batches,
    to_error_map_example,
)
from diqa_utils.training import train_step

#: Pictures, passes over them, and how often all that is timed. The first pass makes the examples,
#: which the library keeps where they fit into memory, and the tutorial makes anew in every pass.
NUMBER, EPOCHS, ROUNDS = 8, 4, 3

#: Side of our patches, and how many of them a picture gives. They have the pixels of a picture, to
#: within 2 %, and make a batch: both ways change the weights once for each picture.
PATCH, PATCHES_PER_PICTURE = 112, 32
BATCH = PATCHES_PER_PICTURE

RATE = 1e-4

#: How far the answers may differ, in each precision: a loss, as a share of it, and error maps.
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}


def forward_operations(height: int, width: int) -> list[int]:
    """Returns the multiplications and additions of f's convolutions and of g, forward."""
    found, channels = [], 1
    for filters, stride in CONVOLUTIONS:
        height, width = -(-height // stride), -(-width // stride)
        found.append(2 * height * width * 9 * channels * filters)
        channels = filters
    return [*found, 2 * height * width * channels]


def operations(side: int) -> int:
    """Returns the multiplications and additions of a training step on a square.

    A forward pass, and as much again for the gradients by the weights and by the inputs; nobody
    asks for the gradient by the picture.
    """
    forward = forward_operations(side, side)
    return 3 * sum(forward) - forward[0]


# --- The tutorial's way ---------------------------------------------------------------------------


def tutorial_error_maps(pairs: np.ndarray) -> Callable[[], None]:
    """Returns its training of step 1: picture by picture, eagerly, with two forward passes."""
    model, _ = original_tutorial.build_models()
    optimizer = keras.optimizers.Nadam(RATE)
    examples = tutorial_examples(pairs)

    def train() -> None:
        for _ in range(EPOCHS):
            for batch in examples:
                tutorial_step(model, optimizer, batch)

    return train


def tutorial_examples(pairs: np.ndarray) -> tf.data.Dataset:
    """Returns what it trains on, made anew in each pass.

    Untuned, as ours are: how long a pass waits for its tuning to end is chance.
    """
    examples = tf.data.Dataset.from_tensor_slices(pairs.astype(np.float32)).map(
        lambda pair: original_tutorial.training_example(pair[:1], pair[1:])
    )
    return untuned(examples)


def tutorial_step(
    model: keras.Model, optimizer: keras.Optimizer, batch: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """One of its steps; returns the loss, and the accuracy that it printed."""
    normalized, target, reliability = batch
    with tf.GradientTape() as tape:
        value = original_tutorial.loss(target, model(normalized, training=True), reliability)
    gradients = tape.gradient(value, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return value, original_tutorial.accuracy(target, model(normalized, training=False))


def tutorial_scores(pairs: np.ndarray, quality: np.ndarray) -> Callable[[], None]:
    """Returns its training of step 2: Keras' `fit`, picture by picture."""
    _, model = original_tutorial.build_models()
    model.compile(optimizer=keras.optimizers.Nadam(RATE), loss="mse")
    examples = tf.data.Dataset.from_tensor_slices((pairs[:, 1].astype(np.float32), quality)).map(
        lambda picture, score: (original_tutorial.preprocess(picture[None]), score[None])
    )
    return lambda: model.fit(untuned(examples), epochs=EPOCHS, shuffle=False, verbose=0)


# --- Ours -----------------------------------------------------------------------------------------


def our_error_maps(pairs: np.ndarray, precision: str, **limits: int) -> Callable[[], None]:
    """Returns our training of step 1, as many pixels of the same pictures, in patches.

    The limits say where the examples are kept, and whether they are: in memory if nothing is said.
    """
    model, optimizer = build_error_map_model(), keras.optimizers.Nadam(RATE)
    optimizer.build(model.trainable_variables)
    step = compiled(lambda *batch: train_step(model, optimizer, batch))

    def train() -> None:
        batches = patches(pairs, **limits)  # nothing is kept from one call to the next
        with arithmetic(precision):
            for _ in range(EPOCHS):
                for batch in batches:
                    step(*batch)

    return train


def patches(pairs: np.ndarray, **limits: int) -> tf.data.Dataset:
    """Returns our batches of patches, of a pass."""
    database = tf.data.Dataset.from_tensor_slices(
        {"reference_image": pairs[:, 0], "distorted_image": pairs[:, 1]}
    )
    return error_map_batches(
        database,
        batch_size=BATCH,
        patch_size=PATCH,
        patches_per_image=PATCHES_PER_PICTURE,
        seed=0,
        **limits,
    )


def our_scores(pairs: np.ndarray, quality: np.ndarray, precision: str) -> Callable[[], None]:
    """Returns our training of step 2, on whole pictures as there: one at a time."""
    model = build_score_model()
    model.compile(optimizer=keras.optimizers.Nadam(RATE), loss="mse")
    database = tf.data.Dataset.from_tensor_slices(
        {"distorted_image": pairs[:, 1], "quality": quality}
    )

    def train() -> None:
        batches = score_batches(database, batch_size=1, seed=0)
        with arithmetic(precision):
            model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0)

    return train


# --- The same answer ------------------------------------------------------------------------------


def check_the_step(pairs: np.ndarray, precision: str) -> dict[str, float]:
    """Compares one compiled step with the tutorial's on the same batch, from the same weights."""
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
    tolerance = TOLERANCE[precision]
    maps = [model(batch[0], training=False) for model in (ours, theirs)]
    return {
        "loss": agree(f"{precision} loss", relative, np.ones(3), tolerance=tolerance),
        "error_map": agree(f"{precision} error map", *maps, tolerance=tolerance),
    }


def bare_steps(precisions: list[str]) -> dict[str, Callable[[], Any]]:
    """Returns single training steps on a batch that lies in memory."""
    cells = PATCH // 4
    batch = (
        0.08 * tf.random.normal((BATCH, PATCH, PATCH, 1)),
        tf.random.uniform((BATCH, cells, cells, 1)),
        tf.ones((BATCH, cells, cells, 1)),
    )
    ways = {}
    for precision in precisions:
        model, optimizer = build_error_map_model(), keras.optimizers.Nadam(RATE)
        optimizer.build(model.trainable_variables)
        step = tf.function(lambda *parts, m=model, o=optimizer: train_step(m, o, parts))

        def one(step: Any = step, precision: str = precision) -> None:
            with arithmetic(precision):
                step(*batch)

        ways[precision] = one
    return ways


def layer_rates(precision: str) -> dict[str, float]:
    """Returns how many billion operations a second each convolution of f does, forward."""
    ways, work, side, channels = {}, {}, PATCH, 1
    for number, (filters, stride) in enumerate(CONVOLUTIONS, start=1):
        values = tf.nn.relu(tf.random.normal((BATCH, side, side, channels)))
        kernel = tf.random.normal((3, 3, channels, filters)) / (9 * channels) ** 0.5
        convolve = tf.function(
            lambda v=values, k=kernel, s=stride: tf.nn.relu(tf.nn.conv2d(v, k, s, "SAME"))
        )

        def layer(convolve: Any = convolve) -> None:
            with arithmetic(precision):
                convolve()

        side = -(-side // stride)
        ways[f"conv{number}"] = layer
        work[f"conv{number}"] = 2 * BATCH * side**2 * 9 * channels * filters
        channels = filters
    times = in_turn(ways, rounds=15, warm_up=2)
    return {name: work[name] / seconds(times[name])["median"] / 1e9 for name in ways}


def measure() -> dict[str, Any]:
    """Times both steps of training in both precisions."""
    pairs = pictures.pairs(NUMBER)
    quality = np.linspace(0.2, 0.8, NUMBER, dtype=np.float32)
    precisions = machine.precisions()
    products = {f"product {name}": way for name, way in machine.matrix_products().items()}
    steps = {f"step {name}": way for name, way in bare_steps(precisions).items()}
    limits = in_turn(products | steps, rounds=9, warm_up=2)
    error_maps = {"baseline": tutorial_error_maps(pairs)}
    for name in precisions:
        error_maps[name] = our_error_maps(pairs, name)
        error_maps[f"{name}, disk"] = our_error_maps(pairs, name, memory_limit=0)
        error_maps[f"{name}, streaming"] = our_error_maps(pairs, name, memory_limit=0, disk_limit=0)
    scores = {"baseline": tutorial_scores(pairs, quality)} | {
        name: our_scores(pairs, quality, name) for name in precisions
    }
    times = in_turn(error_maps, rounds=ROUNDS)
    of_scores = in_turn(scores, rounds=ROUNDS)
    found: dict[str, Any] = {}
    for name in precisions:
        matmul = 2 * machine.SIDE**3 / np.median(limits[f"product {name}"]) / 1e9
        step = BATCH * operations(PATCH) / np.median(limits[f"step {name}"]) / 1e9
        found[name] = {
            "baseline_images_per_s": _rate(times["baseline"], NUMBER),
            "images_per_s": _rate(times[name], pictures_worth(NUMBER)),
            **_per_picture(times, name),
            **_kept_otherwise(times, name, "disk"),
            **_kept_otherwise(times, name, "streaming"),
            "share_of_matmul": step / matmul,
            "matmul_gflops": matmul,
            "step_gflops": step,
            "layers": layer_rates(name),
            "difference": check_the_step(pairs, name),
            "scores": {
                "baseline_images_per_s": _rate(of_scores["baseline"], NUMBER),
                "images_per_s": _rate(of_scores[name], NUMBER),
                **ratios(of_scores, "baseline", name),
            },
        }
    return found


def pictures_worth(number: int) -> float:
    """Returns how many pictures have the pixels of the patches that so many pictures give."""
    return number * PATCHES_PER_PICTURE * PATCH**2 / pictures.PIXELS


def _rate(times: list[float], number: float) -> float:
    return EPOCHS * number / seconds(times)["median"]


def _kept_otherwise(times: dict[str, list[float]], precision: str, way: str) -> dict[str, float]:
    name = f"{precision}, {way}"
    return {
        f"{way}_images_per_s": _rate(times[name], pictures_worth(NUMBER)),
        f"{way}_ratio": _per_picture(times, name)["ratio"],
    }


def _per_picture(times: dict[str, list[float]], name: str) -> dict[str, float]:
    """The ratio of times per picture: ours has a few pixels more or less."""
    share = pictures_worth(NUMBER) / NUMBER
    scaled = {"baseline": times["baseline"], "ours": [time / share for time in times[name]]}
    return ratios(scaled, "baseline", "ours")
