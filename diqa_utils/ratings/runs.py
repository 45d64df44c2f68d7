"""A whole training run: from a database of ratings to a predictor that knows how far it errs.

The pictures are dealt out once: to train, to choose the best epoch (validation), and to find out
how wide an interval around a score must be (calibration). Where pictures have no reference,
`datasets.set_aside` deals them; otherwise whole references are dealt.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from filelock import FileLock
from tqdm.auto import tqdm

from diqa_utils import datasets
from diqa_utils._internal.files import (
    check_same,
    fingerprint,
    locked,
    read_arrays,
    read_json,
    remove_half_written,
    source_fingerprint,
    write_atomically,
    write_text,
)
from diqa_utils.distortions import DISTORTIONS
from diqa_utils.distribution import is_chief, locked_by_chief
from diqa_utils.evaluation import evaluate
from diqa_utils.extended import unusualness, usual_limits
from diqa_utils.image_statistics import STATISTICS
from diqa_utils.inference import RUN_PREDICTOR, Predictor, load_predictor
from diqa_utils.metrics import MINIMUM_PAIRS_FOR_FIT
from diqa_utils.predictors import DiqaPredictor, ExtendedPredictor
from diqa_utils.ratings.copies import (
    Damage,
    WorseCopies,
    damaged_at_random,
    damaged_in_every_way,
    measure_copies,
    order_of_copies,
)
from diqa_utils.ratings.learning import TrainedPredictor
from diqa_utils.ratings.pictures import (
    SOURCES,
    RatedPictures,
    check_size,
    prepare_pictures,
)
from diqa_utils.ratings.pretraining import check_pristine, pristine_pictures
from diqa_utils.ratings.protocol import (
    DatabasePart,
    Result,
    Split,
    evaluate_repeatedly,
    evaluate_whole,
    full_reference,
)
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.training import (
    check_enough,
    train_on_ratings,
)

__all__ = ["RatingsRun", "conformal_half_width", "deal_out", "load_run", "measure", "repeat"]

#: Pictures set aside for validation and for calibration; a tenth each of a small database.
SET_ASIDE = 500
SET_ASIDE_PARTS = ("validation", "calibration")

#: Where a run keeps what it is made of, within its folder, and what to do if that is damaged.
RUN_FILE = "run.json"
REMEDY = "delete it and start the same training again: it goes on where it was"

#: Of ten references, how many go to training, validation and calibration.
REFERENCES = (8, 1, 1)

#: The share of pictures whose rating is to lie in the interval around their score.
CONFIDENCE = 0.9

#: The share of calibration pictures that are usual in each of two ways; the others are flagged.
USUAL_SHARE = 0.995


@dataclass(frozen=True)
class RatingsRun:
    """What a run is made of, beside its recipe. All of it is kept in the folder of the run.

    Attributes:
        part: Database and part to learn from; what is set aside comes from it too.
        folder: Folder of the run.
        pristine: Folder of pictures without visible faults, for step 1; may be None if the recipe
            has no step 1.
        pictures: Folder for the prepared pictures, which runs on the same ones may share; one
            within the folder of the run if None.
    """

    part: DatabasePart
    folder: str
    pristine: str | None = None
    pictures: str | None = None

    def train(
        self,
        recipe: RatingsRecipe,
        *,
        strategy: tf.distribute.Strategy | None = None,
        bfloat16: bool = False,
        progress: bool = True,
    ) -> dict[str, Any]:
        """Trains, or goes on with training, and leaves the predictor in the folder of the run.

        Args:
            recipe: All settings.
            strategy: Devices that share the work, as `train_on_ratings` takes them. Workers must
                have the folder in common; the first of them writes.
            bfloat16: Whether f computes in half precision.
            progress: Whether to show progress bars.

        Returns:
            What was measured, as in `card.json`: agreement on validation, the interval and the
            share of validation pictures in it, seconds of training in this call.

        Raises:
            ValueError: The folder belongs to a run on other pictures or with another recipe, or
                there are too few pictures.
            FileNotFoundError: The database or the pristine pictures are not there.
        """
        start = time.monotonic()
        folder = Path(self.folder)
        pictures_folder = Path(self.pictures) if self.pictures else folder / "pictures"
        parts = deal_out(self.part.table())
        ids = {name: part.tolist() for name, part in parts.items()}
        check_counts(ids)
        pristine = [] if self.pristine is None else pristine_pictures(self.pristine)
        check_pictures(recipe, self.part, ids, pristine, pictures_folder, progress)
        strategy = strategy or tf.distribute.get_strategy()
        chief = is_chief(strategy)
        with locked_by_chief(folder, strategy):
            if chief:
                self.claim(recipe)
                remove_half_written(folder / RUN_PREDICTOR)
            given = recipe, self.part, ids, pristine, folder, pictures_folder, progress
            trained, pictures = train_on_part(*given, strategy=strategy, bfloat16=bfloat16)
            predictor = _as_saved(trained)
            # What is measured is what is saved, weights in half precision and all.
            saved = replace(trained, score_model=predictor.score_model)
            predictor.card |= self._card(saved, pictures, parts)
            if recipe.predictor == "extended" and pristine:
                held_out = held_out_copies(recipe, pristine, pictures_folder, progress)
                predictor.card["copies"] = _order(saved, held_out)
            predictor.card["seconds"] = round(time.monotonic() - start)
            if chief:
                predictor.save(folder / RUN_PREDICTOR)
        return predictor.card

    def claim(self, recipe: RatingsRecipe) -> None:
        """Writes what the run is made of into its folder.

        Args:
            recipe: All settings.

        Raises:
            ValueError: The folder belongs to a run that is made of something else, or the file is
                damaged.
        """
        folders = (self.part.data_dir, self.part.manual_dir, self.pristine, self.pictures)
        # Whoever resumes may stand elsewhere.
        data_dir, manual_dir, pristine, pictures = (
            folder and str(Path(folder).expanduser().absolute()) for folder in folders
        )
        settings = {
            "database": self.part.name,
            "split": self.part.split,
            "data_dir": data_dir,
            "manual_dir": manual_dir,
            "partial": self.part.partial,
            "options": dict(self.part.options),
            "pristine": pristine,
            "pictures": pictures,
            "recipe": asdict(recipe),
        }
        file = Path(self.folder) / RUN_FILE
        if file.exists():
            check_same(Path(self.folder), read_json(file, REMEDY), settings)
        write_text(file, json.dumps(settings, indent=2) + "\n")

    def _card(
        self, trained: TrainedPredictor, pictures: RatedPictures, parts: dict[str, np.ndarray]
    ) -> dict[str, Any]:
        """Measures the predictor on what was set aside."""
        rows = {part: pictures.rows_of(parts[part].tolist()) for part in SET_ASIDE_PARTS}
        quality = {part: pictures.quality[rows[part]] for part in SET_ASIDE_PARTS}
        predicted, errors = trained.predict(pictures, rows["calibration"]).T
        half = conformal_half_width(predicted / errors, quality["calibration"] / errors, CONFIDENCE)
        predicted, errors = trained.predict(pictures, rows["validation"]).T
        agreement = evaluate(predicted, quality["validation"], resamples=1000)
        return {
            "database": self.part.name,
            "split": self.part.split,
            "partial": self.part.partial,
            "pictures": {part: len(ids) for part, ids in parts.items()},
            "recipe": asdict(trained.recipe),
            "parameters": sum(math.prod(w.shape) for w in trained.score_model.trainable_weights),
            "interval": {"confidence": CONFIDENCE, "half_width": half},
            "usual": _usual(trained, pictures, rows["calibration"]),
            "validation": {
                "agreement": agreement[0].to_dict(),
                **_interval(predicted, half * errors, quality["validation"]),
            },
            "history": trained.history,
        }


def _order(trained: TrainedPredictor, copies: WorseCopies) -> dict[str, Any]:
    """How well scores put copies of held-out pristine pictures in order."""
    rows = copies.statistics.reshape(-1, len(STATISTICS))
    quality = np.clip(trained.score_model.predict(rows, verbose=0)[:, 0], 0, 1)
    number = len(copies.kinds) // len(DISTORTIONS)
    return {"pictures": number, **order_of_copies(copies, quality.reshape(len(copies.kinds), -1))}


def _interval(predicted: np.ndarray, half: np.ndarray, quality: np.ndarray) -> dict[str, Any]:
    """How wide intervals are and how many ratings they hold: of all, and of each third by score."""
    low, high = (np.clip(predicted + side, 0, 1) for side in (-half, half))
    inside = (low <= quality) & (quality <= high)
    thirds = np.array_split(inside[np.argsort(predicted)], 3)
    return {
        "inside_interval": float(inside.mean()),
        "inside_interval_by_third": [float(third.mean()) for third in thirds],
        "mean_width": float((high - low).mean()),
    }


def _usual(
    trained: TrainedPredictor, pictures: RatedPictures, rows: np.ndarray
) -> dict[str, Any] | None:
    """How far out a picture may be: None for DIQA, and where too few pictures could say it."""
    if trained.recipe.predictor != "extended" or len(rows) < USUAL_SHARE / (1 - USUAL_SHARE):
        return None
    measured = unusualness(trained.score_model, tf.constant(pictures.extras[rows], tf.float32))
    return {"share": USUAL_SHARE, "limits": usual_limits(measured.numpy(), USUAL_SHARE)}


def load_run(folder: str | PathLike[str]) -> tuple[RatingsRun, RatingsRecipe]:
    """Reads what a run is made of, to go on with it.

    Args:
        folder: Folder of the run.

    Returns:
        The run, whose folder is the one that it was read from, and its recipe.

    Raises:
        FileNotFoundError: The folder holds no run.
        ValueError: A file in it is damaged.
    """
    path = Path(folder)
    file = path / RUN_FILE
    if not file.exists():
        raise FileNotFoundError(f"There is no training run in {str(path)!r}: start one with train.")
    settings = read_json(file, REMEDY)
    try:
        recipe = RatingsRecipe.from_json(json.dumps(settings.pop("recipe")))
        pristine, pictures = settings.pop("pristine"), settings.pop("pictures")
        part = DatabasePart(settings.pop("database"), **settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(file)!r} is damaged: {REMEDY}.") from error
    return RatingsRun(part, str(path), pristine, pictures), recipe


def deal_out(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Deals the pictures of a database out to training, validation and calibration.

    Args:
        table: Table of a database, as `datasets.read_table` gives it.

    Returns:
        The ids of the pictures in "train", "validation" and "calibration". Without references:
        500 for each of the last two, or a tenth if there are fewer than 5,000 pictures, in the
        order of `datasets.set_aside`. With references: the pictures of eight, one and one tenth of
        them.

    Raises:
        ValueError: There are too few pictures or references.
    """
    ids, references = table["image_id"], table["reference_id"]
    if np.array_equal(ids, references):
        number = min(SET_ASIDE, max(1, len(ids) // 10))
        return datasets.set_aside(ids.tolist(), {"validation": number, "calibration": number})
    dealt = datasets.split_by_reference(references.tolist(), REFERENCES, seed=0)
    names = "train", "validation", "calibration"
    return {name: ids[np.isin(references, part)] for name, part in zip(names, dealt, strict=True)}


def conformal_half_width(
    predicted: np.ndarray,
    quality: np.ndarray,
    confidence: float,
) -> float:
    """Returns how far around a score the interval must reach (split conformal prediction).

    It is the k-th smallest error, k = ceil((n + 1) confidence). For new pictures like these n,
    which were not trained on either, the rating then lies in the interval with at least that
    probability. Where each score and rating is divided by the error that is expected of the score,
    what comes out is a number of expected errors, and the width depends on the picture.

    Args:
        predicted: Scores of pictures that the predictor has not learnt from, (n,).
        quality: Their ratings, (n,).
        confidence: Probability that is promised, between 0 and 1.

    Returns:
        Half of the width of the interval.

    Raises:
        ValueError: `confidence` is not between 0 and 1, or n is too small for it.

    References:
        Lei, G'Sell, Rinaldo, Tibshirani, Wasserman: Distribution-Free Predictive Inference for
            Regression. J. American Statistical Association 113(523), 2018.
            https://doi.org/10.1080/01621459.2017.1307116

    Chapter: notebooks/11-human-ratings.ipynb
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1.")
    errors = np.sort(np.abs(np.asarray(predicted, np.float64) - quality))
    number = len(errors)
    position = math.ceil((number + 1) * confidence)
    if position > number:
        interval = f"an interval of {confidence:.0%}"
        raise ValueError(f"{number} picture(s) are too few for {interval}.")
    return float(errors[position - 1])


def measure(predictor: str | PathLike[str], part: DatabasePart) -> Result:
    """Measures how well a predictor agrees with the people who rated a database.

    Every picture is scored from its pixels on, as `score` does.

    Args:
        predictor: Name that `load_pretrained` knows, or the folder of a run or of a predictor.
        part: Database to measure on, and how to load it.

    Returns:
        Agreement overall and per distortion, with bootstrap intervals.

    Raises:
        ValueError: There is no such predictor or part.
        FileNotFoundError: The database is not there.
    """
    loaded = load_predictor(predictor)
    dataset = part.load()
    scores = []
    for example in tqdm(dataset.as_numpy_iterator(), "scoring", len(dataset), leave=False):
        try:
            scores.append(loaded.score(example["distorted_image"]))
        except ValueError as error:
            raise ValueError(f"{example['image_id'].decode()!r}: {error}") from error
    return evaluate_whole(part, scores, name=_described(loaded, part))


def repeat(
    recipe: RatingsRecipe,
    part: DatabasePart,
    *,
    repeats: int,
    seed: int = 0,
    folder: str | PathLike[str],
    pristine: str | PathLike[str] | None = None,
) -> list[Result]:
    """Runs the field's protocol: trains a recipe many times on a database, and tests it.

    Args:
        recipe: All settings; its seed is that of the first repeat, and each further one adds one.
        part: Database to train and test on, and how to load it.
        repeats: Number of splits by reference.
        seed: Seed of the splits.
        folder: Where the runs of all repeats are kept; called again, it goes on.
        pristine: Folder of pictures without visible faults for step 1; the references of the
            training pictures if None.

    Returns:
        The recipe's result, then those of the full-reference metrics.

    Raises:
        ValueError: The database cannot be split, or another process is training in the folder.
    """
    root, table = Path(folder), part.table()
    clean = None if pristine is None else pristine_pictures(pristine)

    def ids_of(references: Sequence[str]) -> list[str]:
        chosen = np.isin(table["reference_id"], references)
        return table["image_id"][chosen].tolist()

    def method(split: Split, number: int) -> np.ndarray:
        ids = {"train": ids_of(split.training), "validation": ids_of(split.validation)}
        pristine = clean or _references(recipe, part, split)
        folder, pictures_folder = root / f"run-{number:03}", root / "pictures"
        check_pictures(recipe, part, ids, pristine, pictures_folder, True)
        seeded = replace(recipe, seed=recipe.seed + number - 1)
        trained, pictures = train_on_part(
            seeded, part, ids, pristine, folder, pictures_folder, True
        )
        rows = pictures.rows_of(ids_of(split.test))
        return trained.predict(pictures, rows)[:, 0]

    with locked(root):
        result = evaluate_repeatedly(
            part,
            method,
            name=recipe.predictor,
            repeats=repeats,
            seed=seed,
        )
    return [result, *full_reference(part, repeats=repeats, seed=seed)]


def train_on_part(
    recipe: RatingsRecipe,
    part: DatabasePart,
    ids: dict[str, list[str]],
    pristine: Sequence[np.ndarray],
    folder: Path,
    pictures_folder: Path,
    progress: bool,
    **settings: Any,
) -> tuple[TrainedPredictor, RatedPictures]:
    """Prepares all pictures of a part and the worse copies of some, and trains."""
    pictures = prepared_pictures(recipe, part, pictures_folder, progress)
    copies = None
    if recipe.predictor == "extended" and recipe.statistics.copies_weight:
        copies = copies_to_learn(recipe, part, ids["train"], pristine, pictures_folder, progress)
    trained = train_on_ratings(
        recipe,
        pictures,
        training=ids["train"],
        validation=ids["validation"],
        copies=copies,
        pristine=pristine,
        folder=folder,
        progress=progress,
        **settings,
    )
    return trained, pictures


def check_counts(parts: dict[str, list[str]]) -> None:
    """Raises a ValueError if what is set aside is too little to measure a predictor on."""
    fewest = next(n for n in count(1) if math.ceil((n + 1) * CONFIDENCE) <= n)
    needed = {"validation": MINIMUM_PAIRS_FOR_FIT, "calibration": fewest}
    for name, number in needed.items():
        if len(parts[name]) < number:
            total = sum(map(len, parts.values()))
            raise ValueError(
                f"Of {total} picture(s), {len(parts[name])} are set aside for {name}, and "
                f"{number} are needed: add pictures (or references, if there are any), about "
                f"{math.ceil(total * number / max(1, len(parts[name])))} in all."
            )


def check_pictures(
    recipe: RatingsRecipe,
    part: DatabasePart,
    parts: dict[str, list[str]],
    pristine: Sequence[np.ndarray],
    folder: Path,
    progress: bool,
) -> None:
    """Raises a ValueError if the pictures will not do; what is prepared already was looked at."""
    table = part.table()
    rows = np.isin(table["image_id"], parts["train"])
    check_enough(recipe, parts["train"], parts["validation"], table["quality"][rows], len(pristine))
    if _prepared_folder(recipe, part, folder).exists():
        return
    cropped = set(parts["train"]) if recipe.predictor == "diqa" else set()
    examples = part.load()
    bar = tqdm(examples, "looking at sizes", len(examples), disable=not progress, leave=False)
    for example in bar:
        image_id = example["image_id"].numpy().decode()
        shape = tuple(example["distorted_image"].shape)
        check_size(image_id, shape)
        if image_id in cropped:
            check_size(image_id, shape, recipe.features.mosaic_size)


def _prepared_folder(recipe: RatingsRecipe, part: DatabasePart, folder: Path) -> Path:
    """Where the pictures of a part are kept as a predictor takes them: a place for no others."""
    alpha = recipe.error_maps.alpha if recipe.predictor == "diqa" else None
    name = fingerprint(part=part.fingerprint(), alpha=alpha, code=source_fingerprint(*SOURCES))
    return folder / f"{recipe.predictor}-{name}"


def prepared_pictures(
    recipe: RatingsRecipe, part: DatabasePart, folder: Path, progress: bool = True
) -> RatedPictures:
    """Returns the pictures of a part as a predictor takes them, prepared if they are not there."""
    place = _prepared_folder(recipe, part, folder)
    with one_at_a_time(folder):
        if place.exists():
            return RatedPictures(place)
        return prepare_pictures(
            part.load(),
            place,
            predictor=recipe.predictor,
            alpha=recipe.error_maps.alpha,
            progress=progress,
        )


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Lets other processes that prepare pictures in a folder wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".preparing"):
        remove_half_written(folder)
        yield


def copies_to_learn(
    recipe: RatingsRecipe,
    part: DatabasePart,
    training: list[str],
    pristine: Sequence[np.ndarray],
    folder: Path,
    progress: bool = True,
) -> WorseCopies:
    """Returns worse copies of training pictures and of pristine ones, measured once."""
    number = recipe.statistics.copied_pictures
    clean = recipe.error_maps.learnt_from(pristine)
    ids = {image_id.encode() for image_id in training[:number]}
    rated = (
        picture["distorted_image"]
        for picture in part.load().as_numpy_iterator()
        if picture["image_id"] in ids
    )
    facts = {"part": part.fingerprint(), "training": training[:number], "pristine": clean}
    return _measured(damaged_at_random(rated, clean), number, folder, progress, **facts)


def held_out_copies(
    recipe: RatingsRecipe, pristine: Sequence[np.ndarray], folder: Path, progress: bool = True
) -> WorseCopies:
    """Returns copies of held-out pristine pictures, damaged in every way, measured once."""
    held_out = recipe.error_maps.held_out(pristine)
    number = len(held_out) * len(DISTORTIONS)
    jobs = damaged_in_every_way(held_out)
    return _measured(jobs, number, folder, progress, held_out=held_out)


def _measured(
    jobs: Iterable[tuple[np.ndarray, Damage, bool]],
    number: int,
    folder: Path,
    progress: bool,
    **facts: Any,
) -> WorseCopies:
    """What `measure_copies` gives, kept in a file that is named after what it was made of."""
    name = fingerprint(number=number, code=source_fingerprint(*SOURCES), **facts)
    file = folder / f"copies-{name}.npz"
    with one_at_a_time(folder):
        if not file.exists():
            copies = vars(measure_copies(jobs, number=number, progress=progress))
            write_atomically(file, lambda place: np.savez(place, **copies))
    remedy = "delete it, and the worse copies are measured anew"
    return WorseCopies(**read_arrays(file, remedy))


def _references(recipe: RatingsRecipe, part: DatabasePart, split: Split) -> list[np.ndarray]:
    """The picture of each training reference, once."""
    references: dict[bytes, np.ndarray] = {}
    for example in part.load(split.training).as_numpy_iterator():
        if "reference_image" in example:
            references.setdefault(example["reference_id"], example["reference_image"])
    if recipe.error_maps.epochs:
        for name, picture in references.items():
            check_pristine(picture, f"the reference {name.decode()!r}")
    return list(references.values())


def _as_saved(trained: TrainedPredictor) -> Any:
    """Returns the predictor as it will be after it was saved and loaded."""
    models = trained.score_model, trained.error_map_model
    with tempfile.TemporaryDirectory() as folder:
        if trained.recipe.predictor == "extended":
            ExtendedPredictor(*models).save(folder)
        else:
            DiqaPredictor(*models, alpha=trained.recipe.error_maps.alpha).save(folder)
        return load_predictor(folder)


def _described(predictor: Predictor, part: DatabasePart) -> str:
    """The kind of a predictor, what it was trained on, and whether it knows these pictures."""
    database = predictor.card.get("database", "sample_iqa")
    split = predictor.card.get("split", "train")
    seen = ", some of these pictures too" if database == part.name and split in part.split else ""
    return f"{predictor.card['predictor']}, trained on {database}{seen}"
