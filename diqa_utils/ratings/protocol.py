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
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diqa_utils import datasets
from diqa_utils._internal.files import fingerprint
from diqa_utils.datasets import storage
from diqa_utils.evaluation import OVERALL, Agreement, Estimate, evaluate, full_reference_scores
from diqa_utils.metrics import MINIMUM_PAIRS_FOR_FIT

__all__ = [
    "DatabasePart",
    "Result",
    "Split",
    "evaluate_repeatedly",
    "evaluate_whole",
    "full_reference",
    "published",
    "splits",
    "to_dict",
    "to_markdown",
]

#: Shares of the references: to train (with validation) and to test.
TRAIN_AND_TEST = (80, 20)

#: Shares of the training references: to train and to choose the best epoch.
TRAIN_AND_VALIDATION = (80, 20)

#: What an infinite PSNR counts as, in decibels.
LARGEST_PSNR = 100.0

METRICS = ("srcc", "plcc", "krcc", "rmse")
UNDEFINED = "–"


@dataclass(frozen=True)
class DatabasePart:
    """The pictures to evaluate on: a database, a part of it, and how to load it.

    Attributes:
        name: Name of the database, as `datasets.available` lists it.
        split: Name of the part; "train+test", say, for a folder with both.
        data_dir: Folder for built databases, if it is not the cache folder.
        manual_dir: Folder or archive that was fetched from the owners.
        partial: Whether to accept a copy that lacks some rows.
        options: What `datasets.load` takes for "folder_iqa" only, such as `scores` and `scale`.
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

    def fingerprint(self) -> str:
        """Returns a name for these pictures and ratings: other files or options, another name."""
        root, manual = (
            None if folder is None else Path(folder).expanduser().absolute()
            for folder in (self.data_dir, self.manual_dir)
        )
        builder = storage.make_builder(
            self.name, root, manual, partial=self.partial, options=dict(self.options)
        )
        # Of a folder of one's own, or a copy in part, the path tells what was in it.
        source = Path(builder.data_path).relative_to(storage.database_root(root))
        return fingerprint(source=str(source), split=self.split, table=self.table())

    def _settings(self) -> dict[str, Any]:
        names = ("split", "data_dir", "manual_dir", "partial")
        return {name: getattr(self, name) for name in names} | dict(self.options)


@dataclass(frozen=True)
class Split:
    """The references of one repeat, each in exactly one of three parts."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """How well a method agrees with the ratings of a database.

    Attributes:
        database: Label of the part that it was tested on.
        method: Name of the method in tables.
        interval: What the values and intervals of the rows are, in words.
        rows: "overall", then the distortions in alphabetical order. Of repeats, a row has the
            median number of test pictures.
        left_out: What has no value, and why: a sentence each.
    """

    database: str
    method: str
    interval: str
    rows: tuple[Agreement, ...]
    left_out: tuple[str, ...] = ()


#: Takes a split and the number of the repeat, from 1; returns a number per test picture.
Method = Callable[[Split, int], Any]


def splits(part: DatabasePart, *, repeats: int = 10, seed: int = 0) -> list[Split]:
    """Draws the splits of a database by reference: 64 % training, 16 % validation, 20 % test.

    Test references are those of `datasets.repeated_splits` in shares of 80 to 20. With more
    repeats the first splits stay the same.

    Args:
        part: Pictures to split.
        repeats: Number of splits.
        seed: Seed of the whole list.

    Returns:
        One split per repeat, with sorted references.

    Raises:
        ValueError: The pictures have no references, there are fewer than three references, or
            `repeats` or `seed` cannot be.
    """
    table = part.table()
    if np.array_equal(table["reference_id"], table["image_id"]):
        raise ValueError(
            f"{part.label} has no references, so it cannot be split by reference: take its own "
            "split, or add the column reference or reference_id to a table of yours."
        )
    references = sorted(set(table["reference_id"].tolist()))
    drawn = []
    pairs = datasets.repeated_splits(references, TRAIN_AND_TEST, repeats=repeats, seed=seed)
    for number, (rest, test) in enumerate(pairs, start=1):
        inner_seed = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
        inner = datasets.split_by_reference(rest, TRAIN_AND_VALIDATION, seed=inner_seed)
        training, validation = map(tuple, inner)
        drawn.append(Split(training, validation, tuple(test)))
    return drawn


def evaluate_repeatedly(
    part: DatabasePart,
    method: Method,
    *,
    name: str,
    repeats: int = 10,
    seed: int = 0,
    progress: bool = True,
) -> Result:
    """Trains and tests a method on repeated splits of a database by reference.

    Args:
        part: Pictures to train and test on.
        method: Function that is called once per repeat with a split and the number of the repeat,
            from 1. It learns from `part.load(split.training)`, may choose its best epoch by
            `part.load(split.validation)`, and returns one number for each picture of
            `part.load(split.test)`, in that order, that rises with quality; (N,) or (N, 1).
        name: Name of the method in tables.
        repeats: Number of splits.
        seed: Seed of the splits.
        progress: Whether to show a progress bar.

    Returns:
        The median over repeats, overall and per distortion, with the quantiles of 2.5 % and 97.5 %.
        They say how results vary from split to split. Splits share pictures, so this is no
        confidence interval of the median.

    Raises:
        ValueError: The database cannot be split, or the method does not return one finite number
            per picture.

    References:
        Sheikh, Sabir, Bovik: A Statistical Evaluation of Recent Full Reference Image Quality
            Assessment Algorithms. IEEE Trans. Image Processing 15(11), 2006 (the logistic before
            PLCC and RMSE). https://doi.org/10.1109/TIP.2006.881959
    """
    table = part.table()
    outcomes: list[list[Agreement]] = []
    drawn = splits(part, repeats=repeats, seed=seed)
    bar = tqdm(drawn, f"{name} on {part.label}", disable=not progress)
    for number, split in enumerate(bar, start=1):
        chosen = np.isin(table["reference_id"], split.test)
        test = {column: values[chosen] for column, values in table.items()}
        place = f"repeat {number} on {part.label}"
        predictions = _checked(method(split, number), int(chosen.sum()), place)
        outcomes.append(_agreement(predictions, test, 0))
    rows, left_out = [], []
    for group in [OVERALL, *_distortions(table)]:
        measured = [row for outcome in outcomes for row in outcome if row.group == group]
        values = {metric: [getattr(row, metric).value for row in measured] for metric in METRICS}
        defined = int(np.isfinite(values["srcc"]).sum())
        if defined < repeats:
            left_out.append(
                f"{part.label}, {name}, {_in_words(group)}: {repeats - defined} of {repeats} "
                f"repeats have no value. Fewer than {MINIMUM_PAIRS_FOR_FIT} test pictures have the "
                "distortion, or all predictions or all qualities are equal."
            )
        if measured:
            images = int(np.median([row.images for row in measured]))
            medians = {metric: _median(numbers) for metric, numbers in values.items()}
            rows.append(Agreement(group, images, **medians))
    interval = f"the median and the quantiles of 2.5 % and 97.5 % of {repeats} repeat(s)"
    return Result(part.label, name, interval, tuple(rows), tuple(left_out))


def full_reference(part: DatabasePart, *, repeats: int = 10, seed: int = 0) -> list[Result]:
    """Tests PSNR and SSIM, which see the reference and learn nothing, on the same splits.

    Args:
        part: Pictures to test on.
        repeats: Number of splits.
        seed: Seed of the splits.

    Returns:
        A result per metric; none where the database has no reference pictures. The PSNR of a
        picture that equals its reference is infinite, and counts as 100 dB.

    Raises:
        ValueError: The database cannot be split.
    """
    dataset, references = part.load(), part.table()["reference_id"]
    if "reference_image" not in dataset.element_spec:
        return []
    results = []
    for metric, scores in full_reference_scores(dataset, metrics=["psnr", "ssim"]).items():
        finite = np.minimum(scores, LARGEST_PSNR)

        def of_test(split: Split, number: int, scores: np.ndarray = finite) -> np.ndarray:
            return scores[np.isin(references, split.test)]

        settings: dict[str, Any] = {"repeats": repeats, "seed": seed, "progress": False}
        results.append(evaluate_repeatedly(part, of_test, name=metric.upper(), **settings))
    return results


def evaluate_whole(
    part: DatabasePart, predictions: Any, *, name: str, resamples: int = 200
) -> Result:
    """Tests a predictor on a whole database that it was not trained on.

    See to it that the database shares no reference pictures with the training data, as TID2008 and
    TID2013 do with each other.

    Args:
        part: Pictures that were scored.
        predictions: One number for each picture of `part.load()`, in that order, that rises with
            quality; (N,) or (N, 1).
        name: Name of the predictor in tables.
        resamples: Number of bootstrap samples.

    Returns:
        Agreement overall and per distortion, with bootstrap intervals of 95 % for which whole
        references are drawn.

    Raises:
        ValueError: There is not one finite number per picture, or there are fewer than six.
    """
    table = part.table()
    checked = _checked(predictions, len(table["image_id"]), part.label)
    rows = _agreement(checked, table, resamples)
    counts = {group: int(np.sum(table["distortion"] == group)) for group in _distortions(table)}
    left_out = [
        f"{part.label}: {_in_words(group)} has no row, with {count} picture(s) only."
        for group, count in counts.items()
        if count < MINIMUM_PAIRS_FOR_FIT
    ]
    interval = "the value and its bootstrap interval of 95 %, whole references drawn"
    return Result(part.label, name, interval, tuple(rows), tuple(left_out))


def published(database: str) -> list[dict[str, str]]:
    """Returns what other authors published for a database, each number with its source.

    Those numbers come from other splits and other code: they say where the field stands, and are
    no exact rivals. Results on LIVE stand under "live_iqa", since most use the realigned scores.

    Args:
        database: Name of the database, as `datasets.available` lists it.

    Returns:
        The results in the order of their sources, each with "database", "method", "srcc", "source"
        and, where the source gives it, "plcc"; numbers as text, with the digits that are printed
        there. Empty where no result is known.
    """
    text = (Path(__file__).parent / "published_results.json").read_text(encoding="utf-8")
    # Numbers stay text, so that 0.840 keeps its last digit.
    content = json.loads(text, parse_float=str)
    rows = [row for row in content["results"] if row["database"] == database]
    return [row | {"source": content["sources"][row["source"]]} for row in rows]


def to_markdown(results: Iterable[Result], others: Iterable[dict[str, str]] = ()) -> str:
    """Returns one Markdown table: measured rows first, then published ones, marked as such.

    Args:
        results: What was measured, repeated or whole, in any mixture.
        others: What was published, to stand beside it.

    Returns:
        The table, and below it what the intervals are, what was left out and why, and the sources
        of published numbers. A dash stands where a value is not defined or not known.
    """
    results, others = list(results), list(others)
    sources = list(dict.fromkeys(other["source"] for other in others))
    cells = []
    for result in results:
        for row in result.rows:
            estimates = [getattr(row, metric) for metric in METRICS]
            values = [str(e) if np.isfinite(e.value) else UNDEFINED for e in estimates]
            place = ["measured", result.database, result.method, _in_words(row.group)]
            cells.append([*place, str(row.images), *values])
    for other in others:
        number = sources.index(other["source"]) + 1
        place = [f"published [{number}]", other["database"], other["method"], OVERALL, UNDEFINED]
        cells.append([*place, other["srcc"], other.get("plcc", UNDEFINED), UNDEFINED, UNDEFINED])
    head = [
        "numbers",
        "database",
        "method",
        "pictures",
        "images",
        *(name.upper() for name in METRICS),
    ]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *cells]]
    notes = [f"{result.database}, {result.method}: {result.interval}." for result in results]
    notes += [sentence for result in results for sentence in result.left_out]
    notes += [f"[{number}] {source}" for number, source in enumerate(sources, start=1)]
    return "\n\n".join(["\n".join(lines), *notes])


def to_dict(results: Iterable[Result], others: Iterable[dict[str, str]] = ()) -> dict[str, Any]:
    """Returns measured and published results as plain dictionaries, ready for JSON.

    Args:
        results: What was measured, repeated or whole, in any mixture.
        others: What was published, to stand beside it.

    Returns:
        A list under "measured" and one under "published". What is not defined is None.
    """
    content = {"measured": [asdict(result) for result in results], "published": list(others)}
    # JSON has no NaN: what is read in its place is None.
    return json.loads(json.dumps(content), parse_constant=lambda name: None)


def _distortions(table: dict[str, np.ndarray]) -> list[str]:
    """The distortions in order; none where there is only one, whose row would say it twice."""
    names = sorted(set(table["distortion"].tolist()))
    return names if len(names) > 1 else []


def _agreement(
    predictions: np.ndarray, table: dict[str, np.ndarray], resamples: int
) -> list[Agreement]:
    """A row for all pictures, and one for each distortion that has enough of them."""
    members = {OVERALL: np.ones(len(predictions), bool)}
    for group in _distortions(table):
        chosen = table["distortion"] == group
        if chosen.sum() >= MINIMUM_PAIRS_FOR_FIT:
            members[group] = chosen
    rows = []
    for group, chosen in members.items():
        references = table["reference_id"][chosen].tolist()
        pair = predictions[chosen], table["quality"][chosen]
        [overall] = evaluate(*pair, clusters=references, resamples=resamples)
        rows.append(replace(overall, group=group))
    return rows


def _median(values: list[float]) -> Estimate:
    """The median and the quantiles of the values that are defined."""
    defined = [value for value in values if np.isfinite(value)] or [np.nan]
    low, median, high = np.quantile(defined, [0.025, 0.5, 0.975]).tolist()
    return Estimate(median, low, high)


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


def _in_words(group: str) -> str:
    return group.replace("_", " ")
