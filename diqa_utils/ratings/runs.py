"""A whole training run: from a database of ratings to a predictor that knows how far it errs.

The pictures are dealt out once: to train, to choose the best epoch (validation), and to find out
how wide an interval around a score must be (calibration). Where pictures have no reference,
`datasets.set_aside` deals them; otherwise whole references are dealt.

Source:
    Lei, G'Sell, Rinaldo, Tibshirani, Wasserman: Distribution-Free Predictive Inference for
        Regression. J. American Statistical Association 113(523), 2018.
        https://doi.org/10.1080/01621459.2017.1307116
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils import datasets
from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.evaluation import evaluate
from diqa_utils.inference import (
    RUN_PREDICTOR,
    ExtendedPredictor,
    Predictor,
    load_predictor,
)
from diqa_utils.ratings.pretraining import pristine_pictures
from diqa_utils.ratings.protocol import (
    DatabasePart,
    Predict,
    RepeatedResult,
    WholeResult,
    baselines,
    cross_database,
    evaluate_repeatedly,
)
from diqa_utils.ratings.training import (
    RatedPictures,
    RatingsRecipe,
    TrainedPredictor,
    _claim,
    _known_pristine,
    falling_statistics,
    prepare_pictures,
    train_on_ratings,
)

__all__ = ["RatingsRun", "conformal_half_width", "deal_out", "load_run", "measure", "repeat"]

#: Pictures set aside for validation and for calibration; a tenth each of a small database.
SET_ASIDE = 500

#: Side of the squares that are cut from pristine pictures to make worse copies of, in pixels.
SQUARE = 512

#: Of ten references, how many go to training, validation and calibration.
REFERENCES = (8, 1, 1)

#: The share of pictures whose rating is to lie in the interval around their score.
CONFIDENCE = 0.9


@dataclass(frozen=True)
class RatingsRun:
    """What a run is made of, beside its recipe. All of it is kept in the folder of the run.

    Attributes:
        part: the database and its part to learn from; what is set aside comes from it too.
        folder: of the run.
        pristine: folder of pictures without visible faults, for stage 1; may be None if the recipe
            has no stage 1.
        pictures: folder for the prepared pictures, which runs on the same ones may share; one
            within the folder of the run if None.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    part: DatabasePart
    folder: str
    pristine: str | None = None
    pictures: str | None = None

    def train(self, recipe: RatingsRecipe, *, progress: bool = True) -> dict[str, Any]:
        """Trains, or goes on with training, and leaves the predictor in the folder of the run.

        Args:
            recipe: the settings.
            progress: whether to show progress bars.

        Returns:
            What was measured, as in `card.json`: agreement on validation, the interval and the
            share of validation pictures in it, seconds of training in this call.

        Raises:
            ValueError: if the folder belongs to a run on other pictures; as `train_on_ratings`,
                `deal_out` and `datasets.load` do.
            FileNotFoundError: if the database or the pristine pictures are not there.
        """
        start = time.monotonic()
        folder = Path(self.folder)
        # First of all what `resume` needs: preparing takes long, and may be stopped too.
        _claim(folder, recipe)
        self._claim()
        pristine = [] if self.pristine is None else pristine_pictures(self.pristine)
        table = self.part.table()
        parts = deal_out(table)
        pictures = self._prepared(recipe, progress)
        self._check(pictures, table)
        trained = train_on_ratings(
            recipe,
            pictures,
            training=parts["train"].tolist(),
            validation=parts["validation"].tolist(),
            falling=self._falling(
                recipe, parts["train"], _known_pristine(recipe, pristine), progress
            ),
            pristine=pristine,
            folder=folder,
            progress=progress,
        )
        predictor = self._saved(trained)
        # What is measured is what was saved, weights in half precision and all.
        kept = replace(trained, score_model=predictor.score_model)
        card = self._card(kept, pictures, parts)
        card["seconds"] = round(time.monotonic() - start)
        predictor.card |= card
        predictor.save(folder / RUN_PREDICTOR)
        return predictor.card

    def _claim(self) -> None:
        """Writes what the run is made of; refuses the folder of a run on other pictures."""
        file = Path(self.folder) / "run.json"
        if file.exists():
            kept = load_run(self.folder)[0].part
            if (kept.name, kept.split) != (self.part.name, self.part.split):
                raise ValueError(
                    f"{self.folder!r} belongs to a run on {kept.label!r}: take another folder."
                )
        # default=str: folders may be given as paths.
        file.write_text(json.dumps(asdict(self), indent=2, default=str) + "\n")

    def _pictures_folder(self) -> Path:
        return Path(self.pictures) if self.pictures else Path(self.folder) / "pictures"

    def _prepared(self, recipe: RatingsRecipe, progress: bool) -> RatedPictures:
        return prepare_pictures(
            self.part.load(),
            self._pictures_folder() / recipe.predictor,
            predictor=recipe.predictor,
            alpha=recipe.error_maps.alpha,
            progress=progress,
        )

    def _check(self, pictures: RatedPictures, table: dict[str, np.ndarray]) -> None:
        if pictures.image_ids.tolist() != table["image_id"].tolist():
            raise ValueError(
                f"The pictures prepared in {str(self._pictures_folder())!r} are not those of "
                f"{self.part.label!r}: take another folder."
            )

    def _falling(
        self,
        recipe: RatingsRecipe,
        training: np.ndarray,
        pristine: Sequence[np.ndarray],
        progress: bool,
    ) -> np.ndarray | None:
        """Statistics of pictures and of worse copies; kept in a file."""
        number = recipe.statistics.falling_pictures
        if recipe.predictor != "extended" or not recipe.statistics.falling_weight:
            return None
        file = self._pictures_folder() / f"falling-{number}-{len(pristine)}.npy"
        if not file.exists():
            first = {name.encode() for name in training[:number]}
            rated = (
                one["distorted_image"]
                for one in self.part.load().as_numpy_iterator()
                if one["image_id"] in first
            )
            found = falling_statistics(_by_turns(rated, pristine), number=number, progress=progress)
            incomplete = file.with_name(f"incomplete-{file.name}")
            np.save(incomplete, found)
            incomplete.replace(file)
        return np.load(file)

    def _card(
        self, trained: TrainedPredictor, pictures: RatedPictures, parts: dict[str, np.ndarray]
    ) -> dict[str, Any]:
        """Measures the predictor on what was set aside."""
        predicted, quality = {}, {}
        for part in ("validation", "calibration"):
            rows = pictures.rows_of(parts[part].tolist())
            predicted[part], quality[part] = trained.predict(pictures, rows), pictures.quality[rows]
        half = conformal_half_width(predicted["calibration"], quality["calibration"], CONFIDENCE)
        inside = np.abs(predicted["validation"] - quality["validation"]) <= half
        agreement = evaluate(predicted["validation"], quality["validation"], resamples=1000)
        return {
            "database": self.part.name,
            "split": self.part.split,
            "partial": self.part.partial,
            "pictures": {part: len(ids) for part, ids in parts.items()},
            "recipe": asdict(trained.recipe),
            "parameters": sum(
                math.prod(one.shape) for one in trained.score_model.trainable_weights
            ),
            "interval": {"confidence": CONFIDENCE, "half_width": half},
            "validation": {
                "agreement": agreement[0].to_dict(),
                "inside_interval": float(inside.mean()),
            },
            "history": trained.history,
        }

    def _saved(self, trained: TrainedPredictor) -> Predictor | ExtendedPredictor:
        """Saves the predictor and returns it as it is loaded."""
        folder = Path(self.folder) / RUN_PREDICTOR
        models = trained.score_model, trained.error_map_model
        if trained.recipe.predictor == "extended":
            ExtendedPredictor(*models).save(folder)
        else:
            Predictor(*models, alpha=trained.recipe.error_maps.alpha).save(folder)
        return load_predictor(folder)


def load_run(folder: str | PathLike[str]) -> tuple[RatingsRun, RatingsRecipe]:
    """Reads what a run is made of, to go on with it.

    Args:
        folder: of the run.

    Returns:
        The run, whose folder is the one that it was read from, and its recipe.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if a file in it is damaged.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    path = Path(folder)
    files = path / "run.json", path / "recipe.json"
    if not all(file.exists() for file in files):
        raise FileNotFoundError(f"There is no training run in {str(path)!r}: start one with train.")
    try:
        settings = json.loads(files[0].read_text())
        run = RatingsRun(**settings | {"part": DatabasePart(**settings["part"])})
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{str(files[0])!r} does not describe a training run.") from error
    return replace(run, folder=str(path)), RatingsRecipe.from_json(files[1].read_text())


def deal_out(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Deals the pictures of a database out to training, validation and calibration.

    Args:
        table: as `datasets.read_table` gives it.

    Returns:
        The ids of the pictures in "train", "validation" and "calibration". Without references:
        500 for each of the last two, or a tenth if there are fewer than 5,000 pictures, in the
        order of `datasets.set_aside`. With references: the pictures of eight, one and one tenth of
        them.

    Raises:
        ValueError: if there are too few pictures or references.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    ids, references = table["image_id"], table["reference_id"]
    if np.array_equal(ids, references):
        number = min(SET_ASIDE, max(1, len(ids) // 10))
        return datasets.set_aside(ids.tolist(), {"validation": number, "calibration": number})
    dealt = datasets.split_by_reference(references.tolist(), REFERENCES, seed=0)
    names = "train", "validation", "calibration"
    return {name: ids[np.isin(references, part)] for name, part in zip(names, dealt, strict=True)}


def conformal_half_width(predicted: np.ndarray, quality: np.ndarray, confidence: float) -> float:
    """Returns how far around a score the interval must reach (split conformal prediction).

    It is the k-th smallest error, k = ceil((n + 1) confidence). For new pictures like these n, and
    like them not trained on, the rating then lies in the interval with at least that probability.

    Args:
        predicted: scores of pictures that the predictor has not learnt from, (n,).
        quality: their ratings, (n,), 0..1.
        confidence: between 0 and 1.

    Returns:
        Half of the width of the interval.

    Raises:
        ValueError: if `confidence` is not between 0 and 1, or n is too small for it.

    References:
        Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018),
        https://doi.org/10.1080/01621459.2017.1307116

    Chapter: notebooks/11-human-ratings.ipynb
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}.")
    errors = np.sort(np.abs(np.asarray(predicted, np.float64) - quality))
    position = math.ceil((len(errors) + 1) * confidence)
    if position > len(errors):
        raise ValueError(
            f"{len(errors)} picture(s) are too few for an interval of {confidence:.0%}."
        )
    return float(errors[position - 1])


def measure(predictor: str | PathLike[str], part: DatabasePart) -> WholeResult:
    """Measures how well a predictor agrees with the people who rated a database.

    Every picture is scored from its pixels on, as `score` does.

    Args:
        predictor: a name that `load_pretrained` knows, or the folder of a run or of a predictor.
        part: of which database, and how to load it.

    Returns:
        Agreement overall and per distortion, with bootstrap intervals.

    Raises:
        ValueError: if there is no such predictor or part.
        FileNotFoundError: if the database is not there.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    loaded = load_predictor(predictor)

    def predict(dataset: tf.data.Dataset) -> np.ndarray:
        pictures = tqdm(dataset.as_numpy_iterator(), "scoring", len(dataset), leave=False)
        return np.array([loaded.score(one["distorted_image"]) for one in pictures])

    return cross_database(predict, [part], method=_described(loaded, part))[0]


def repeat(
    recipe: RatingsRecipe,
    part: DatabasePart,
    *,
    repeats: int,
    seed: int,
    folder: str | PathLike[str],
    pristine: str | PathLike[str] | None = None,
) -> list[RepeatedResult]:
    """Runs the field's protocol: trains a recipe many times on a database, and tests it.

    Args:
        recipe: the settings; its seed is that of the first repeat, and each further one adds one.
        part: of which database, and how to load it.
        repeats: how many splits by reference.
        seed: of the splits.
        folder: where finished repeats and their runs are kept; called again, it goes on.
        pristine: folder of pictures without visible faults for stage 1; the references of the
            training pictures if None.

    Returns:
        The recipe's result, then those of a constant and of the full-reference metrics.

    Raises:
        ValueError: as `evaluate_repeatedly` and `train_on_ratings` do.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    root = Path(folder)

    def fit(training: tf.data.Dataset, validation: tf.data.Dataset, number: int) -> Predict:
        run = root / f"run-{number:03}"

        def prepared(dataset: tf.data.Dataset, name: str) -> RatedPictures:
            return prepare_pictures(dataset, run / name, predictor=recipe.predictor)

        known = prepared(training.concatenate(validation), "pictures")
        ids = known.image_ids.tolist()
        count = int(training.cardinality())
        rated = (one["distorted_image"] for one in training.as_numpy_iterator())
        clean = pristine_pictures(pristine) if pristine else _references(training)
        stage = recipe.statistics
        trained = train_on_ratings(
            replace(recipe, seed=recipe.seed + number - 1),
            known,
            training=ids[:count],
            validation=ids[count:],
            falling=falling_statistics(
                _by_turns(rated, _known_pristine(recipe, clean)), number=stage.falling_pictures
            )
            if recipe.predictor == "extended" and stage.falling_weight
            else None,
            pristine=clean,
            folder=run,
        )
        return lambda dataset: trained.predict(prepared(dataset, "test"))

    settings = {"recipe": asdict(recipe), "pristine": None if pristine is None else str(pristine)}
    result = evaluate_repeatedly(
        part,
        fit,
        method=recipe.predictor,
        repeats=repeats,
        seed=seed,
        folder=root / "repeats",
        settings=settings,
    )
    others = baselines(part, repeats=repeats, seed=seed, folder=root / "baselines")
    return [result, *others]


def _by_turns(rated: Iterable[np.ndarray], pristine: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields a rated picture and, where there are any, a square of a pristine one by turns."""
    rng = np.random.default_rng(0)
    for number, picture in enumerate(rated):
        yield picture
        if pristine:
            clean = pristine[number % len(pristine)]
            top, left = (int(rng.integers(max(1, side - SQUARE + 1))) for side in clean.shape[:2])
            yield np.ascontiguousarray(clean[top : top + SQUARE, left : left + SQUARE])


def _whole(database: str) -> str:
    """Returns the name of all parts of a database that are not left out by default."""
    known = CATALOG.get(database)
    return "+".join(known.splits) if known and known.splits else "rated"


def _training_part(database: str) -> str:
    """Returns the name of the part of a database to learn from."""
    known = CATALOG.get(database)
    return "train" if known and "train" in known.splits else "rated"


def _references(training: tf.data.Dataset) -> list[np.ndarray]:
    """The reference picture of each reference, once."""
    found: dict[bytes, np.ndarray] = {}
    for one in training.as_numpy_iterator():
        if "reference_image" in one:
            found.setdefault(one["reference_id"], one["reference_image"])
    return list(found.values())


def _described(predictor: Predictor | ExtendedPredictor, part: DatabasePart) -> str:
    """The kind of a predictor, what it was trained on, and whether it knows these pictures."""
    database = predictor.card.get("database", "sample_iqa")
    split = predictor.card.get("split", "train")
    known = ", some of these pictures too" if database == part.name and split in part.split else ""
    return f"{predictor.kind}, trained on {database}{known}"
