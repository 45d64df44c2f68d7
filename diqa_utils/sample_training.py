"""The short training run that the chapters share, and the cache that keeps its result.

A recipe holds every setting of a run. A trained model is kept under the recipe, the code that made
it, and the versions of TensorFlow and Keras; whoever asks for it
again gets it from there.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf
from filelock import FileLock

from diqa_utils import datasets
from diqa_utils._internal.files import (
    cache_folder,
    fingerprint,
    source_fingerprint,
    write_atomically,
)
from diqa_utils.datasets.storage import SAMPLE_SOURCES
from diqa_utils.maps import DEFAULT_ALPHA, DEFAULT_EXPONENT
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.pipelines import error_map_batches, score_batches
from diqa_utils.training import History, load_weights, train_error_map_model, train_score_model

__all__ = ["Recipe", "trained_error_map_model", "trained_score_model"]

#: The code whose change makes a trained model stale.
SOURCES = (
    *SAMPLE_SOURCES,
    "_internal/tensorflow.py",
    "_internal/checks.py",
    "losses.py",
    "maps.py",
    "models.py",
    "pipelines.py",
    "sample_training.py",
    "training.py",
)


@dataclass(frozen=True)
class Recipe:
    """Every setting of the chapters' short training run on the sample database.

    It is short on purpose, less than a minute a step on two cores: enough to see that the method
    learns, not enough to be good. Step 2 keeps the features of step 1 and trains the head h only:
    so few pictures would teach f their own contents.

    Attributes:
        seed: Seed for weights, shuffling and patches.
        exponent: Exponent p of the error map.
        alpha: Slope of the reliability map.
        patch_size: Side of the patches of step 1, in pixels.
        patches_per_image: Patches of every image in an epoch of step 1.
        error_map_batch_size: Patches in a batch of step 1.
        error_map_epochs: Epochs of step 1.
        error_map_learning_rate: Learning rate of Nadam at the start of step 1; it falls to zero
            along a cosine.
        score_batch_size: Images in a batch of step 2.
        score_epochs: Epochs of step 2, which trains the head h only.
        score_learning_rate: Learning rate at the start of step 2; it falls like that of step 1.
        beta_2: How slowly Nadam forgets the squares of past gradients; low, for a short run.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """

    seed: int = 0
    exponent: float = DEFAULT_EXPONENT
    alpha: float = DEFAULT_ALPHA
    patch_size: int = 64
    patches_per_image: int = 3
    error_map_batch_size: int = 8
    error_map_epochs: int = 5
    error_map_learning_rate: float = 1e-3
    score_batch_size: int = 16
    score_epochs: int = 60
    score_learning_rate: float = 3e-3
    beta_2: float = 0.95


def trained_error_map_model(recipe: Recipe | None = None) -> tuple[keras.Model, History]:
    """Returns the error-map model of step 1, trained on the sample database.

    It comes from the cache, or is trained and put there. Training sets the global random seed.

    Args:
        recipe: Settings of the run; the chapters' own if None.

    Returns:
        The model with its best weights, and the history of its training.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    recipe = recipe or Recipe()

    def train(model: keras.Model) -> History:
        training = error_map_batches(
            datasets.load("sample_iqa", split="train"),
            batch_size=recipe.error_map_batch_size,
            patch_size=recipe.patch_size,
            patches_per_image=recipe.patches_per_image,
            seed=recipe.seed,
            exponent=recipe.exponent,
            alpha=recipe.alpha,
        )
        held_out: tf.data.Dataset = datasets.load("sample_iqa", split="validation")
        validation = error_map_batches(
            # Every third picture chooses the best epoch as well as all, in a third of the time.
            held_out.shard(3, index=0),
            batch_size=10,
            exponent=recipe.exponent,
            alpha=recipe.alpha,
        )
        epochs = recipe.error_map_epochs
        optimizer = _falling_nadam(recipe, recipe.error_map_learning_rate, epochs, training)
        return train_error_map_model(
            model, training, validation, epochs=epochs, optimizer=optimizer, progress=False
        )

    return _from_cache_or_train("error-map", recipe, build_error_map_model, train)


def trained_score_model(recipe: Recipe | None = None) -> tuple[keras.Model, History]:
    """Returns the score model of step 2, trained on the sample database's stand-in scores.

    It comes from the cache, or is trained and put there, after step 1 if need be. Training sets
    the global random seed.

    Args:
        recipe: Settings of the run; the chapters' own if None.

    Returns:
        The model with its best weights, and the history of its training.

    Chapter: notebooks/07-regressing-the-score.ipynb
    """
    recipe = recipe or Recipe()

    def train(model: keras.Model) -> History:
        error_map_model, _ = trained_error_map_model(recipe)
        trained = error_map_model.get_layer("feature_extractor")
        extractor = model.get_layer("feature_extractor")
        extractor.set_weights(trained.get_weights())
        extractor.trainable = False
        training, validation = (
            score_batches(
                datasets.load("sample_iqa", split=split),
                batch_size=recipe.score_batch_size,
                seed=seed,
                alpha=recipe.alpha,
            )
            for split, seed in (("train", recipe.seed), ("validation", None))
        )
        epochs = recipe.score_epochs
        optimizer = _falling_nadam(recipe, recipe.score_learning_rate, epochs, training)
        return train_score_model(
            model, training, validation, epochs=epochs, optimizer=optimizer, progress=False
        )

    return _from_cache_or_train("score", recipe, build_score_model, train)


def _falling_nadam(
    recipe: Recipe, rate: float, epochs: int, batches: tf.data.Dataset
) -> keras.Optimizer:
    """Returns Nadam with a rate that falls to zero along a cosine over the whole run."""
    steps = epochs * int(batches.cardinality())
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    return keras.optimizers.Nadam(schedule, beta_2=recipe.beta_2)


def _from_cache_or_train(
    name: str,
    recipe: Recipe,
    build: Callable[[], keras.Model],
    train: Callable[[keras.Model], History],
) -> tuple[keras.Model, History]:
    folder = _folder(recipe) / name
    weights, losses = folder / "best.weights.h5", folder / "history.json"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not losses.exists():  # it is written last
            keras.utils.set_random_seed(recipe.seed)
            model = build()
            history = train(model)
            write_atomically(weights, model.save_weights)
            write_atomically(losses, lambda place: place.write_text(json.dumps(history)))
    model = build()
    load_weights(model, weights)
    return model, json.loads(losses.read_text())


def _folder(recipe: Recipe) -> Path:
    code, versions = source_fingerprint(*SOURCES), [tf.__version__, keras.__version__]
    return cache_folder() / "models" / fingerprint(recipe=recipe, code=code, versions=versions)
