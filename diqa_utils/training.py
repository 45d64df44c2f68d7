"""The two training steps of DIQA.

Step 1 is a loop of our own, because its loss takes a third ingredient, the reliability map. Step 2
is an ordinary regression, so Keras' `fit` does it. Each step has an optimizer of its own: a Keras
optimizer belongs to the variables it was built with.

Source:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
"""

import csv
import warnings
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils._internal.tensorflow import (
    arithmetic,
    check_precision,
    compiled,
    give_back,
    untuned,
)
from diqa_utils.losses import weighted_error_map_loss

__all__ = [
    "best_constant_map",
    "evaluate_error_map_model",
    "load_weights",
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
    model: keras.Model, optimizer: keras.Optimizer, batch: Batch, *, border: int = 0
) -> tf.Tensor:
    """Takes one step of gradient descent on one batch of step 1.

    Args:
        model: the error-map model; its weights change.
        optimizer: built with the model's trainable variables.
        batch: normalised images (N, H, W, 1), error maps and reliability maps
            (N, ceil(H / 4), ceil(W / 4), 1), as `error_map_batches` makes them.
        border: cells that the loss leaves out at each side.

    Returns:
        The loss before the step, a float32 scalar.

    Chapter: notebooks/06-the-error-map-model.ipynb

    Chapter: notebooks/13-speed.ipynb
    """
    normalized, target, reliability = batch
    with tf.GradientTape() as tape:
        predicted = model(normalized, training=True)
        loss = weighted_error_map_loss(target, predicted, reliability, border=border)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


def train_error_map_model(
    model: keras.Model,
    training: tf.data.Dataset | Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    *,
    epochs: int,
    optimizer: keras.Optimizer | None = None,
    folder: str | PathLike[str] | None = None,
    border: int = 0,
    precision: str = "auto",
    progress: bool = True,
) -> History:
    """Trains the error-map model (step 1) and leaves it with its best weights.

    Args:
        model: the error-map model; its weights change.
        training: batches as `error_map_batches` makes them; made anew with the same seed to go on
            exactly as if there had been no stop. Or a function that returns the batches of an
            epoch, given its number from 0: for batches without end, as `pristine_batches` makes
            them.
        validation: batches of held-out references; they choose the best epoch and nothing else.
        epochs: passes over the training batches in all, those before a stop included.
        optimizer: a fresh one, for this model alone; Nadam with a rate of 2e-4 if None.
        folder: where each epoch leaves `history.csv`, the best weights and a checkpoint to go on
            from. Called again with the same folder, training goes on after the last epoch that
            was finished. None keeps nothing.
        border: cells that the loss leaves out at each side, in training and in validation.
        precision: "float32", or "bfloat16" for the convolutions of the steps, which is two to
            three times as fast on processors with instructions for it and slower on others; "auto"
            finds out which. Weights are float32 in any case.
        progress: whether to show a progress bar.

    Returns:
        `loss` and `validation_loss`, a number per epoch.

    Raises:
        ValueError: if there are no batches, `precision` is none of these, the first epoch ends
            with a loss that is not finite, or the folder holds the checkpoint of another model or
            optimizer, or a damaged one.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    check_precision(precision)
    optimizer = optimizer or keras.optimizers.Nadam(DEFAULT_LEARNING_RATE)
    optimizer.build(model.trainable_variables)
    step = compiled(lambda *batch: train_step(model, optimizer, batch, border=border))
    run = _Run(model, folder, optimizer=optimizer)
    batches_of = training if callable(training) else _one_after_the_other(training, run, epochs)
    return run.train(
        epochs,
        batches_of,
        step,
        lambda: evaluate_error_map_model(model, validation, border=border),
        precision=precision,
        progress=progress,
    )


def evaluate_error_map_model(
    model: keras.Model, batches: Iterable[Batch], *, border: int = 0
) -> float:
    """Returns the loss of an error-map model over a set of images.

    Args:
        model: the error-map model.
        batches: as `error_map_batches` makes them.
        border: cells that the loss leaves out at each side.

    Returns:
        The mean of `weighted_error_map_loss` over all images.

    Raises:
        ValueError: if there are no batches.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    return _mean_loss(batches, model.predict_on_batch, border)


def best_constant_map(batches: Iterable[Batch]) -> tuple[float, float]:
    """Returns the best constant error map and its loss: what any model has to beat.

    The constant c that minimises the sum of ((c - e_gt) r-hat) ** 2 is
    sum(r-hat ** 2 e_gt) / sum(r-hat ** 2).

    Args:
        batches: as `error_map_batches` makes them; read twice.

    Returns:
        The constant, and the mean of its `weighted_error_map_loss` over all images.

    Raises:
        ValueError: if there are no batches.

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
    precision: str = "float32",
    progress: bool = True,
) -> History:
    """Trains the score model (step 2) with Keras' `fit` and leaves it with its best weights.

    First the standardising layer gets the mean and variance of the training images' features.
    If the feature extractor is frozen (its `trainable` is False), only the head h is trained, on
    features that are computed once, and an epoch takes a moment. Otherwise all weights change.

    Args:
        model: the score model on a trained feature extractor.
        training: batches as `score_batches` makes them; made anew with the same seed to go on
            exactly as if there had been no stop.
        validation: batches of held-out references; they choose the best epoch and nothing else.
        epochs: passes over the training batches in all, those before a stop included.
        optimizer: a fresh one, for this model alone; Nadam with a rate of 2e-4 if None.
        folder: where each epoch leaves `history.csv`, the best weights and a checkpoint to go on
            from, as in `train_error_map_model`. None keeps nothing.
        precision: of the convolutions, as in `train_error_map_model`.
        progress: whether to show Keras' progress bar.

    Returns:
        `loss` and `validation_loss`, the mean squared error of each epoch.

    Raises:
        ValueError: if there are no batches, the first epoch ends with a loss that is not finite, or
            the folder holds the checkpoint of another model or optimizer, or a damaged one.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/07-regressing-the-score.ipynb
    """
    check_precision(precision)
    frozen = not model.get_layer("feature_extractor").trainable
    known = training if frozen else training.take(BATCHES_TO_STANDARDIZE)
    features, qualities = _features(model, known, progress=progress)
    _standardize(model, features)
    optimizer = optimizer or keras.optimizers.Nadam(DEFAULT_LEARNING_RATE)
    optimizer.build(model.trainable_variables)
    run = _Run(model, folder, optimizer=optimizer)
    fitted = model
    if frozen:
        # f gives the same features in every epoch: fit only what comes after them.
        fitted = keras.Model(model.get_layer("features").output, model.output)
        batch_size = len(next(iter(training))[1])
        images = tf.data.Dataset.from_tensor_slices((features, qualities))
        training = untuned(images.shuffle(len(features), seed=0).batch(batch_size))
        validation = _features(model, validation, progress=progress)
    # The loss also has the penalty on large weights; the history leaves it out.
    fitted.compile(optimizer=optimizer, loss="mse", metrics=["mse"])
    # One endless dataset: how often `fit` begins a pass, and so the order in it, is Keras' affair.
    number = sum(1 for _ in training)
    with arithmetic(precision):
        fitted.fit(
            training.repeat().skip(run.epochs_done * number),
            steps_per_epoch=number,
            validation_data=validation,
            initial_epoch=run.epochs_done,
            epochs=epochs,
            callbacks=[_FinishEpoch(run)],
            shuffle=False,  # the pipeline has shuffled
            verbose="auto" if progress else 0,
        )
    run.restore_best()
    return run.history


def load_weights(model: keras.Model, path: str | PathLike[str]) -> None:
    """Loads weights that a model of the same architecture saved.

    Args:
        model: gets the weights.
        path: a `.weights.h5` file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds the weights of another model, or is damaged.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"There are no weights at {str(path)!r}: check the path.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras' way to say that it left some out
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise ValueError(
            f"{str(path)!r} does not hold weights of the model {model.name!r}, or is damaged."
        ) from error


class _Run:
    """A training run and what it leaves behind: history, best weights, and where to go on.

    Args:
        model: its weights change.
        folder: where each epoch leaves its files; a run in a folder that has some goes on from
            there. None keeps nothing.
        **optimizers: built with variables of the model.
    """

    def __init__(
        self,
        model: keras.Model,
        folder: str | PathLike[str] | None,
        **optimizers: keras.Optimizer,
    ) -> None:
        self.model = model
        self.folder = None if folder is None else Path(folder)
        self.history: History = {"loss": [], "validation_loss": []}
        self.best_weights = model.get_weights()
        self.checkpoint = tf.train.Checkpoint(model=model, **optimizers)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._go_on(self.folder)

    def train(
        self,
        epochs: int,
        batches_of: Callable[[int], tf.data.Dataset],
        step: Callable[..., tf.Tensor],
        validate: Callable[[], float],
        *,
        precision: str,
        progress: bool,
    ) -> History:
        """Trains until so many epochs are done, and leaves the model with its best weights.

        Args:
            epochs: in all, those before a stop included.
            batches_of: the batches of an epoch, given its number from 0.
            step: takes the parts of a batch, changes the weights and returns the loss.
            validate: returns the loss that chooses the best epoch.
            precision: of the steps, as in `train_error_map_model`.
            progress: whether to show a progress bar.

        Returns:
            `loss` and `validation_loss`, a number per epoch.
        """
        for epoch in range(self.epochs_done, epochs):
            dataset = batches_of(epoch)
            number = max(0, int(dataset.cardinality())) or None  # of batches, where it is known
            title = f"epoch {epoch + 1}/{epochs}"
            # iter(): given the dataset itself, tqdm begins two passes where one is meant.
            batches = tqdm(iter(dataset), title, number, disable=not progress, leave=False)
            with arithmetic(precision):
                losses = [step(*batch) for batch in batches]
            if not losses:
                raise ValueError("There are no batches to train on.")
            self.finish_epoch(float(np.mean(losses)), validate())
        self.restore_best()
        return self.history

    @property
    def epochs_done(self) -> int:
        return len(self.history["loss"])

    def finish_epoch(self, loss: float, validation_loss: float) -> None:
        if not (self.history["loss"] or np.isfinite(validation_loss)):
            raise ValueError(
                f"The first epoch ended with a validation loss of {validation_loss}: lower the "
                "learning rate, or look for an image that is not finite."
            )
        give_back()
        improved = validation_loss < min(self.history["validation_loss"], default=np.inf)
        self.history["loss"].append(loss)
        self.history["validation_loss"].append(validation_loss)
        if improved:
            self.best_weights = self.model.get_weights()
        if self.folder is None:
            return
        if improved:
            _replace(self.folder / "best.weights.h5", self.model.save_weights)
        latest = f"epoch-{self.epochs_done}"
        self.checkpoint.write(str(self.folder / latest))
        # The history comes last: an epoch counts as done once everything of it is on disk.
        _replace(self.folder / "history.csv", self._write_history)
        for old in self.folder.glob("epoch-*"):
            if old.stem != latest:
                old.unlink()

    def restore_best(self) -> None:
        self.model.set_weights(self.best_weights)

    def _write_history(self, path: Path) -> None:
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.history)
            writer.writerows(zip(*self.history.values(), strict=True))

    def _go_on(self, folder: Path) -> None:
        path = folder / "history.csv"
        if not path.exists():
            return
        try:
            with open(path, newline="") as file:
                rows = list(csv.DictReader(file))
            self.history = {name: [float(row[name]) for row in rows] for name in self.history}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} is not the history of a training run.") from error
        load_weights(self.model, folder / "best.weights.h5")
        self.best_weights = self.model.get_weights()
        latest = str(folder / f"epoch-{self.epochs_done}")
        try:
            self.checkpoint.read(latest).assert_consumed()
        except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f"{latest!r} is not a checkpoint of a {self.model.name} with this optimizer, or is "
                "damaged: take another folder."
            ) from error


class _FinishEpoch(keras.callbacks.Callback):
    """Lets a run keep what an epoch of `fit` leaves."""

    def __init__(self, run: _Run) -> None:
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        losses = logs or {}
        if "val_mse" not in losses:
            raise ValueError("There are no validation batches: the best epoch is not defined.")
        self.run.finish_epoch(losses["mse"], losses["val_mse"])


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file beside its place and moves it there: the new one or the old, never half."""
    half_written = path.with_name(f"incomplete-{path.name}")
    write(half_written)
    half_written.replace(path)


def _one_after_the_other(
    training: tf.data.Dataset, run: _Run, epochs: int
) -> Callable[[int], tf.data.Dataset]:
    """A seeded dataset has a new order in each pass: pass over those that are done."""
    for _ in range(run.epochs_done if run.epochs_done < epochs else 0):
        for _ in training:
            pass
    return lambda epoch: training


def _features(
    model: keras.Model, batches: tf.data.Dataset, *, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 130 features of every image, (N, 130), and the qualities, (N,)."""
    features = keras.Model(model.inputs, model.get_layer("features").output)
    predict = compiled(lambda inputs: features(inputs, training=False))
    pairs = [
        (predict(inputs).numpy(), quality.numpy())
        for inputs, quality in tqdm(iter(batches), "features", disable=not progress, leave=False)
    ]
    if not pairs:
        raise ValueError("There are no batches of images.")
    pooled, qualities = zip(*pairs, strict=True)
    return np.concatenate(pooled), np.concatenate(qualities)


def _standardize(model: keras.Model, features: np.ndarray) -> None:
    """Gives the standardising layer the mean and variance of the features (N, 130)."""
    layer = model.get_layer("standardized")
    layer.adapt(features)
    # A feature that hardly ever stirs must not be blown up when it does.
    layer.adapt_variance.assign(layer.adapt_variance + SMALLEST_VARIANCE)
    layer.finalize_state()


def _mean_loss(
    batches: Iterable[Batch], predict: Callable[[tf.Tensor], tf.Tensor], border: int = 0
) -> float:
    total, images = 0.0, 0
    for normalized, target, reliability in batches:
        predicted = tf.broadcast_to(predict(normalized), tf.shape(target))
        loss = weighted_error_map_loss(target, predicted, reliability, border=border)
        total += float(loss) * len(target)
        images += len(target)
    if images == 0:
        raise ValueError("There are no batches to take the loss of.")
    return total / images
