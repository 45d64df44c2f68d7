"""Training on several devices or machines, and in half precision.

A model that is built in the scope of a `tf.distribute` strategy carries the strategy with it, and
both training steps use it. Each device takes its share of every batch, and the gradients of all
shares are summed: losses and weights are those of one device, up to rounding.
"""

import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from diqa_utils._internal.files import locked

__all__ = ["compute_in_bfloat16", "make_strategy", "on_all_devices"]


@functools.cache  # with two in one process, sums of one would get into the other
def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the strategy of this process, made before TensorFlow computes anything.

    Args:
        name: "mirrored" for all GPUs of this machine, or its CPU if there are none; "workers" for
            the processes that the environment variable `TF_CONFIG` names; it waits for them.

    Raises:
        ValueError: There is no such strategy, or `TF_CONFIG` is not set.
    """
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name != "workers":
        raise ValueError(f"strategy must be mirrored or workers, not {name!r}.")
    if not os.environ.get("TF_CONFIG"):
        raise ValueError("Set TF_CONFIG: it names all workers, and which of them this process is.")
    return tf.distribute.MultiWorkerMirroredStrategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process is the first worker: it alone writes files."""
    return bool(strategy.extended.should_checkpoint)


def locked_by_chief(
    folder: Path, strategy: tf.distribute.Strategy
) -> contextlib.AbstractContextManager[None]:
    """Keeps other runs from training in a folder, and lets the other workers of this run in."""
    return locked(folder) if is_chief(strategy) else contextlib.nullcontext()


def check_agreement(strategy: tf.distribute.Strategy, epochs: int) -> None:
    """Raises a ValueError if workers go on after different numbers of epochs."""
    each = strategy.run(lambda: tf.constant(epochs, tf.float32))
    if strategy.reduce("SUM", each, axis=None) != epochs * strategy.num_replicas_in_sync:
        raise ValueError(
            f"This worker finds {epochs} epoch(s) in its checkpoint and another one does not: give "
            "all workers the same folder."
        )


def compute_in_bfloat16(model: keras.Model) -> None:
    """Lets the convolutions of f compute in half precision; all else stays float32.

    Their weights stay float32 too, so they fit a model that computes in float32. As bfloat16 has
    the range of float32, no loss has to be scaled.

    Args:
        model: Error-map model or score model that has not been trained yet.

    References:
        Kalamkar et al.: A Study of BFLOAT16 for Deep Learning Training. 2019.
            https://arxiv.org/abs/1905.12322
    """
    for layer in model.get_layer("feature_extractor").layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.dtype_policy = "mixed_bfloat16"


def on_all_devices(step: Callable[..., tf.Tensor], model: keras.Model, batch: Any) -> tf.Tensor:
    """Takes a training step on all devices of the model's strategy, and sums their losses.

    Of two devices, the first takes images 0, 2, 4 and so on, the second the others. Where images
    are fewer than devices, each takes all of them, and they count less.

    Args:
        step: Function of a part of the batch and of the share of the whole that it is, 0..1. It
            changes the weights by the gradient of the part's loss times the share, and returns
            that loss times the share.
        model: The model to train; its strategy is the one in whose scope it was built.
        batch: Nested tensors of N images, the same on all workers.

    Returns:
        The loss of the whole batch, a scalar.
    """
    strategy = model.distribute_strategy
    devices = strategy.num_replicas_in_sync
    if devices == 1:
        return step(batch, 1.0)
    images = tf.shape(tf.nest.flatten(batch)[0])[0]
    every = tf.where(images < devices, 1, devices)

    def on_one_device() -> tf.Tensor:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group % every
        rows = tf.range(first, images, every)
        part = tf.nest.map_structure(lambda values: tf.gather(values, rows), batch)
        return step(part, tf.cast(tf.size(rows) * every / (images * devices), tf.float32))

    with strategy.scope():
        return strategy.reduce("SUM", strategy.run(on_one_device), axis=None)


class SharedNetwork(keras.Model):
    """A network whose `fit` takes each step on all devices of the strategy of another network.

    Keras' own way gives batches that cannot be shared evenly a wrong weight.
    """

    def __init__(self, network: keras.Model) -> None:
        if tf.distribute.has_strategy():
            raise ValueError("Train outside of the strategy's scope: the model carries it along.")
        super().__init__(network.input, network.output)
        self.network, self.error = network, keras.metrics.Mean(name="mse")

    @property
    def metrics(self) -> list[keras.Metric]:
        """What begins anew with each epoch."""
        return [self.error]

    def train_step(self, data: tuple[Any, tf.Tensor]) -> dict[str, Any]:
        """Changes the weights by one batch of (inputs, quality)."""
        error = on_all_devices(self._learn, self.network, data)
        self.error.update_state(error, tf.shape(data[1])[0])
        return {"mse": self.error.result()}

    def test_step(self, data: tuple[Any, tf.Tensor]) -> dict[str, Any]:
        """Takes the error of one batch; each worker does that for itself."""
        self.error.update_state(tf.square(self(data[0], training=False)[:, 0] - data[1]))
        return {"mse": self.error.result()}

    def _learn(self, part: tuple[Any, tf.Tensor], share: tf.Tensor) -> tf.Tensor:
        """The step that `fit` takes by itself where there is one device."""
        inputs, quality = part
        variables = self.network.trainable_variables
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.square(self.network(inputs, training=True)[:, 0] - quality))
            loss = share * (error + sum(self.network.losses))
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return share * error
