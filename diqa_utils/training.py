"""The two training steps of DIQA.

Step 1 is a loop of our own, with every part of it in view; its loss takes a third ingredient, the
reliability map. Step 2 is an ordinary regression, so Keras' `fit` does it. Each step has its own
optimizer: a Keras optimizer belongs to the variables it was built with.

Source:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
"""

from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils._internal.files import read_arrays, remove_half_written, write_atomically
from diqa_utils._internal.tensorflow import UNTUNED, compiled, give_back
from diqa_utils.distribution import SharedNetwork, check_agreement, is_chief, on_all_devices
from diqa_utils.losses import weighted_error_map_loss

__all__ = [
    "Checkpoints",
    "best_constant_map",
    "epochs_of",
    "evaluate_error_map_model",
    "load_weights",
    "shared_train_step",
    "standardize_features",
    "train_error_map_model",
    "train_score_model",
    "train_step",
]

#: Nadam's rate in the original tutorial.
DEFAULT_LEARNING_RATE = 2e-4

#: Enough batches to know the mean and variance of each feature.
BATCHES_TO_STANDARDIZE = 25

#: Added to the variance of a feature before dividing by its root.
SMALLEST_VARIANCE = 1e-6

Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
History = dict[str, list[float]]


def train_step(
    model: keras.Model,
    optimizer: keras.Optimizer,
    batch: Batch,
) -> tf.Tensor:
    """Takes one step of gradient descent on one batch of step 1.

    Args:
        model: The error-map model; its weights change.
        optimizer: Built with the model's trainable variables.
        batch: Normalised images (N, H, W, 1), error maps and reliability maps
            (N, ceil(H / 4), ceil(W / 4), 1), as `error_map_batches` makes them.

    Returns:
        The loss before the step, a float32 scalar.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    normalized, target, reliability = batch
    with tf.GradientTape() as tape:
        predicted = model(normalized, training=True)
        loss = weighted_error_map_loss(target, predicted, reliability)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


def shared_train_step(model: keras.Model, optimizer: keras.Optimizer, batch: Batch) -> tf.Tensor:
    """Takes `train_step` on all devices of the model's strategy, each with its share of the batch.

    Args:
        model: The error-map model, built in the scope of a strategy or of none.
        optimizer: Built in the same scope.
        batch: As `train_step` takes it, the same on all workers.

    Returns:
        The loss of the whole batch before the step.
    """

    def step(part: Batch, share: Any) -> tf.Tensor:
        normalized, target, reliability = part
        # The loss grows with the square of the reliability.
        return train_step(model, optimizer, (normalized, target, share**0.5 * reliability))

    return on_all_devices(step, model, batch)


def train_error_map_model(
    model: keras.Model,
    training: tf.data.Dataset | Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    *,
    epochs: int,
    optimizer: keras.Optimizer | None = None,
    folder: str | PathLike[str] | None = None,
    progress: bool = True,
) -> History:
    """Trains the error-map model (step 1) and leaves it with its best weights.

    Args:
        model: The error-map model; its weights change.
        training: Batches as `error_map_batches` makes them; made anew with the same seed to go on
            exactly as if there had been no stop. Or a function that returns the batches of an
            epoch, given its number from 0: for batches without end, as `pristine_batches` makes
            them.
        validation: Batches of held-out references; they choose the best epoch and nothing else.
        epochs: Passes over the training batches in all, those before a stop included.
        optimizer: Fresh optimizer for this model alone; Nadam with a rate of 2e-4 if None.
        folder: Folder in which each epoch leaves a checkpoint. Called again with the same folder,
            training goes on after the last epoch that was finished. None keeps nothing.
        progress: Whether to show a progress bar.

    Returns:
        `loss` and `validation_loss`, a number per epoch.

    Raises:
        ValueError: If there are no batches, the first epoch ends with a loss that is not finite, or
            the folder holds the checkpoint of another model or optimizer, or a damaged one.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    optimizer = optimizer_for(model, optimizer)

    @tf.function(reduce_retracing=True, autograph=False)
    def step(*batch: tf.Tensor) -> tf.Tensor:
        return shared_train_step(model, optimizer, batch)

    checkpoints = Checkpoints(folder, model=model, optimizer=optimizer)
    history, best_weights = checkpoints.restore()
    done = len(history["loss"])
    for batches in epochs_of(training, done, epochs, progress=progress):
        losses = [step(*batch) for batch in batches]
        loss = evaluate_error_map_model(model, validation)
        if loss < min(history["validation_loss"], default=np.inf):
            best_weights = model.get_weights()
        history["loss"].append(float(np.mean(losses)))
        history["validation_loss"].append(loss)
        checkpoints.save(history, best_weights)
    model.set_weights(best_weights)
    return history


def evaluate_error_map_model(model: keras.Model, batches: Iterable[Batch]) -> float:
    """Returns the loss of an error-map model over a set of images.

    Args:
        model: The error-map model.
        batches: Batches that `error_map_batches` makes.

    Returns:
        The mean of `weighted_error_map_loss` over all images.

    Raises:
        ValueError: If there are no batches.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    # All devices predict all images, one answer below the other.
    predict = model.predict_on_batch
    return _mean_loss(batches, lambda batch: predict(batch)[: len(batch)])


def best_constant_map(batches: Iterable[Batch]) -> tuple[float, float]:
    """Returns the best constant error map and its loss: what any model has to beat.

    The constant c that minimises the sum of ((c - e_gt) r-hat) ** 2 is
    sum(r-hat ** 2 e_gt) / sum(r-hat ** 2).

    Args:
        batches: Batches that `error_map_batches` makes; read twice.

    Returns:
        The constant, and the mean of its `weighted_error_map_loss` over all images.

    Raises:
        ValueError: If there are no batches.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    weighted, weights = 0.0, 0.0
    for _, target, reliability in batches:
        weighted += float(tf.reduce_sum(tf.square(reliability) * target))
        weights += float(tf.reduce_sum(tf.square(reliability)))
    if weights == 0:
        raise ValueError("There are no batches: the best constant of nothing is not defined.")
    constant = weighted / weights
    loss = _mean_loss(batches, lambda _: tf.constant(constant))
    return constant, loss


def train_score_model(
    model: keras.Model,
    training: tf.data.Dataset,
    validation: tf.data.Dataset,
    *,
    epochs: int,
    optimizer: keras.Optimizer | None = None,
    folder: str | PathLike[str] | None = None,
    progress: bool = True,
) -> History:
    """Trains the score model (step 2) with Keras' `fit` and leaves it with its best weights.

    First the standardising layer gets the mean and variance of the training images' features.
    If the feature extractor is frozen (its `trainable` is False), only the head h is trained, on
    features that are computed once, and an epoch takes a moment. Otherwise all weights change.

    Args:
        model: The score model on a trained feature extractor.
        training: Batches as `score_batches` makes them; made anew with the same seed to go on
            exactly as if there had been no stop.
        validation: Batches of held-out references; they choose the best epoch and nothing else.
        epochs: Passes over the training batches in all, those before a stop included.
        optimizer: Fresh optimizer for this model alone; Nadam with a rate of 2e-4 if None.
        folder: Folder to go on from after a stop, as `train_error_map_model` explains.
        progress: Whether to show Keras' progress bar.

    Returns:
        `loss` and `validation_loss`, the mean squared error of each epoch.

    Raises:
        ValueError: If there are no batches, the first epoch ends with a loss that is not finite, or
            the folder holds the checkpoint of another model or optimizer, or a damaged one.

    Chapter: notebooks/07-regressing-the-score.ipynb
    """
    optimizer = optimizer_for(model, optimizer)
    parts = network_to_fit(model, training, validation, progress)
    network, batches, held_out = parts
    network.compile(optimizer=optimizer, loss="mse", metrics=["mse"])
    keeper = KeepBest(Checkpoints(folder, model=model, optimizer=optimizer))
    done, steps = len(keeper.history["loss"]), sum(1 for _ in batches)
    network.fit(
        batches.repeat().skip(done * steps),
        steps_per_epoch=steps,
        initial_epoch=done,
        epochs=epochs,
        validation_data=held_out,
        callbacks=[keeper],
        shuffle=False,  # the batches are shuffled
        verbose="auto" if progress else 0,
    )
    model.set_weights(keeper.best_weights)
    return keeper.history


def load_weights(model: keras.Model, path: str | PathLike[str]) -> None:
    """Loads weights that a model of the same architecture saved.

    Args:
        model: Gets the weights.
        path: a `.weights.h5` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds the weights of another model, or numbers that are not finite,
            or is damaged; then the model has not changed.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"There are no weights at {str(path)!r}: check the path.")
    copy = keras.models.clone_model(model)
    try:
        copy.load_weights(path)
    except Exception as error:  # Keras and HDF5 have errors of many kinds
        raise ValueError(
            f"{str(path)!r} does not hold weights of the model {model.name!r}, or is damaged."
        ) from error
    if not all(np.isfinite(values).all() for values in copy.get_weights()):
        raise ValueError(f"{str(path)!r} holds weights that are not finite numbers: train anew.")
    model.load_weights(path)


class Checkpoints:
    """A file from which a training goes on after a stop: history, best weights, latest state.

    Args:
        folder: Folder of the file, `checkpoint.npz`; None keeps nothing.
        model: Network whose weights change.
        **optimizers: Optimizers that were built with variables of the model.
    """

    def __init__(
        self,
        folder: str | PathLike[str] | None,
        *,
        model: keras.Model,
        **optimizers: keras.Optimizer,
    ) -> None:
        self.file = None if folder is None else Path(folder) / "checkpoint.npz"
        self.model = model
        self.optimizers = optimizers

    def restore(self) -> tuple[History, list[np.ndarray]]:
        """Gives model and optimizers the state after the last epoch that was finished.

        Returns:
            The history so far, and the best weights so far: those of the model where there is
            nothing to go on from.

        Raises:
            ValueError: If the folder holds the checkpoint of another model or optimizer, or a
                damaged one.
        """
        history: History = {"loss": [], "validation_loss": []}
        best_weights = self.model.get_weights()
        if self.file is None or not self.file.exists():
            check_agreement(self.model.distribute_strategy, 0)
            return history, best_weights
        if is_chief(self.model.distribute_strategy):
            remove_half_written(self.file.parent)
        kept = read_arrays(self.file, "delete it, and this training begins anew")
        shapes = {name: values.shape for name, values in self._arrays(best_weights).items()}
        if {name: kept[name].shape for name in kept.keys() - history} != shapes:
            raise ValueError(
                f"{str(self.file)!r} is not a checkpoint of a {self.model.name} with this "
                "optimizer: take another folder."
            )
        check_agreement(self.model.distribute_strategy, len(kept["loss"]))
        groups = self._variables()
        for group, variables in groups.items():
            for number, variable in enumerate(variables):
                variable.assign(kept[f"{group}/{number:03}"])
        best_weights = [kept[f"best/{number:03}"] for number in range(len(best_weights))]
        return {name: kept[name].tolist() for name in history}, best_weights

    def save(self, history: History, best_weights: list[np.ndarray]) -> None:
        """Keeps an epoch that has just been entered in the history.

        Raises:
            ValueError: If it is the first one and its validation loss is not finite.
        """
        *earlier, latest_loss = history["validation_loss"]
        if not earlier and not np.isfinite(latest_loss):
            raise ValueError(
                f"The first epoch ended with a validation loss of {latest_loss}: lower the "
                "learning rate, or look for an image that is not finite."
            )
        give_back()
        if self.file is None or not is_chief(self.model.distribute_strategy):
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # One file, so that an epoch is there as a whole or not at all.
        arrays = self._arrays(best_weights) | history
        write_atomically(self.file, lambda path: np.savez(path, **arrays))

    def _variables(self) -> dict[str, list[Any]]:
        """All that changes in a training, by the name under which it is kept."""
        optimizers = {name: entry.variables for name, entry in self.optimizers.items()}
        return {"model": self.model.weights} | optimizers

    def _arrays(self, best_weights: list[np.ndarray]) -> dict[str, Any]:
        """What is kept of an epoch, but for the history."""
        groups = self._variables() | {"best": best_weights}
        return {
            f"{group}/{number:03}": np.asarray(values)
            for group, variables in groups.items()
            for number, values in enumerate(variables)
        }


class KeepBest(keras.callbacks.Callback):
    """Does at the end of an epoch of `fit` what the loop of step 1 does at the end of one.

    Args:
        checkpoints: Files of the model that is trained.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.history, self.best_weights = checkpoints.restore()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Enters the losses in the history, and keeps the weights of the best epoch."""
        losses = logs or {}
        if "val_mse" not in losses:
            raise ValueError("There are no validation batches: the best epoch is not defined.")
        if losses["val_mse"] < min(self.history["validation_loss"], default=np.inf):
            self.best_weights = self.checkpoints.model.get_weights()
        # Keras' `loss` has the penalty on large weights too, the history has not.
        self.history["loss"].append(losses["mse"])
        self.history["validation_loss"].append(losses["val_mse"])
        self.checkpoints.save(self.history, self.best_weights)


def optimizer_for(model: keras.Model, optimizer: keras.Optimizer | None) -> keras.Optimizer:
    """Returns the optimizer, Nadam if None, built with the trainable variables of the model."""
    with model.distribute_strategy.scope():
        optimizer = optimizer or keras.optimizers.Nadam(DEFAULT_LEARNING_RATE)
        optimizer.build(model.trainable_variables)
    return optimizer


def epochs_of(
    training: tf.data.Dataset | Callable[[int], tf.data.Dataset],
    done: int,
    epochs: int,
    *,
    progress: bool,
) -> Iterator[Iterable[Any]]:
    """Yields the batches of each epoch that is left.

    Args:
        training: Dataset that is passed over once an epoch, or function that returns the batches
            of an epoch, given its number from 0.
        done: Number of epochs before a stop.
        epochs: Number of epochs in all.
        progress: Whether to show a progress bar.

    Yields:
        The batches of the next epoch.

    Raises:
        ValueError: If there are no batches.
    """
    if not callable(training) and done < epochs:
        # A seeded dataset has a new order in each pass: pass over those that are done.
        for _ in range(done):
            for _ in training:
                pass
    for epoch in range(done, epochs):
        dataset = training(epoch) if callable(training) else training
        if int(dataset.cardinality()) == 0:
            raise ValueError("There are no batches to train on.")
        yield _with_progress(dataset, f"epoch {epoch + 1}/{epochs}", progress)


def _with_progress(dataset: tf.data.Dataset, title: str, progress: bool) -> Iterable[Any]:
    number = int(dataset.cardinality())  # negative where nobody knows
    total = number if number > 0 else None
    # iter(): given the dataset itself, tqdm begins two passes where one is meant.
    return tqdm(iter(dataset), title, total, disable=not progress, leave=False)


def network_to_fit(
    model: keras.Model, training: tf.data.Dataset, validation: tf.data.Dataset, progress: bool
) -> tuple[keras.Model, tf.data.Dataset, Any]:
    """Standardises the features, and leaves out of `fit` what does not change in it.

    Returns:
        The network to fit, its training batches and its validation data: those of the model, or,
        if the feature extractor is frozen, the head h and features that are computed once.
    """
    shared = model.distribute_strategy.num_replicas_in_sync > 1
    fitted = SharedNetwork if shared else lambda network: network
    frozen = not model.get_layer("feature_extractor").trainable
    sample = training if frozen else training.take(BATCHES_TO_STANDARDIZE)
    features, qualities = features_of(model, sample, progress=progress)
    standardize_features(model, features)
    if not frozen:
        return fitted(model), training, validation
    with model.distribute_strategy.scope():
        head = keras.Model(model.get_layer("features").output, model.output)
    batch_size = len(next(iter(training))[1])
    images = tf.data.Dataset.from_tensor_slices((features, qualities))
    batches = images.shuffle(len(features), seed=0).batch(batch_size).with_options(UNTUNED)
    return fitted(head), batches, features_of(model, validation, progress=progress)


def features_of(
    model: keras.Model, batches: tf.data.Dataset, *, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 130 features of every image, (N, 130), and the qualities, (N,)."""
    features = keras.Model(model.inputs, model.get_layer("features").output)
    predict = compiled(lambda inputs: features(inputs, training=False))
    pairs = [
        (predict(inputs).numpy(), quality.numpy())
        for inputs, quality in _with_progress(batches, "features", progress)
    ]
    if not pairs:
        raise ValueError("There are no batches of images.")
    vectors, qualities = zip(*pairs, strict=True)
    return np.concatenate(vectors), np.concatenate(qualities)


def standardize_features(model: keras.Model, features: np.ndarray) -> None:
    """Gives the standardising layer of a score model the mean and variance of features.

    Args:
        model: Score model with a layer named `standardized`.
        features: Features of the training images, (N, K).
    """
    layer = model.get_layer("standardized")
    layer.adapt(features)
    # A feature that hardly ever stirs must not be blown up when it does.
    layer.adapt_variance.assign(layer.adapt_variance + SMALLEST_VARIANCE)
    layer.finalize_state()


def _mean_loss(batches: Iterable[Batch], predict: Callable[[tf.Tensor], tf.Tensor]) -> float:
    total, images = 0.0, 0
    for normalized, target, reliability in batches:
        predicted = tf.broadcast_to(predict(normalized), tf.shape(target))
        loss = weighted_error_map_loss(target, predicted, reliability)
        total += float(loss) * len(target)
        images += len(target)
    if images == 0:
        raise ValueError("There are no batches to take the loss of.")
    return total / images
