"""What the field's protocol gives: repeats, medians, and what others have published."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from diqa_utils.evaluation import Agreement, Estimate

#: Below so many repeats, a quantile of 2.5 % lies between the lowest two and says no more.
REPEATS_FOR_QUANTILES = 40


@dataclass(frozen=True)
class Split:
    """The references of one repeat, each in exactly one of three parts.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Repeat:
    """One repeat: its number from 1, its split, and the agreement on its test pictures.

    Its rows carry values without intervals. A distortion with fewer than six test pictures has
    no row.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    number: int
    split: Split
    rows: tuple[Agreement, ...]


@dataclass(frozen=True)
class RepeatedRow:
    """All pictures, or those of one distortion, over the repeats.

    Attributes:
        group: "overall" or a distortion.
        images: the smallest and the largest number of test pictures in a repeat.
        repeats: in how many repeats SRCC is defined; others are left out of the row. It is not
            where all predictions are equal or a distortion has fewer than six test pictures.
        srcc: the median over the repeats, with the interval that the result names.
        plcc: likewise, after the five-parameter logistic.
        krcc: likewise.
        rmse: likewise, after the logistic, in units of `quality`.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    group: str
    images: tuple[int, int]
    repeats: int
    srcc: Estimate
    plcc: Estimate
    krcc: Estimate
    rmse: Estimate


@dataclass(frozen=True)
class RepeatedResult:
    """How a method did over repeated splits.

    Attributes:
        database: what it was trained and tested on.
        method: its name in tables.
        seed: of the splits.
        repeats: each with its split and its rows.
        rows: "overall", then the distortions in alphabetical order; empty if left out.
        left_out: why the method was left out, in a sentence; empty if it was not.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    database: str
    method: str
    seed: int
    repeats: tuple[Repeat, ...] = ()
    rows: tuple[RepeatedRow, ...] = ()
    left_out: str = ""

    @property
    def interval(self) -> str:
        """What the intervals of the rows are, in words."""
        return _interval_in_words(len(self.repeats))

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain dictionaries, ready for JSON; None where not defined."""
        words = {"protocol": "repeated splits by reference", "interval": self.interval}
        return words | _plain(asdict(self))


@dataclass(frozen=True)
class WholeResult:
    """How a predictor did on a whole database that it was not trained on.

    Attributes:
        database: what it was tested on.
        method: its name in tables.
        confidence: share of the bootstrap samples inside the intervals of the rows.
        rows: "overall", then the distortions in alphabetical order.
        left_out: distortions with fewer than six pictures, which have no row, and their numbers.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    database: str
    method: str
    confidence: float
    rows: tuple[Agreement, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def interval(self) -> str:
        """What the intervals of the rows are, in words."""
        return f"the bootstrap interval of {self.confidence:.0%}, whole references drawn"

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain dictionaries, ready for JSON; None where not defined."""
        return {"protocol": "whole database", "interval": self.interval} | _plain(asdict(self))


@dataclass(frozen=True)
class Published:
    """A result that other authors published, for all distortions together.

    Attributes:
        database: by the library's name.
        method: as its authors call it.
        kind: "no-reference" or "full-reference".
        srcc: above zero for a good method, as everywhere in the library.
        plcc: likewise; None where the source does not give it.
        digits: how many decimals the source prints.
        approximate: True where the source gives the number with "about".
        source: where the number stands, in words, and how it was taken.
        url: of the source; None where none is known.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    database: str
    method: str
    kind: str
    srcc: float
    plcc: float | None
    digits: int
    approximate: bool
    source: str
    url: str | None


def quantiles(repeats: int) -> tuple[float, float]:
    """Which quantiles of the repeats are the ends of an interval."""
    return (0.0, 1.0) if repeats < REPEATS_FOR_QUANTILES else (0.025, 0.975)


def _interval_in_words(repeats: int) -> str:
    if repeats < REPEATS_FOR_QUANTILES:
        return f"from the lowest to the highest of {repeats} repeat(s)"
    return f"from the quantile of 2.5 % to that of 97.5 % of {repeats} repeats"


# Predictions


def _plain(value: Any) -> Any:
    """Replaces what JSON does not know: NaN by None, and tuples by lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
