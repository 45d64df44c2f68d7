"""How many operations a second training does, beside what the processor can do at best."""

from statistics import median
from typing import Any

import tensorflow as tf

from benchmarks.speed import pictures
from benchmarks.speed.ladder import PATCH, PATCHES, new_step, patches
from benchmarks.speed.timing import in_turn
from diqa_utils.models import CONVOLUTIONS
from diqa_utils.training import train_step

#: Side of the square matrices whose product is the limit.
SIDE = 4096


def forward_operations(height: int, width: int) -> list[int]:
    """Returns the multiplications and additions of f's convolutions and of g, forward."""
    counts, channels = [], 1
    for filters, stride in CONVOLUTIONS:
        height, width = -(-height // stride), -(-width // stride)
        counts.append(2 * height * width * 9 * channels * filters)
        channels = filters
    return [*counts, 2 * height * width * channels]


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


def measure() -> dict[str, Any]:
    """Times a step on a batch in memory, a product of two matrices, and each convolution."""
    batch, step = next(iter(patches(pictures.pairs(1)))), new_step(train_step)
    factors = [tf.random.normal((SIDE, SIDE)) for _ in "ab"]
    product = tf.function(lambda: tf.matmul(*factors))
    times = in_turn({"product": product, "step": lambda: step(*batch)}, rounds=9, warm_up=2)
    # A step goes forward, and as much again for the gradients by the weights and by the inputs;
    # nobody asks for the gradient by the picture.
    forward = forward_operations(PATCH, PATCH)
    operations = PATCHES * (3 * sum(forward) - forward[0])
    of_product = 2 * SIDE**3 / median(times["product"]) / 1e9
    of_step = operations / median(times["step"]) / 1e9
    return {
        "matmul_gflops": of_product,
        "step_gflops": of_step,
        "share_of_matmul": of_step / of_product,
        "layers": layer_rates(),
    }
