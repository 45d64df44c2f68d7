"""The rows of a database: what its score files say about each picture, checked."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from diqa_utils.datasets.database import Database

#: Whole numbers are stored in 32 bits.
LARGEST_WHOLE_NUMBER = 2**31 - 1

#: What people's scales are, from the narrowest, to be proposed where a score is off the scale.
USUAL_SCALES = ((0, 1), (1, 5), (0, 5), (1, 10), (0, 10), (0, 100))

#: How many problems a message lists before it says how many more there are.
PROBLEMS_IN_A_MESSAGE = 5


@dataclass(frozen=True)
class Row:
    """What the files of a database say about one picture.

    `distorted` and `reference` name files; `place` says where the row stands, for messages.
    """

    place: str
    distorted: str
    image_id: str
    reference_id: str
    distortion: str
    level: int
    score: float
    reference: str | None = None
    score_std: float | None = None
    split: str = "rated"
    flagged: bool = False


def to_number(text: object, *, place: str, column: str) -> float:
    """Reads a finite number, or raises a ValueError that says where there is none."""
    try:
        number = float(str(text).strip())
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{place}: {column} is {text!r}, which is no number.")
    return number


def to_whole_number(text: object, *, place: str, column: str) -> int:
    """Reads a whole number, or raises a ValueError that says where there is none."""
    number = to_number(text, place=place, column=column)
    if not number.is_integer() or abs(number) > LARGEST_WHOLE_NUMBER:
        raise ValueError(f"{place}: {column} is {text!r}, which is no whole number.")
    return int(number)


def row_problems(rows: Sequence[Row], database: Database) -> Iterator[str]:
    """Yields what is wrong with single rows: ids that occur twice, scores off the scale."""
    seen: dict[str, str] = {}
    remedy = _other_scale(rows) if database.name == "folder_iqa" else ""
    for row in rows:
        if row.image_id in seen:
            yield f"{row.place}: {row.image_id!r} is there already, in {seen[row.image_id]}."
        seen[row.image_id] = row.place
        if row.score_std is not None and row.score_std < 0:
            yield f"{row.place}: the deviation {row.score_std:g} is less than zero."
        # The score of a flagged row may be no opinion: LIVE's pristine copies have 0.
        if not row.flagged and row.score not in database.scale:
            scale = f"{database.scale.lowest:g} to {database.scale.highest:g}"
            yield f"{row.place}: the score {row.score:g} is outside of the scale, {scale}{remedy}."
            remedy = ""


def _other_scale(rows: Sequence[Row]) -> str:
    """Says which scale the scores look like, and how to choose it."""
    scores = [row.score for row in rows] or [0.0]
    least, most = min(scores), max(scores)
    fitting = [pair for pair in USUAL_SCALES if pair[0] <= least and most <= pair[1]]
    low, high = fitting[0] if fitting else (math.floor(least), math.ceil(most))
    return (
        f". The scores run from {least:g} to {most:g}: if they can lie between {low} and {high}, "
        f"say --scale {low} {high} (scale=({low}, {high}) in Python)"
    )


def picture_names(rows: Iterable[Row]) -> list[str]:
    """Returns the files of the pictures and references of rows, each once."""
    names = (name for row in rows for name in (row.distorted, row.reference) if name)
    return list(dict.fromkeys(names))


def part_of(row: Row, database: Database) -> str:
    """Returns the name of the part of the database that a row is in."""
    return database.flag if row.flagged and database.flag else row.split


def count_problems(rows: Sequence[Row], database: Database) -> Iterator[str]:
    """Yields where the numbers of pictures and references are not those of the release."""
    counts = Counter(part_of(row, database) for row in rows)
    for part, expected in database.counts.items():
        if counts[part] != expected:
            yield (
                f"{database.name} has {counts[part]:,} rows in the part {part!r}, "
                f"and the release has {expected:,}."
            )
    references = {row.reference_id for row in rows if row.reference and not row.flagged}
    if len(references) != database.references:
        yield (
            f"{database.name} has {len(references)} references, and the release has "
            f"{database.references}."
        )


def all_problems(rows: Sequence[Row], database: Database, *, complete: bool) -> list[str]:
    """Returns what is wrong with the rows, one sentence each.

    Args:
        rows: Rows of all parts.
        database: What they are held against.
        complete: Whether the counts must be those of the release.
    """
    problems = list(row_problems(rows, database))
    if complete:
        problems += count_problems(rows, database)
    if not rows:
        problems.append(f"{database.name} has no rows.")
    return problems


def check_rows(rows: Sequence[Row], database: Database, *, complete: bool) -> None:
    """Raises a ValueError with the first problems of the rows, and the number of all others."""
    if problems := all_problems(rows, database, complete=complete):
        raise ValueError(told(problems))


def told(problems: Sequence[str]) -> str:
    """Returns the first problems as one text, and the number of all if there are more."""
    more = len(problems) - PROBLEMS_IN_A_MESSAGE
    rest = [f"And {more:,} more."] if more > 0 else []
    return " ".join([*problems[:PROBLEMS_IN_A_MESSAGE], *rest])
