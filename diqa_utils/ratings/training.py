"""Training on human ratings: the recipe of a run, the pictures it is fed with, and the run.

There are two predictors to train:

- "diqa", as the paper has it: f learns error maps, for which nobody has to be asked (step 1); then
  f and the head h learn the ratings (step 2), here on random crops.
- "extended": the small networks of `extended` learn the ratings from the statistics of pictures.
  People rated photographs as they are, not copies that somebody compressed more and more; so each
  step also looks at copies of a few pictures, worse from one to the next, and the score must fall
  from each to the next.

Both keep the error-map model of step 1, which shows where a picture looks damaged. Every stage of a
run goes on where it was stopped.

Sources:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
    Liu, van de Weijer, Bagdanov: RankIQA: Learning from Rankings for No-Reference Image Quality
        Assessment. ICCV 2017 (a score that falls as a picture gets worse).
        https://doi.org/10.1109/ICCV.2017.118
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils._internal.tensorflow import arithmetic, as_it_is, compiled, untuned
from diqa_utils.distortions import FAMILIES, LEVELS, distort
from diqa_utils.image_statistics import image_statistics
from diqa_utils.maps import DEFAULT_ALPHA, hand_crafted_features
from diqa_utils.models import build_error_map_model
from diqa_utils.preprocessing import normalize
from diqa_utils.ratings.learning import LearnFeatures, LearnStatistics, TrainedPredictor
from diqa_utils.ratings.pictures import RatedPictures
from diqa_utils.ratings.pretraining import pristine_batches
from diqa_utils.ratings.recipe import ErrorMapStage, FeaturesStage, StatisticsStage, from_settings
from diqa_utils.training import Checkpoints, History, epochs_of, train_error_map_model

__all__ = [
    "RatingsRecipe",
    "falling_statistics",
    "prepare_pictures",
    "train_on_ratings",
]

#: The two predictors that can be trained: the paper's, and the one that goes by statistics.
PREDICTORS = ("diqa", "extended")

#: The damage that a person minds whatever the picture shows.
FALLING_FAMILIES = ("blur", "compression", "noise")


@dataclass(frozen=True)
class RatingsRecipe:
    """Every setting of a training run on human ratings.

    The recipe, the pictures and the machine settle the run: the same three give the same weights.

    Attributes:
        predictor: "extended", or "diqa" for the network of the paper.
        seed: of weights, order, patches and crops.
        precision: of the convolutions of f, as in `train_error_map_model`.
        error_maps: stage 1.
        statistics: stage 2 of "extended".
        features: stage 2 of "diqa".

    Raises:
        ValueError: if a setting cannot be.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    predictor: str = "extended"
    seed: int = 0
    precision: str = "auto"
    error_maps: ErrorMapStage = field(default_factory=ErrorMapStage)
    statistics: StatisticsStage = field(default_factory=StatisticsStage)
    features: FeaturesStage = field(default_factory=FeaturesStage)

    def __post_init__(self) -> None:
        if self.predictor not in PREDICTORS:
            known = " or ".join(PREDICTORS)
            raise ValueError(f"predictor must be {known}, not {self.predictor!r}.")
        if self.seed < 0:
            raise ValueError(f"seed must be zero or more, not {self.seed}.")

    def to_json(self) -> str:
        """Returns the recipe as JSON text that `from_json` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RatingsRecipe:
        """Reads a recipe.

        Args:
            text: an object with some or all settings; the others are as they are by default.

        Returns:
            The recipe.

        Raises:
            ValueError: if the text is no JSON object, or names a setting that does not exist or
                has another type.
        """
        try:
            settings = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"The recipe is not JSON: {error}.") from error
        return from_settings(cls, settings, "the recipe")


# --- Pictures -------------------------------------------------------------------------------------


def prepare_pictures(
    dataset: tf.data.Dataset,
    folder: str | PathLike[str],
    *,
    predictor: str = "extended",
    alpha: float = DEFAULT_ALPHA,
    progress: bool = True,
) -> RatedPictures:
    """Turns the pictures of a database into what a predictor takes, and keeps that in files.

    Args:
        dataset: pictures of a database, as `datasets.load` gives them.
        folder: where they are kept: for DIQA two megabytes for each megapixel, for the extended
            predictor less than one kilobyte for each picture. What is there already is taken as it
            is.
        predictor: for which one, "extended" or "diqa".
        alpha: slope of the reliability map, for DIQA's mu_r.
        progress: whether to show a progress bar.

    Returns:
        The pictures.

    Raises:
        ValueError: if there are no pictures, or one is too small.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    path = Path(folder)
    if (path / "table.npz").exists():
        return RatedPictures(path)

    def example(features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        picture = features["distorted_image"]
        if predictor == "extended":
            normalized, extras = tf.zeros((0, 0, 1)), image_statistics(picture)
        else:
            normalized = normalize(picture)
            extras = hand_crafted_features(picture, alpha=alpha)
        pixels = tf.cast(normalized, tf.float16)
        return pixels, extras, features["quality"], features["image_id"]

    half_made = path.with_name(f"incomplete-{path.name}")
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(parents=True)
    examples = dataset.map(as_it_is(example), num_parallel_calls=tf.data.AUTOTUNE)
    examples = untuned(examples.prefetch(8))
    number = max(0, int(dataset.cardinality())) or None
    sizes, rows = [], []
    with open(half_made / "pixels.float16", "wb") as file:
        for pixels, *row in tqdm(
            examples.as_numpy_iterator(), "preparing", number, disable=not progress, leave=False
        ):
            file.write(pixels.tobytes())
            sizes.append(pixels.shape[:2])
            rows.append(row)
    if not rows:
        raise ValueError("The dataset is empty: there is nothing to prepare.")
    extras, quality, image_ids = zip(*rows, strict=True)
    np.savez(
        half_made / "table.npz",
        sizes=np.array(sizes),
        extras=np.stack(extras),
        quality=np.array(quality),
        image_ids=np.array([name.decode() for name in image_ids]),
    )
    half_made.rename(path)
    return RatedPictures(path)


def falling_statistics(
    pictures: Iterable[np.ndarray],
    *,
    number: int,
    seed: int = 0,
    progress: bool = True,
) -> np.ndarray:
    """Measures pictures and copies of them that get worse level by level.

    Each picture is damaged in one way, at each of the five levels: one of KADID-10k's blurs,
    compressions or noises, each of these families as often as the others.

    Args:
        pictures: uint8 (H, W, 3).
        number: how many of them to take, from the first on.
        seed: of the draw and of the noise.
        progress: whether to show a progress bar.

    Returns:
        float32 (n, 6, 198): of each picture the statistics, as `image_statistics` gives them, of
        itself and of its five copies; n is `number`, or less if there are fewer pictures.

    Raises:
        ValueError: if there is no picture, or as `image_statistics` does.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    measure = compiled(image_statistics)

    def worse_copies(numbered: tuple[int, np.ndarray]) -> np.ndarray:
        index, picture = numbered
        rng = np.random.default_rng([seed, index])
        kind = str(rng.choice(FAMILIES[str(rng.choice(FALLING_FAMILIES))]))
        noise = int(rng.integers(2**31))
        copies = [distort(picture, kind, level, seed=noise) for level in LEVELS]
        return np.stack([picture, *copies])

    numbered = enumerate(islice(pictures, number))
    found: list[np.ndarray] = []
    with (
        ThreadPoolExecutor() as pool,
        tqdm(total=number, desc="worse copies", disable=not progress, leave=False) as bar,
    ):
        while some := list(islice(numbered, 8)):
            for copies in pool.map(worse_copies, some):
                found.append(measure(tf.constant(copies)).numpy())
                bar.update()
    if not found:
        raise ValueError("There are no pictures to make worse copies of.")
    return np.stack(found)


def _known_pristine(recipe: RatingsRecipe, pristine: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the pristine pictures that a run learns from: all but those that it holds out.

    Args:
        recipe: says how many are held out.
        pristine: all of them.

    Returns:
        Those that are not held out.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    every = recipe.error_maps.held_out_every
    return [one for number, one in enumerate(pristine) if number % every]


# --- The run --------------------------------------------------------------------------------------


def train_on_ratings(
    recipe: RatingsRecipe,
    pictures: RatedPictures,
    *,
    training: Sequence[str],
    validation: Sequence[str],
    falling: np.ndarray | None = None,
    pristine: Sequence[np.ndarray] = (),
    folder: str | PathLike[str],
    progress: bool = True,
) -> TrainedPredictor:
    """Trains a predictor of quality on pictures that people have rated.

    Args:
        recipe: the settings.
        pictures: prepared for the recipe's predictor.
        training: ids of the pictures to learn from.
        validation: ids of the pictures that choose the best epoch and nothing else.
        falling: what `falling_statistics` gives of training pictures; needed by "extended", unless
            its recipe's `falling_weight` is zero.
        pristine: pictures without visible faults for stage 1, as `pristine_pictures` reads them.
        folder: where the run keeps recipe, checkpoints, history and weights. Called again with the
            same folder, it goes on after the last epoch that was finished, and ends with the same
            weights as a run that was never stopped.
        progress: whether to show progress bars.

    Returns:
        The predictor with the weights of its best epoch.

    Raises:
        ValueError: if the folder belongs to a run with another recipe, a picture is not there,
            one is in both parts, or a stage lacks what it learns from.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819
        Liu, van de Weijer and Bagdanov (2017), https://doi.org/10.1109/ICCV.2017.118

    Chapter: notebooks/11-human-ratings.ipynb
    """
    path = Path(folder)
    if shared := set(training) & set(validation):
        raise ValueError(f"{min(shared)!r} is in training and in validation.")
    rows, held_out = pictures.rows_of(training), pictures.rows_of(validation)
    _claim(path, recipe)
    keras.utils.set_random_seed(recipe.seed)
    error_map_model = build_error_map_model()
    if recipe.error_maps.epochs:
        _learn_error_maps(recipe, error_map_model, pristine, path / "error-maps", progress)
    # What the random generator gives now must not depend on whether stage 1 has just been run.
    keras.utils.set_random_seed(recipe.seed)
    if recipe.predictor == "extended":
        stage: Any = LearnStatistics(recipe, pictures, rows, held_out, falling)
    else:
        extractor = keras.models.clone_model(error_map_model.get_layer("feature_extractor"))
        extractor.set_weights(error_map_model.get_layer("feature_extractor").get_weights())
        stage = LearnFeatures(recipe, pictures, rows, held_out, extractor)
    history = _learn_ratings(stage, path / "ratings", progress)
    return TrainedPredictor(recipe, stage.score_model, error_map_model, history)


def _learn_ratings(stage: Any, folder: Path, progress: bool) -> History:
    """Trains as the loop of step 1 does, and leaves the model with its best weights."""
    model, step = stage.trained, compiled(stage.step)
    checkpoints = Checkpoints(folder, model=model, **stage.optimizers)
    history, best_weights = checkpoints.restore()
    done = len(history["loss"])
    for batches in epochs_of(stage.batches, done, stage.epochs, progress=progress):
        with arithmetic(stage.precision):
            losses = [step(*batch) for batch in batches]
        validation_loss = stage.validate()
        if validation_loss < min(history["validation_loss"], default=np.inf):
            best_weights = model.get_weights()
        history["loss"].append(float(np.mean(losses)))
        history["validation_loss"].append(validation_loss)
        checkpoints.save(history)
    model.set_weights(best_weights)
    return history


def _claim(folder: Path, recipe: RatingsRecipe) -> None:
    """Writes the recipe beside what the run will keep; refuses the folder of another one."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.json"
    if file.exists() and RatingsRecipe.from_json(file.read_text()) != recipe:
        raise ValueError(f"{str(folder)!r} belongs to a run with another recipe: take another one.")
    file.write_text(recipe.to_json())


def _learn_error_maps(
    recipe: RatingsRecipe,
    model: keras.Model,
    pristine: Sequence[np.ndarray],
    folder: Path,
    progress: bool,
) -> None:
    """Stage 1."""
    stage = recipe.error_maps
    held_out = pristine[:: stage.held_out_every]
    known = _known_pristine(recipe, pristine)
    if not known:
        raise ValueError(
            "Stage 1 needs at least two pristine pictures: name a folder with some, or set the "
            "epochs of error_maps to 0."
        )

    def batches(some: Sequence[np.ndarray], size: int, **settings: Any) -> tf.data.Dataset:
        return pristine_batches(
            some,
            batch_size=size,
            patch_size=stage.patch_size,
            exponent=stage.exponent,
            alpha=stage.alpha,
            **settings,
        )

    def of_epoch(epoch: int) -> tf.data.Dataset:
        first = epoch * stage.steps
        return batches(known, stage.patches, seed=recipe.seed, first=first).take(stage.steps)

    schedule = keras.optimizers.schedules.CosineDecay(
        stage.learning_rate, stage.epochs * stage.steps, alpha=stage.last_share
    )
    train_error_map_model(
        model,
        of_epoch,
        batches(held_out, 32, seed=recipe.seed + 1).take(stage.held_out_batches).cache(),
        epochs=stage.epochs,
        optimizer=keras.optimizers.Nadam(schedule, beta_2=stage.beta_2),
        folder=folder,
        precision=recipe.precision,
        progress=progress,
    )
