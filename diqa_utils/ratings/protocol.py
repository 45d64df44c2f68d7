"""The field's protocol: repeated splits by reference, whole other databases, and one table.

A database such as LIVE has a few dozen references, so that one split says little. The field draws
many splits, 80 % of the references to train and 20 % to test, and reports the median. Here a fifth
of the training references, 16 % of all, is kept from training to choose the best epoch; the test
references choose nothing.

Predictions are qualities in 0..1 or any number that rises with quality, and they are compared with
the database's `quality`: a good method has positive correlations everywhere, whichever way the
scores of the database run. A method that runs the wrong way shows in the sign of SRCC and KRCC
only, because the logistic before PLCC may fall as well as rise. RMSE is in the units of `quality`.

The numbers of other authors are in `published_results.json`, each with its source.

Source:
    Sheikh, Sabir, Bovik: A Statistical Evaluation of Recent Full Reference Image Quality
        Assessment Algorithms. IEEE Trans. Image Processing 15(11), 2006 (the logistic before PLCC
        and RMSE). https://doi.org/10.1109/TIP.2006.881959
"""

import csv
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils import datasets
from diqa_utils._internal.files import write_atomically
from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.evaluation import (
    FULL_REFERENCE,
    MINIMUM_SIZE_FOR_MS_SSIM,
    OVERALL,
    Agreement,
    Estimate,
    evaluate,
    full_reference_scores,
)
from diqa_utils.metrics import MINIMUM_PAIRS_FOR_FIT
from diqa_utils.ratings.protocol_results import (
    Published,
    Repeat,
    RepeatedResult,
    RepeatedRow,
    Split,
    WholeResult,
    quantiles,
)

__all__ = [
    "DatabasePart",
    "baselines",
    "cross_database",
    "evaluate_repeatedly",
    "published",
    "splits",
    "to_dict",
    "to_markdown",
]

#: Takes a dataset as `datasets.load` gives it; returns one quality per picture, in its order.
Predict = Callable[[tf.data.Dataset], Any]

#: Takes the training and the validation pictures and the number of the repeat, from 1.
FitFunction = Callable[[tf.data.Dataset, tf.data.Dataset, int], Predict]

#: Shares of the references: to train (with validation) and to test.
TRAIN_AND_TEST = (80, 20)

#: Shares of the training references: to train and to choose the best epoch.
TRAIN_AND_VALIDATION = (80, 20)


#: What an infinite PSNR counts as, in decibels, unless a finite one is larger.
LARGEST_PSNR = 100.0

METRICS = ("srcc", "plcc", "krcc", "rmse")
TITLES = {"psnr": "PSNR", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}
UNDEFINED = "–"


@dataclass(frozen=True)
class DatabasePart:
    """Which pictures to evaluate on: a database, a part of it, and how to load it.

    Attributes:
        name: one of the names that `datasets.available` lists.
        split: the part, as in `datasets.load`; "train+test", say, for a folder with both.
        data_dir: as in `datasets.load`.
        manual_dir: as in `datasets.load`.
        partial: as in `datasets.load`.
        options: of "folder_iqa" only, as in `datasets.load`: `scores`, `scale`,
            `higher_is_better`.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    name: str
    split: str = "rated"
    data_dir: str | PathLike[str] | None = None
    manual_dir: str | PathLike[str] | None = None
    partial: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name, and the part where it is not the usual one."""
        return self.name if self.split == "rated" else f"{self.name}, {self.split}"

    def load(self, references: Sequence[str] | None = None) -> tf.data.Dataset:
        """Returns the pictures in a fixed order; those of some references only, if given."""
        return datasets.load(self.name, references=references, **self._settings())

    def table(self) -> dict[str, np.ndarray]:
        """Returns everything but the pictures, in the order of `load`."""
        return datasets.read_table(self.name, **self._settings())

    def _settings(self) -> dict[str, Any]:
        names = ("split", "data_dir", "manual_dir", "partial")
        return {name: getattr(self, name) for name in names} | dict(self.options)


def splits(database: str | DatabasePart, *, repeats: int = 10, seed: int = 0) -> list[Split]:
    """Draws the splits of a database by reference: 64 % training, 16 % validation, 20 % test.

    Test references are those of `datasets.repeated_splits` in shares of 80 to 20. With more
    repeats the first splits stay the same.

    Args:
        database: its name, or which part of it and how to load it.
        repeats: how many splits.
        seed: one seed gives one list of splits.

    Returns:
        One split per repeat, with sorted references.

    Raises:
        ValueError: if the pictures have no references, there are fewer than three references, or
            `repeats` or `seed` cannot be.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    part = _as_part(database)
    return _splits(part, part.table(), repeats, seed)


def evaluate_repeatedly(
    database: str | DatabasePart,
    fit: FitFunction,
    *,
    method: str,
    repeats: int = 10,
    seed: int = 0,
    folder: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> RepeatedResult:
    """Trains and tests a method on repeated splits of a database by reference.

    Args:
        database: its name, or which part of it and how to load it.
        fit: called once per repeat with the training pictures, the validation pictures (to choose
            the best epoch) and the number of the repeat, from 1. Both are datasets as
            `datasets.load` gives them, in a fixed order: shuffle the first. It returns a function
            that takes such a dataset and returns one number per picture, in the dataset's order,
            that rises with quality; (N,) or (N, 1).
        method: its name in tables.
        repeats: how many splits.
        seed: of the splits.
        folder: where the predictions of every finished repeat are kept, as `repeat-001.csv`. Called
            again with the same folder, only what is missing is trained, also where `repeats` has
            grown. None keeps nothing.
        settings: what else makes a run another one, such as a learning rate, ready for JSON; the
            folder remembers it, and refuses others.
        progress: whether to show a progress bar.

    Returns:
        Every repeat, and the median over repeats with an interval, overall and per distortion.
        The interval runs from the lowest to the highest repeat; with 40 repeats or more, from the
        quantile of 2.5 % to that of 97.5 %. It says how results vary from split to split. Splits
        share pictures, so it is no confidence interval of the median.

    Raises:
        ValueError: as `splits` does; if the folder belongs to another run or a file in it is
            damaged, `fit` does not return a function, or that does not return one finite number
            per picture.

    References:
        Sheikh, Sabir and Bovik (2006), https://doi.org/10.1109/TIP.2006.881959

    Chapter: notebooks/11-human-ratings.ipynb
    """
    part = _as_part(database)
    table = part.table()
    drawn = _splits(part, table, repeats, seed)
    kept = _Kept(folder, _identity(part, table, method, settings) | {"seed": seed})
    done = []
    bar = tqdm(drawn, f"{method} on {part.label}", disable=not progress)
    for number, split in enumerate(bar, start=1):

        def fitted_predictions(split: Split = split, number: int = number) -> Any:
            predict = fit(part.load(split.training), part.load(split.validation), number)
            return _call(predict, part.load(split.test))

        test = _rows_of(table, split.test)
        predictions = kept.get(f"repeat-{number:03}", test["image_id"], fitted_predictions)
        done.append(Repeat(number, split, _values(predictions, test, _distortions(table))))
    return _repeated_result(part, method, seed, done, table)


def baselines(
    database: str | DatabasePart,
    *,
    metrics: Sequence[str] = ("psnr", "ssim", "ms_ssim"),
    repeats: int = 10,
    seed: int = 0,
    folder: str | PathLike[str] | None = None,
    progress: bool = True,
) -> list[RepeatedResult]:
    """Tests what learns nothing on the same splits: a constant, and metrics that see the reference.

    Every picture is scored once; each repeat takes the scores of its test pictures.

    Args:
        database: its name, or which part of it and how to load it.
        metrics: which of "psnr", "ssim" and "ms_ssim"; none for the constant alone. The PSNR of a
            picture that equals its reference is infinite, and counts as 100 dB.
        repeats: as in `evaluate_repeatedly`.
        seed: as in `evaluate_repeatedly`.
        folder: where the scores of every metric are kept, to go on from; another folder than that
            of a method. None keeps nothing.
        progress: whether to show a progress bar.

    Returns:
        The result of the constant, none of whose metrics is defined, then one per metric. A metric
        that cannot be had, because there are no reference pictures or MS-SSIM finds a picture too
        small, has a result without rows that says why it is left out.

    Raises:
        ValueError: as `splits` and `evaluation.full_reference_scores` do, or if the folder belongs
            to another run.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    part = _as_part(database)
    if unknown := [name for name in metrics if name not in FULL_REFERENCE]:
        raise ValueError(f"{unknown[0]!r} is not one of the metrics {', '.join(FULL_REFERENCE)}.")
    table = part.table()
    drawn = _splits(part, table, repeats, seed)
    kept = _Kept(folder, _identity(part, table, "baselines", None))
    results = [_fixed_result(part, "constant", seed, drawn, table, np.zeros(len(table["quality"])))]
    for name in metrics:
        if reason := _why_left_out(part, name):
            results.append(RepeatedResult(part.label, TITLES[name], seed, left_out=reason))
            continue

        def scores(name: str = name) -> np.ndarray:
            return _full_reference(part, name, progress=progress)

        values = kept.get(name, table["image_id"], scores)
        results.append(_fixed_result(part, TITLES[name], seed, drawn, table, values))
    return results


def cross_database(
    predict: Predict,
    databases: Iterable[str | DatabasePart],
    *,
    method: str,
    resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = True,
) -> list[WholeResult]:
    """Tests one predictor on whole databases that it was not trained on.

    See to it that none of them shares reference pictures with the training data, as TID2008 and
    TID2013 do with each other. `DatabasePart("biq2021", split="test")` is the official test of a
    predictor that was trained on that database's other part.

    Args:
        predict: takes a dataset as `datasets.load` gives it, and returns one number per picture,
            in the dataset's order, that rises with quality; (N,) or (N, 1).
        databases: their names, or which parts of them and how to load them.
        method: the predictor's name in tables.
        resamples: how many bootstrap samples, as in `evaluation.evaluate`.
        confidence: share of the bootstrap samples inside an interval, between 0 and 1.
        seed: of the bootstrap.
        progress: whether to show a progress bar.

    Returns:
        One result per database: overall and per distortion, with bootstrap intervals for which
        whole references are drawn.

    Raises:
        ValueError: if no database is given, `predict` does not return one finite number per
            picture, or as `evaluation.evaluate` does.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    if isinstance(databases, str | DatabasePart):
        databases = [databases]
    parts = [_as_part(database) for database in databases]
    if not parts:
        raise ValueError("databases is empty: name at least one to evaluate on.")
    bootstrap = {"resamples": resamples, "confidence": confidence, "seed": seed}
    results = []
    for part in tqdm(parts, method, disable=not progress):
        table = part.table()
        size = len(table["quality"])
        predictions = _checked(_call(predict, part.load()), size, part.label)
        names = _distortions(table)
        small = {name: int(np.sum(table["distortion"] == name)) for name in names}
        small = {name: count for name, count in small.items() if count < MINIMUM_PAIRS_FOR_FIT}
        rows = _agreement(predictions, table, names, clusters=table["reference_id"], **bootstrap)
        results.append(WholeResult(part.label, method, confidence, rows, small))
    return results


def published(database: str) -> list[Published]:
    """Returns what other authors published for a database, each number with its source.

    Those numbers come from other splits and other code: they say where the field stands, and are
    no exact rivals. Results on LIVE stand under "live_iqa", since most use the realigned scores.

    Args:
        database: one of the names that `datasets.available` lists.

    Returns:
        The results in the order of their sources; empty where none is known.

    Raises:
        ValueError: if there is no database of that name.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    if database not in CATALOG:
        raise ValueError(f"There is no database {database!r}; known: {', '.join(CATALOG)}.")
    text = (Path(__file__).parent / "published_results.json").read_text(encoding="utf-8")
    # Numbers stay text at first, so that 0.840 keeps its last digit.
    content = json.loads(text, parse_float=str)
    rows = [row for row in content["results"] if row["database"] == database]
    return [_published(row, content["sources"][row["source"]]) for row in rows]


def to_markdown(
    results: Iterable[RepeatedResult | WholeResult],
    published_results: Iterable[Published] = (),
    *,
    distortions: bool = True,
) -> str:
    """Returns one Markdown table: measured rows first, then published ones, marked as such.

    Args:
        results: of `evaluate_repeatedly`, `baselines` and `cross_database`, in any mixture.
        published_results: of `published`, to stand beside them.
        distortions: whether to give a row to every distortion; False for overall rows only.

    Returns:
        The table, and below it what the intervals are, what was left out and why, and the sources
        of published numbers. A dash stands where a value is not defined or not known.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    results, others = list(results), list(published_results)
    titles = ("", "database", "method", "pictures", "images", "repeats")
    head = [*titles, "SRCC", "PLCC", "KRCC", "RMSE"]
    lines = [_line(head), "|---|---|---|---|--:|--:|---|---|---|---|"]
    for result in results:
        rows = result.rows if distortions else result.rows[:1]
        lines += [_line(_measured_cells(result, row)) for row in rows]
    sources = list(dict.fromkeys(_source(row) for row in others))
    lines += [_line(_published_cells(row, sources.index(_source(row)) + 1)) for row in others]
    notes = list(dict.fromkeys(note for result in results for note in _notes(result)))
    notes += [f"[{number}] {source}" for number, source in enumerate(sources, start=1)]
    return "\n".join(lines + [line for note in notes for line in ("", note)])


def to_dict(
    results: Iterable[RepeatedResult | WholeResult], published_results: Iterable[Published] = ()
) -> dict[str, Any]:
    """Returns measured and published results as plain dictionaries, ready for JSON.

    Args:
        results: of `evaluate_repeatedly`, `baselines` and `cross_database`, in any mixture.
        published_results: of `published`, to stand beside them.

    Returns:
        A list under "measured" and one under "published". What is not defined is None.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    return {
        "measured": [result.to_dict() for result in results],
        "published": [asdict(row) for row in published_results],
    }


# Splits


def _as_part(database: str | DatabasePart) -> DatabasePart:
    return DatabasePart(database) if isinstance(database, str) else database


def _splits(
    part: DatabasePart, table: dict[str, np.ndarray], repeats: int, seed: int
) -> list[Split]:
    if seed < 0:
        raise ValueError(f"seed must be zero or more, not {seed}.")
    if np.array_equal(table["reference_id"], table["image_id"]):
        raise ValueError(
            f"{part.label} has no references, so it cannot be split by reference: take its own "
            "split, or add the column reference or reference_id to a table of yours."
        )
    references = sorted(set(table["reference_id"].tolist()))
    if len(references) < 3:
        raise ValueError(
            f"{part.label} has {len(references)} reference(s); training, validation and test need "
            "one each, three or more in all."
        )
    outer = datasets.repeated_splits(references, TRAIN_AND_TEST, repeats=repeats, seed=seed)
    return [_split(*pair, seed=(seed, number)) for number, pair in enumerate(outer, start=1)]


def _split(training: list[str], test: list[str], *, seed: tuple[int, int]) -> Split:
    """Sets the validation part aside and makes sure that nothing leaks."""
    inner_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    training, validation = datasets.split_by_reference(
        training, TRAIN_AND_VALIDATION, seed=inner_seed
    )
    datasets.assert_disjoint(training=training, validation=validation, test=test)
    return Split(tuple(training), tuple(validation), tuple(test))


def _rows_of(table: dict[str, np.ndarray], references: Sequence[str]) -> dict[str, np.ndarray]:
    chosen = np.isin(table["reference_id"], list(references))
    return {name: column[chosen] for name, column in table.items()}


# Agreement


def _distortions(table: dict[str, np.ndarray]) -> list[str]:
    """The distortions in order; none where there is only one, whose row would say it twice."""
    names = sorted(set(table["distortion"].tolist()))
    if OVERALL in names:
        raise ValueError(f"No distortion may be called {OVERALL!r}, the name of the row of all.")
    return names if len(names) > 1 else []


def _agreement(
    predictions: np.ndarray,
    table: dict[str, np.ndarray],
    distortions: list[str],
    *,
    clusters: np.ndarray | None = None,
    **bootstrap: Any,
) -> tuple[Agreement, ...]:
    """Returns a row for all pictures, and one for each distortion that has enough of them."""
    members = {OVERALL: np.arange(len(predictions))}
    for name in distortions:
        indices = np.flatnonzero(table["distortion"] == name)
        if len(indices) >= MINIMUM_PAIRS_FOR_FIT:
            members[name] = indices
    rows = []
    for name, indices in members.items():
        drawn = None if clusters is None else clusters[indices].tolist()
        [row] = evaluate(
            predictions[indices], table["quality"][indices], clusters=drawn, **bootstrap
        )
        estimates = {metric: getattr(row, metric) for metric in METRICS}
        rows.append(Agreement(name, row.images, **estimates))
    return tuple(rows)


def _values(
    predictions: np.ndarray, test: dict[str, np.ndarray], distortions: list[str]
) -> tuple[Agreement, ...]:
    """The rows of one repeat, which need no bootstrap."""
    return _agreement(predictions, test, distortions, resamples=0)


def _fixed_result(
    part: DatabasePart,
    method: str,
    seed: int,
    drawn: list[Split],
    table: dict[str, np.ndarray],
    scores: np.ndarray,
) -> RepeatedResult:
    """The result of scores that depend on no training."""
    done = []
    for number, split in enumerate(drawn, start=1):
        test = _rows_of(table | {"predictions": scores}, split.test)
        rows = _values(test["predictions"], test, _distortions(table))
        done.append(Repeat(number, split, rows))
    return _repeated_result(part, method, seed, done, table)


def _repeated_result(
    part: DatabasePart, method: str, seed: int, done: list[Repeat], table: dict[str, np.ndarray]
) -> RepeatedResult:
    rows = [_median_row(group, done, table) for group in [OVERALL, *_distortions(table)]]
    return RepeatedResult(part.label, method, seed, tuple(done), tuple(rows))


def _median_row(group: str, done: list[Repeat], table: dict[str, np.ndarray]) -> RepeatedRow:
    measured = [row for repeat in done for row in repeat.rows if row.group == group]
    values = {metric: [getattr(row, metric).value for row in measured] for metric in METRICS}
    estimates = {metric: _median(numbers, len(done)) for metric, numbers in values.items()}
    defined = int(np.isfinite(values["srcc"]).sum())
    return RepeatedRow(group, _sizes(group, done, table), defined, **estimates)


def _sizes(group: str, done: list[Repeat], table: dict[str, np.ndarray]) -> tuple[int, int]:
    """The smallest and the largest number of test pictures of a group in a repeat."""
    wanted = table["distortion"] == group if group != OVERALL else np.True_
    counts = [
        int(np.sum(np.isin(table["reference_id"], repeat.split.test) & wanted)) for repeat in done
    ]
    return min(counts), max(counts)


def _median(values: list[float], repeats: int) -> Estimate:
    """The median of the defined values, with the interval for so many repeats."""
    defined = [value for value in values if math.isfinite(value)]
    if not defined:
        return Estimate(math.nan, math.nan, math.nan)
    low, high = np.quantile(defined, quantiles(repeats))
    return Estimate(float(np.median(defined)), float(low), float(high))


def _call(predict: Any, dataset: tf.data.Dataset) -> Any:
    if not callable(predict):
        raise ValueError(
            f"What predicts must be a function of a dataset, not {type(predict).__name__}: let fit "
            "return one."
        )
    return predict(dataset)


def _checked(predictions: Any, size: int, place: str) -> np.ndarray:
    """Returns predictions as a float64 vector (N,); raises if they are not one per picture."""
    values = np.asarray(predictions, np.float64)
    if values.shape not in ((size,), (size, 1)):
        raise ValueError(
            f"{place}: the predictions have shape {values.shape} for {size} pictures; give one "
            "number per picture, in the order of the dataset."
        )
    values = values.reshape(size)
    if not np.isfinite(values).all():
        position = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"{place}: prediction {position} is {values[position]}; every picture needs a finite "
            "number."
        )
    return values


def _full_reference(part: DatabasePart, name: str, *, progress: bool) -> np.ndarray:
    """Scores all pictures with one metric."""
    dataset = part.load()
    title = f"{TITLES[name]} on {part.label}"
    # iter(): given the dataset itself, tqdm begins two passes where one is meant.
    pictures = tqdm(iter(dataset), title, len(dataset), disable=not progress, leave=False)
    scores = full_reference_scores(pictures, metrics=[name])[name]
    finite = scores[np.isfinite(scores)]
    return np.where(np.isposinf(scores), max([LARGEST_PSNR, *finite]), scores)


def _why_left_out(part: DatabasePart, name: str) -> str:
    """Says why a metric cannot be had on these pictures; nothing if it can."""
    dataset = part.load()
    if "reference_image" not in dataset.element_spec:
        return f"{TITLES[name]} is left out on {part.label}: there are no reference pictures."
    if name != "ms_ssim":
        return ""
    side = _smallest_side(dataset)
    if side >= MINIMUM_SIZE_FOR_MS_SSIM:
        return ""
    return (
        f"MS-SSIM is left out on {part.label}: it needs {MINIMUM_SIZE_FOR_MS_SSIM} pixels a side, "
        f"and the smallest picture has {side}."
    )


def _smallest_side(dataset: tf.data.Dataset) -> int:
    shape = dataset.element_spec["reference_image"].shape
    if None not in shape:
        return min(shape[:2])
    sides = dataset.map(lambda features: tf.reduce_min(tf.shape(features["reference_image"])[:2]))
    return int(min(sides.as_numpy_iterator()))


# What a folder keeps


def _identity(
    part: DatabasePart,
    table: dict[str, np.ndarray],
    method: str,
    settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What makes a run another one, but for the number of its repeats."""
    columns = ("image_id", "reference_id", "distortion", "quality")
    content = json.dumps([table[name].tolist() for name in columns])
    return {
        "database": part.label,
        "pictures": hashlib.sha256(content.encode()).hexdigest()[:12],
        "method": method,
        "settings": dict(settings or {}),
    }


class _Kept:
    """Predictions kept in a folder that belongs to one run; without a folder, nothing is kept."""

    def __init__(self, folder: str | PathLike[str] | None, identity: dict[str, Any]) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is None:
            return
        try:
            text = json.dumps(identity, indent=1, sort_keys=True)
        except TypeError as error:
            raise ValueError(f"settings must be ready for JSON: {error}.") from error
        path = self.folder / "run.json"
        if path.exists():
            self._check(path, json.loads(text))
        elif foreign := sorted(self.folder.glob("*.csv")):
            raise ValueError(
                f"{str(self.folder)!r} holds {foreign[0].name!r} and no run.json, which would say "
                "whose it is: take another folder."
            )
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda place: _write_text(place, text))

    def get(self, name: str, image_ids: np.ndarray, compute: Callable[[], Any]) -> np.ndarray:
        """Reads predictions, one per picture; computes and keeps them where they are missing."""
        if self.folder is None:
            return _checked(compute(), len(image_ids), name)
        path = self.folder / f"{name}.csv"
        if path.exists():
            return _read_predictions(path, image_ids)
        predictions = _checked(compute(), len(image_ids), name)
        write_atomically(path, lambda place: _write_predictions(place, image_ids, predictions))
        return predictions

    def _check(self, path: Path, identity: dict[str, Any]) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            different = [key for key in identity if found[key] != identity[key]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{str(path)!r} is damaged: take another folder.") from error
        if different:
            key = different[0]
            raise ValueError(
                f"{str(path.parent)!r} belongs to a run whose {key} is {found[key]!r}, not "
                f"{identity[key]!r}: take another folder, or the settings of that run."
            )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")


def _write_predictions(path: Path, image_ids: np.ndarray, predictions: np.ndarray) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "prediction"])
        # repr() of a float reads back as the same float.
        writer.writerows(zip(image_ids.tolist(), map(repr, predictions.tolist()), strict=True))


def _read_predictions(path: Path, image_ids: np.ndarray) -> np.ndarray:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        same = [row["image_id"] for row in rows] == image_ids.tolist()
        predictions = np.array([float(row["prediction"]) for row in rows])
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{str(path)!r} is damaged: delete it to make it again.") from error
    if not same:
        raise ValueError(f"{str(path)!r} has other pictures: delete it to make it again.")
    return _checked(predictions, len(image_ids), str(path))


# Tables


def _published(row: dict[str, Any], source: dict[str, Any]) -> Published:
    return Published(
        database=row["database"],
        method=row["method"],
        kind=source["kind"],
        srcc=float(row["srcc"]),
        plcc=float(row["plcc"]) if "plcc" in row else None,
        digits=len(row["srcc"].partition(".")[2]),
        approximate=row.get("approximate", False),
        source=source["text"],
        url=source.get("url"),
    )


def _measured_cells(
    result: RepeatedResult | WholeResult, row: RepeatedRow | Agreement
) -> list[object]:
    if isinstance(row, RepeatedRow) and isinstance(result, RepeatedResult):
        low, high = row.images
        images = str(low) if low == high else f"{low} to {high}"
        repeats = f"{row.repeats} of {len(result.repeats)}"
    else:
        images, repeats = str(row.images), UNDEFINED
    estimates = [getattr(row, metric) for metric in METRICS]
    values = [str(e) if math.isfinite(e.value) else UNDEFINED for e in estimates]
    group = row.group.replace("_", " ")
    return ["measured", result.database, result.method, group, images, repeats, *values]


def _published_cells(row: Published, number: int) -> list[object]:
    about = "about " if row.approximate else ""
    values = [
        UNDEFINED if value is None else f"{about}{value:.{row.digits}f}"
        for value in (row.srcc, row.plcc)
    ]
    unknown = [UNDEFINED, UNDEFINED]
    return [f"published [{number}]", row.database, row.method, OVERALL, *unknown, *values, *unknown]


def _notes(result: RepeatedResult | WholeResult) -> list[str]:
    """What a reader of the table must know of a result."""
    if isinstance(result, WholeResult):
        notes = [f"A whole database: the value and {result.interval}."]
        for name, count in result.left_out.items():
            group = name.replace("_", " ")
            notes.append(f"{result.database}: {group} is left out, with {count} picture(s) only.")
        return notes
    if result.left_out:
        return [result.left_out]
    notes = [f"Repeated splits by reference: the median and, in brackets, {result.interval}."]
    if any(row.repeats < len(result.repeats) for row in result.rows):
        notes.append(
            "A repeat is left out of a row where all predictions or all qualities are equal, or "
            f"fewer than {MINIMUM_PAIRS_FOR_FIT} test pictures have the distortion."
        )
    return notes


def _source(row: Published) -> str:
    return row.source + (f" {row.url}" if row.url else "")


def _line(cells: Iterable[object]) -> str:
    texts = (" ".join(str(cell).split()).replace("|", r"\|") for cell in cells)
    return "| " + " | ".join(texts) + " |"
