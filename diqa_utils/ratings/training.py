"""Training on human ratings, from prepared pictures to a predictor with its best weights.

There are two predictors to train:

- "diqa", as the paper has it: f learns error maps, for which nobody has to be asked (step 1); then
  f and the head h learn the ratings (step 2), here on mosaics of random crops.
- "extended": the small networks of `extended` learn the ratings from the statistics of pictures.
  People rated photographs as they are, not copies that somebody compressed or enlarged; so each
  batch also holds copies of a few pictures, and the scores must be in their order: from copy to
  copy of one picture by the strength of the damage, and between copies of different pictures where
  two full-reference metrics agree on it.

Both keep the error-map model of step 1, which shows where a picture looks damaged. Both steps go on
where they were stopped.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock

from diqa_utils._internal.files import fingerprint
from diqa_utils._internal.tensorflow import compiled
from diqa_utils.distribution import compute_in_bfloat16, is_chief, locked_by_chief
from diqa_utils.models import build_error_map_model
from diqa_utils.ratings.copies import WorseCopies
from diqa_utils.ratings.learning import FeaturesTraining, StatisticsTraining, TrainedPredictor
from diqa_utils.ratings.pictures import RatedPictures, check_size
from diqa_utils.ratings.pretraining import pristine_batches
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.training import Checkpoints, History, epochs_of, train_error_map_model

__all__ = ["check_enough", "train_on_ratings"]


def train_on_ratings(
    recipe: RatingsRecipe,
    pictures: RatedPictures,
    *,
    training: Sequence[str],
    validation: Sequence[str],
    copies: WorseCopies | None = None,
    pristine: Sequence[np.ndarray] = (),
    folder: str | PathLike[str],
    error_maps: str | PathLike[str] | None = None,
    after_epoch: Callable[[int, np.ndarray], None] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    bfloat16: bool = False,
    progress: bool = True,
) -> TrainedPredictor:
    """Trains a predictor of quality on pictures that people have rated.

    Args:
        recipe: All settings.
        pictures: Pictures that were prepared for the recipe's predictor.
        training: Ids of the pictures to learn from.
        validation: Ids of the pictures that choose the best epoch of "diqa" and nothing else; of
            "extended" the last epoch is taken.
        copies: What `measure_copies` gives of training pictures; needed by "extended", unless its
            recipe's `copies_weight` is zero.
        pristine: Pictures without visible faults for step 1, as `pristine_pictures` reads them.
        folder: Where the run keeps its checkpoints. Called again with the same folder, it goes on
            after the last epoch that was finished, and ends with the same weights as a run that
            was never stopped.
        error_maps: Folder for the checkpoints of step 1, which runs with the same settings of it
            may share; that of the run if None.
        after_epoch: Called after each epoch of the last training of step 2, with the number of
            epochs so far and the scores of the validation pictures, (n,). What it raises ends the
            run, which goes on with this epoch when it is called again.
        strategy: Devices that share each batch of both steps of "diqa" and of step 1 of
            "extended", whose step 2 takes seconds and stays on one; one device if None.
        bfloat16: Whether f computes in half precision, as `compute_in_bfloat16` lets it.
        progress: Whether to show progress bars.

    Returns:
        The trained predictor.

    Raises:
        ValueError: Another process is training in the folder, a picture is not there, too small,
            or in both parts, or a step lacks what it learns from.

    References:
        Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
            https://doi.org/10.1109/TNNLS.2018.2829819
        Liu, van de Weijer, Bagdanov: RankIQA: Learning from Rankings for No-Reference Image
            Quality Assessment. ICCV 2017 (a score that falls as a picture gets worse).
            https://doi.org/10.1109/ICCV.2017.118

    Chapter: notebooks/11-human-ratings.ipynb
    """
    path = Path(folder)
    rows, held_out = pictures.rows_of(training), pictures.rows_of(validation)
    check_enough(recipe, training, validation, pictures.quality[rows], len(pristine))
    if recipe.predictor == "diqa":
        for image_id, size in zip(training, pictures.sizes[rows].tolist(), strict=True):
            check_size(image_id, size, recipe.features.mosaic_size)
    elif recipe.statistics.copies_weight and copies is None:
        raise ValueError(
            "The extended predictor needs copies of pictures that get worse: pass what "
            "measure_copies gives, or set copies_weight to 0."
        )
    # Checkpoints lie under the name of all that they depend on.
    step_1 = fingerprint(recipe=recipe, pristine=list(pristine))
    columns = pictures.image_ids, pictures.quality, pictures.extras, pictures.sizes
    learnt = [column[part] for part in (rows, held_out) for column in columns]
    whole = fingerprint(step_1=step_1, learnt=learnt, copies=copies)
    strategy = strategy or tf.distribute.get_strategy()
    with locked_by_chief(path, strategy):
        keras.utils.set_random_seed(recipe.seed)
        with strategy.scope():
            error_map_model = build_error_map_model()
        if bfloat16:
            compute_in_bfloat16(error_map_model)
        if recipe.error_maps.epochs:
            facts = {"seed": recipe.seed, "settings": recipe.error_maps}
            name = f"error-maps-{fingerprint(pristine=list(pristine), **facts)}"
            place = Path(error_maps or path) / name
            place.mkdir(parents=True, exist_ok=True)
            # Runs that share it wait; the other workers of a run do not, for they take part in it.
            with FileLock(place / ".lock") if is_chief(strategy) else nullcontext():
                _learn_error_maps(recipe, error_map_model, pristine, place, progress)
        # What the random generator gives now must not depend on whether step 1 has just been run.
        keras.utils.set_random_seed(recipe.seed)
        keeps = recipe.predictor == "diqa" or is_chief(strategy)  # "extended": all do the same
        if recipe.predictor == "extended":
            step_2: Any = StatisticsTraining(recipe, pictures, rows, held_out)
            if recipe.statistics.copies_weight:
                place = path / f"ratings-alone-{whole}"
                _learn_ratings(step_2, place if keeps else None, progress)
                keras.utils.set_random_seed(recipe.seed)
                parts = recipe, pictures, rows, held_out, copies
                step_2 = StatisticsTraining(*parts, teacher=step_2.trained)
        else:
            trained = error_map_model.get_layer("feature_extractor")
            with strategy.scope():
                extractor = keras.models.clone_model(trained)
                extractor.set_weights(trained.get_weights())
                step_2 = FeaturesTraining(recipe, pictures, rows, held_out, extractor)
        kept = path / f"ratings-{whole}" if keeps else None
        history = _learn_ratings(step_2, kept, progress, after_epoch)
        if recipe.predictor == "diqa":
            step_2.calibrate()
    return TrainedPredictor(recipe, step_2.score_model, error_map_model, history)


def check_enough(
    recipe: RatingsRecipe,
    training: Sequence[str],
    validation: Sequence[str],
    quality: np.ndarray,
    pristine: int,
) -> None:
    """Checks what takes no time, before anything that does.

    Args:
        recipe: All settings.
        training: Ids of the pictures to learn from.
        validation: Ids of the pictures that choose the best epoch.
        quality: Ratings of the pictures to learn from.
        pristine: Number of pristine pictures.

    Raises:
        ValueError: A picture is in both parts, or a step lacks what it learns from.
    """
    if shared := set(training) & set(validation):
        raise ValueError(f"{min(shared)!r} is in training and in validation.")
    if len(training) < recipe.step_2.batch_size:
        raise ValueError(
            f"{len(training)} picture(s) to train on do not fill a batch of "
            f"{recipe.step_2.batch_size}: add pictures, or lower batch_size in the recipe."
        )
    if not len(validation):
        raise ValueError("There is no picture for validation: set some aside.")
    if np.ptp(quality) == 0:
        raise ValueError(
            f"All {len(training)} pictures to train on have the same rating: there is nothing to "
            "learn."
        )
    if recipe.error_maps.epochs and pristine < 2:
        raise ValueError(
            "Step 1 needs at least two pristine pictures: name a folder with some, or set the "
            "epochs of error_maps to 0."
        )


def _learn_error_maps(
    recipe: RatingsRecipe,
    model: keras.Model,
    pristine: Sequence[np.ndarray],
    folder: Path,
    progress: bool,
) -> None:
    """Step 1."""
    settings = recipe.error_maps
    held_out = settings.held_out(pristine)
    training = settings.learnt_from(pristine)

    def batches(pictures: Sequence[np.ndarray], size: int, **place: Any) -> tf.data.Dataset:
        return pristine_batches(
            pictures,
            batch_size=size,
            patch_size=settings.patch_size,
            exponent=settings.exponent,
            alpha=settings.alpha,
            **place,
        )

    def batches_of_epoch(epoch: int) -> tf.data.Dataset:
        first = epoch * settings.steps
        endless = batches(training, settings.patches, seed=recipe.seed, first=first)
        return endless.take(settings.steps)

    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.epochs * settings.steps, alpha=settings.last_share
    )
    with model.distribute_strategy.scope():
        optimizer = keras.optimizers.Nadam(schedule, beta_2=settings.beta_2)
    train_error_map_model(
        model,
        batches_of_epoch,
        batches(held_out, 32, seed=recipe.seed + 1).take(settings.held_out_batches).cache(),
        epochs=settings.epochs,
        optimizer=optimizer,
        folder=folder,
        progress=progress,
    )


def _learn_ratings(
    step_2: StatisticsTraining | FeaturesTraining,
    folder: Path | None,
    progress: bool,
    after_epoch: Callable[[int, np.ndarray], None] | None = None,
) -> History:
    """Step 2: trains as the loop of step 1 does, and leaves the best weights, or the last."""
    model, train_step = step_2.trained, compiled(step_2.train_step)
    checkpoints = Checkpoints(folder, model=model, **step_2.optimizers)
    history, best_weights = checkpoints.restore()
    finished = len(history["loss"])
    for batches in epochs_of(step_2.batches, finished, step_2.settings.epochs, progress=progress):
        losses = [train_step(*batch) for batch in batches]
        scores = step_2.held_out_scores()
        validation_loss = step_2.validate(scores)
        best = min(history["validation_loss"], default=np.inf)
        if validation_loss < best or not step_2.keeps_best:
            best_weights = model.get_weights()
        history["loss"].append(float(np.mean(losses)))
        history["validation_loss"].append(validation_loss)
        if after_epoch is not None:
            after_epoch(len(history["loss"]), scores)
        checkpoints.save(history, best_weights)
    model.set_weights(best_weights)
    return history
