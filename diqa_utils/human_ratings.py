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

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils._precision import arithmetic
from diqa_utils._validation import MINIMUM_SIZE
from diqa_utils.distortions import FAMILIES, LEVELS, distort
from diqa_utils.extended import build_extended_score_model, opinions_of
from diqa_utils.image_statistics import image_statistics
from diqa_utils.maps import DEFAULT_ALPHA, DEFAULT_EXPONENT, hand_crafted_features
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.preprocessing import normalize
from diqa_utils.pretraining import pristine_batches
from diqa_utils.training import SMALLEST_VARIANCE, History, Run, train_error_map_model

__all__ = [
    "ErrorMapStage",
    "FeaturesStage",
    "RatedPictures",
    "RatingsRecipe",
    "StatisticsStage",
    "TrainedPredictor",
    "falling_statistics",
    "prepare_pictures",
    "train_on_ratings",
]

#: The two predictors that can be trained: the paper's, and the one with statistics beside it.
PREDICTORS = ("diqa", "extended")

#: The damage that a person minds whatever the picture shows.
FALLING_FAMILIES = ("blur", "compression", "noise")

#: The standard deviation of ranks that are spread evenly over 0..1.
RANK_DEVIATION = 12**-0.5

#: Enough pictures to know the mean and variance of each pooled feature.
PICTURES_TO_STANDARDIZE = 400


@dataclass(frozen=True)
class ErrorMapStage:
    """Stage 1: f learns the error maps of pristine pictures that were damaged.

    Attributes:
        epochs: stretches of batches, a checkpoint after each; 0 leaves f as it was drawn.
        steps: batches of an epoch.
        patches: in a batch.
        patch_size: in pixels.
        learning_rate: of Nadam at the start; it falls along a cosine.
        last_share: of the learning rate that is left at the end.
        beta_2: how slowly Nadam forgets the squares of past gradients.
        exponent: p of the error map.
        alpha: slope of the reliability map.
        held_out_every: every so many pictures one is held out, to choose the best epoch.
        held_out_batches: of 32 patches from these.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    epochs: int = 12
    steps: int = 300
    patches: int = 16
    patch_size: int = 112
    learning_rate: float = 1e-3
    last_share: float = 0.02
    beta_2: float = 0.99
    exponent: float = DEFAULT_EXPONENT
    alpha: float = DEFAULT_ALPHA
    held_out_every: int = 10
    held_out_batches: int = 12


@dataclass(frozen=True)
class StatisticsStage:
    """The extended predictor's stage 2: small networks learn the ratings from statistics.

    Attributes:
        epochs: passes over the training pictures.
        batch_size: pictures in a batch.
        learning_rate: of AdamW at the start; it falls to zero along a cosine.
        weight_decay: of AdamW.
        falling_pictures: training pictures of which copies that get worse are made.
        falling_batch_size: pictures in a batch of copies that get worse.
        falling_weight: of the penalty on a score that does not fall from copy to copy.
        falling_margin: by how much it must fall, in standard deviations of the ratings.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    epochs: int = 40
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    falling_pictures: int = 1200
    falling_batch_size: int = 16
    falling_weight: float = 1.0
    falling_margin: float = 0.1


@dataclass(frozen=True)
class FeaturesStage:
    """DIQA's stage 2: f and the head h learn the ratings, on random crops.

    Attributes:
        epochs: passes over the training pictures, with other crops each time.
        batch_size: crops in a batch.
        crop_size: side of the crops in pixels.
        features_learning_rate: of f, at its highest; it rises at first and falls along a cosine.
        head_learning_rate: of what comes after f, likewise.
        warm_up: steps in which the rates rise.
        weight_decay: of AdamW.
        beta_2: how slowly AdamW forgets the squares of past gradients.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    epochs: int = 6
    batch_size: int = 16
    crop_size: int = 224
    features_learning_rate: float = 3e-4
    head_learning_rate: float = 1e-3
    warm_up: int = 100
    weight_decay: float = 0.02
    beta_2: float = 0.99


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
        return _from_settings(cls, settings, "the recipe")


def _from_settings(kind: Any, settings: Any, where: str) -> Any:
    """Makes a stage or a recipe of what JSON said, checking names and types."""
    if not isinstance(settings, dict):
        raise ValueError(f"{where} must be an object with settings, not {settings!r}.")
    defaults = kind()
    known = {one.name: getattr(defaults, one.name) for one in dataclasses.fields(kind)}
    values = {}
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"{where} has no setting {name!r}; it has {', '.join(known)}.")
        default = known[name]
        if dataclasses.is_dataclass(default):
            values[name] = _from_settings(type(default), value, name)
        elif isinstance(value, bool) or not isinstance(
            value, (int, float) if isinstance(default, float) else type(default)
        ):
            wanted = {int: "a whole number", float: "a number", str: "text"}[type(default)]
            raise ValueError(f"{name} in {where} must be {wanted}, not {value!r}.")
        else:
            values[name] = type(default)(value)
    return kind(**values)


# --- Pictures -------------------------------------------------------------------------------------


class RatedPictures:
    """Pictures in the form in which a predictor takes them, in files, with their ratings.

    Pictures may differ in size. DIQA's are read from the disk as they are needed, so the memory
    that they take does not grow with their number.

    Args:
        folder: as `prepare_pictures` wrote it.

    Attributes:
        image_ids: (N,), text.
        quality: (N,), 0..1.
        extras: (N, K), what the predictor takes of each picture besides its pixels: the statistics
            of the extended predictor, which takes nothing else; [mu_r, sigma_low] of DIQA.
        sizes: (N, 2), height and width; zero for the extended predictor.

    Raises:
        FileNotFoundError: if there are no prepared pictures in the folder.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        path = Path(folder)
        if not (path / "table.npz").exists():
            raise FileNotFoundError(f"There are no prepared pictures in {str(path)!r}.")
        with np.load(path / "table.npz", allow_pickle=False) as table:
            self.image_ids, self.quality, self.extras, self.sizes = (
                table[name] for name in ("image_ids", "quality", "extras", "sizes")
            )
        self._starts = np.concatenate([[0], np.cumsum(np.prod(self.sizes, axis=1))])
        if self._starts[-1]:
            self._pixels = np.memmap(path / "pixels.float16", np.float16, mode="r")

    def __len__(self) -> int:
        return len(self.quality)

    def normalized(self, row: int) -> np.ndarray:
        """Returns the normalised picture in a row of the table, float16 (H, W, 1)."""
        flat = self._pixels[self._starts[row] : self._starts[row + 1]]
        return flat.reshape(*self.sizes[row], 1)

    def rows_of(self, image_ids: Sequence[str]) -> np.ndarray:
        """Returns the rows of some pictures, (n,).

        Raises:
            ValueError: if one of them is not there.
        """
        row_of = {name: row for row, name in enumerate(self.image_ids.tolist())}
        if missing := [name for name in image_ids if name not in row_of]:
            raise ValueError(f"{missing[0]!r} is not one of the prepared pictures.")
        return np.array([row_of[name] for name in image_ids], dtype=np.int64)


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
    examples = dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE).prefetch(8)
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

    Each picture is damaged in one way drawn from KADID-10k's blurs, compressions and noises, at
    each of the five levels.

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
    kinds = [kind for family in FALLING_FAMILIES for kind in FAMILIES[family]]
    measure = tf.function(image_statistics, reduce_retracing=True)
    found: list[np.ndarray] = []
    for picture in tqdm(
        islice(pictures, number), "worse copies", number, disable=not progress, leave=False
    ):
        rng = np.random.default_rng([seed, len(found)])
        kind, noise = str(rng.choice(kinds)), int(rng.integers(2**31))
        copies = [distort(picture, kind, level, seed=noise) for level in LEVELS]
        found.append(measure(tf.constant(np.stack([picture, *copies]))).numpy())
    if not found:
        raise ValueError("There are no pictures to make worse copies of.")
    return np.stack(found)


# --- The run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainedPredictor:
    """What a run leaves: two models, and what they were made by.

    Attributes:
        recipe: the settings of the run.
        score_model: as `build_extended_score_model` or `build_score_model` makes it, trained.
        error_map_model: as `build_error_map_model` makes it, after step 1.
        history: of stage 2: `loss` and `validation_loss`, a number per epoch.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    recipe: RatingsRecipe
    score_model: keras.Model
    error_map_model: keras.Model
    history: History

    def predict(self, pictures: RatedPictures, rows: Any = None) -> np.ndarray:
        """Predicts the quality of prepared pictures, each as a whole.

        Args:
            pictures: prepared for the same predictor.
            rows: which ones, (n,); all if None.

        Returns:
            float32 (n,), 0..1.
        """
        chosen = np.arange(len(pictures)) if rows is None else np.asarray(rows)
        if self.recipe.predictor == "extended":
            quality = self.score_model.predict(pictures.extras[chosen], verbose=0)[:, 0]
        else:
            score = _score_of_whole(self.score_model)
            with arithmetic(self.recipe.precision):
                quality = np.array(
                    [score(*_whole(pictures, row)) for row in chosen.tolist()], np.float32
                )
        return np.clip(quality, 0, 1)


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
        stage: Any = _LearnStatistics(recipe, pictures, rows, held_out, falling)
    else:
        extractor = keras.models.clone_model(error_map_model.get_layer("feature_extractor"))
        extractor.set_weights(error_map_model.get_layer("feature_extractor").get_weights())
        stage = _LearnFeatures(recipe, pictures, rows, held_out, extractor)
    run = Run(stage.trained, path / "ratings", **stage.optimizers)
    run.train(
        stage.epochs,
        stage.batches,
        tf.function(stage.step, reduce_retracing=True),
        stage.validate,
        precision=stage.precision,
        progress=progress,
    )
    return TrainedPredictor(recipe, stage.score_model, error_map_model, run.history)


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
    known = [one for number, one in enumerate(pristine) if number % stage.held_out_every]
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


class _LearnStatistics:
    """Stage 2 of the extended predictor."""

    def __init__(
        self,
        recipe: RatingsRecipe,
        pictures: RatedPictures,
        rows: np.ndarray,
        held_out: np.ndarray,
        falling: np.ndarray | None,
    ) -> None:
        self.seed, self.stage = recipe.seed, recipe.statistics
        self.precision = "float32"  # a fraction of a minute either way
        self.epochs = self.stage.epochs
        if self.stage.falling_weight and (falling is None or not len(falling)):
            raise ValueError(
                "The extended predictor needs copies of pictures that get worse: pass what "
                "falling_statistics gives, or set falling_weight to 0."
            )
        quality = pictures.quality[rows]
        self.score_model = build_extended_score_model(
            mean=float(quality.mean()), deviation=float(quality.std())
        )
        self.trained = opinions_of(self.score_model)
        _standardize(self.score_model, pictures.extras[rows])
        self.statistics, self.targets = pictures.extras[rows], _targets(quality, quality)
        self.held_out = pictures.extras[held_out]
        self.held_out_targets = _targets(pictures.quality[held_out], quality)
        self.falling = falling if self.stage.falling_weight else None
        self.steps = _steps(len(rows), self.stage.batch_size)
        schedule = keras.optimizers.schedules.CosineDecay(
            self.stage.learning_rate, self.epochs * self.steps
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=self.stage.weight_decay)
        optimizer.build(self.trained.trainable_variables)
        self.optimizers = {"optimizer": optimizer}

    def batches(self, epoch: int) -> tf.data.Dataset:
        """Returns the batches of an epoch: statistics, targets, statistics of worse copies."""
        rng = np.random.default_rng([self.seed, epoch])
        for layer in self.trained.layers:
            if isinstance(layer, keras.layers.Dropout):
                # A checkpoint does not hold what dropout draws next; so each epoch begins anew.
                layer.seed_generator.state.assign(rng.integers(2**31, size=2))
        shape = self.steps, self.stage.batch_size
        order = rng.permutation(len(self.statistics))[: shape[0] * shape[1]].reshape(shape)
        parts = [self.statistics[order], self.targets[order]]
        if self.falling is not None:
            size = self.steps, self.stage.falling_batch_size
            parts.append(self.falling[rng.integers(len(self.falling), size=size)])
        return tf.data.Dataset.from_tensor_slices(tuple(map(np.float32, parts)))

    def step(
        self, statistics: tf.Tensor, targets: tf.Tensor, falling: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Takes a step and returns the mean squared error."""
        variables = self.trained.trainable_variables
        with tf.GradientTape() as tape:
            opinions = self.trained(statistics, training=True)  # (N, members, 2)
            error = tf.reduce_mean(tf.square(opinions - targets[:, tf.newaxis]))
            loss = error
            if falling is not None:
                loss += self.stage.falling_weight * self._penalty(falling)
        gradients = tape.gradient(loss, variables)
        self.optimizers["optimizer"].apply_gradients(zip(gradients, variables, strict=True))
        return error

    def validate(self) -> float:
        """Returns the mean squared error of the mean opinion of the held-out pictures' quality."""
        opinions = self.trained.predict(self.held_out, batch_size=1024, verbose=0).mean(axis=1)
        return float(np.mean(np.square(opinions - self.held_out_targets)[:, 0]))

    def _penalty(self, falling: tf.Tensor) -> tf.Tensor:
        """The mean square of how far opinions fall short of falling from copy to copy."""
        number, copies, length = falling.shape
        flat = tf.reshape(falling, [number * copies, length])
        opinions = self.trained(flat, training=True)
        opinions = tf.reshape(opinions, [number, copies, *opinions.shape[1:]])
        missing = opinions[:, 1:] - opinions[:, :-1] + self.stage.falling_margin
        return tf.reduce_mean(tf.square(tf.nn.relu(missing)))


class _LearnFeatures:
    """Stage 2 of DIQA: the quality itself is learnt, by f and h, on random crops."""

    def __init__(
        self,
        recipe: RatingsRecipe,
        pictures: RatedPictures,
        rows: np.ndarray,
        held_out: np.ndarray,
        extractor: keras.Model,
    ) -> None:
        self.recipe, self.stage, self.precision = recipe, recipe.features, recipe.precision
        self.pictures, self.rows, self.held_out = pictures, rows, held_out
        self.epochs = self.stage.epochs
        self.steps = _steps(len(rows), self.stage.batch_size)
        self.side = min(self.stage.crop_size, int(pictures.sizes[rows].min()))
        if self.side < MINIMUM_SIZE:
            raise ValueError(
                f"Crops of {self.side} pixels are too small: {MINIMUM_SIZE} are needed."
            )
        self.score_model = self.trained = build_score_model(extractor)
        _standardize(self.score_model, self._features())
        self.of_f = extractor.trainable_variables
        known = {id(one) for one in self.of_f}
        self.of_head = [one for one in self.score_model.trainable_variables if id(one) not in known]
        total = self.epochs * self.steps
        self.optimizers = {
            "features_optimizer": _warmed_up(self.stage, self.stage.features_learning_rate, total),
            "head_optimizer": _warmed_up(self.stage, self.stage.head_learning_rate, total),
        }
        for optimizer, variables in self._in_pairs():
            optimizer.build(variables)
        self.score = _score_of_whole(self.score_model)

    def _in_pairs(self) -> Iterator[tuple[keras.Optimizer, list[Any]]]:
        return zip(self.optimizers.values(), (self.of_f, self.of_head), strict=True)

    def batches(self, epoch: int) -> tf.data.Dataset:
        """Returns the batches of an epoch: a random crop of each picture."""
        size, seed = self.stage.batch_size, self.recipe.seed
        order = np.random.default_rng([seed, epoch]).permutation(self.rows)

        def cut(number: np.ndarray) -> tuple[np.ndarray, ...]:
            rng = np.random.default_rng([seed, epoch, int(number)])
            chosen = order[number * size : (number + 1) * size]
            normalized = (self.pictures.normalized(row) for row in chosen)
            crops = np.stack([_random_crop(picture, self.side, rng) for picture in normalized])
            parts = crops, self.pictures.extras[chosen], self.pictures.quality[chosen, None]
            return tuple(part.astype(np.float32) for part in parts)

        shapes = (self.side, self.side, 1), (2,), (1,)

        def to_batch(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
            parts = tf.numpy_function(cut, [number], [tf.float32] * 3)
            return tuple(
                tf.ensure_shape(part, (size, *shape))
                for part, shape in zip(parts, shapes, strict=True)
            )

        numbers = tf.data.Dataset.range(self.steps)
        return numbers.map(to_batch, num_parallel_calls=2, deterministic=True).prefetch(4)

    def step(self, normalized: tf.Tensor, extras: tf.Tensor, quality: tf.Tensor) -> tf.Tensor:
        """Takes a step and returns the mean squared error."""
        inputs = {"normalized": normalized, "hand_crafted": extras}
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.square(self.score_model(inputs, training=True) - quality))
            # The penalty on large weights is not part of what is reported.
            loss = error + tf.add_n(self.score_model.losses)
        gradients = tape.gradient(loss, [*self.of_f, *self.of_head])
        number = len(self.of_f)
        parts = gradients[:number], gradients[number:]
        for (optimizer, variables), part in zip(self._in_pairs(), parts, strict=True):
            optimizer.apply_gradients(zip(part, variables, strict=True))
        return error

    def validate(self) -> float:
        """Returns the mean squared error of the held-out pictures, each scored as a whole."""
        with arithmetic(self.recipe.precision):
            found = [float(self.score(*_whole(self.pictures, row))) for row in self.held_out]
        return float(np.mean(np.square(np.array(found) - self.pictures.quality[self.held_out])))

    def _features(self) -> np.ndarray:
        """The numbers that the model standardises, of some training pictures as wholes: (n, K)."""
        model = self.score_model
        features = keras.Model(model.input, model.get_layer("features").output)
        predict = tf.function(
            lambda normalized, extras: features(
                {"normalized": normalized, "hand_crafted": extras}, training=False
            ),
            reduce_retracing=True,
        )
        with arithmetic(self.recipe.precision):
            some = [_whole(self.pictures, row) for row in self.rows[:PICTURES_TO_STANDARDIZE]]
            return np.concatenate([predict(*one).numpy() for one in some])


def _steps(pictures: int, batch_size: int) -> int:
    """How many whole batches there are in an epoch."""
    if pictures < batch_size:
        raise ValueError(f"{pictures} picture(s) do not fill a batch of {batch_size}.")
    return pictures // batch_size


def _targets(quality: np.ndarray, of_training: np.ndarray) -> np.ndarray:
    """Quality and rank among the training pictures, both in standard deviations: (N, 2)."""
    shares = np.linspace(0, 1, len(of_training))
    rank = np.interp(quality, np.sort(of_training), shares)
    standardized = (quality - of_training.mean()) / of_training.std()
    return np.stack([standardized, (rank - 0.5) / RANK_DEVIATION], axis=1).astype(np.float32)


def _warmed_up(stage: FeaturesStage, rate: float, total: int) -> keras.Optimizer:
    """Returns AdamW with a rate that rises for a while and then falls along a cosine."""
    warm_up = min(stage.warm_up, total // 2)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20, max(1, total - warm_up), alpha=0.01, warmup_target=rate, warmup_steps=warm_up
    )
    return keras.optimizers.AdamW(schedule, weight_decay=stage.weight_decay, beta_2=stage.beta_2)


def _random_crop(picture: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Cuts a square (side, side, 1) at random and mirrors every other one."""
    top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
    crop = picture[top : top + side, left : left + side]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _whole(pictures: RatedPictures, row: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A whole picture and its hand-crafted features, as a batch of one."""
    normalized = tf.constant(pictures.normalized(row)[None], tf.float32)
    return normalized, tf.constant(pictures.extras[row][None], tf.float32)


def _score_of_whole(score_model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns DIQA's score of a batch of one, a scalar, as a graph for pictures of any size."""

    def score(normalized: tf.Tensor, extras: tf.Tensor) -> tf.Tensor:
        inputs = {"normalized": normalized, "hand_crafted": extras}
        return score_model(inputs, training=False)[0, 0]

    return tf.function(score, reduce_retracing=True)


def _standardize(model: keras.Model, features: np.ndarray) -> None:
    """Gives the standardising layer of a model the mean and variance of features (n, K)."""
    layer = model.get_layer("standardized")
    layer.adapt(features)
    layer.adapt_variance.assign(layer.adapt_variance + SMALLEST_VARIANCE)
    layer.finalize_state()
