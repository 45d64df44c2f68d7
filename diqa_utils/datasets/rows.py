"""The rows of a database: what its score files say about each picture, checked."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from diqa_utils.datasets.database import Database

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
    if not number.is_integer():
        raise ValueError(f"{place}: {column} is {text!r}, which is no whole number.")
    return int(number)


def csv_rows(content: bytes, *, name: str, columns: Sequence[str]) -> Iterator[tuple[str, dict]]:
    """Yields the place and the cells of each row of a CSV file with at least these columns.

    Empty lines are passed over, and so are cells beyond the last title that hold nothing.

    Raises:
        ValueError: If the file is no table, or a row has too few cells or too many.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name!r} is not a text file in UTF-8: {error}.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    titles = [title.strip() for title in reader.fieldnames or []]
    if repeated := [title for title in titles if title and titles.count(title) > 1]:
        raise ValueError(f"{name!r} has the column {repeated[0]!r} twice.")
    missing = [column for column in columns if column not in titles]
    if missing:
        raise ValueError(
            f"{name!r} has no column {', '.join(missing)}; it has {', '.join(titles) or 'none'}."
        )
    reader.fieldnames = titles
    for cells in reader:
        place = f"line {reader.line_num} of {name!r}"
        surplus = [cell for cell in cells.pop(None, []) if cell.strip()]
        if surplus:
            raise ValueError(f"{place} has more cells than titles: {surplus[0]!r}.")
        short = [column for column in columns if not (cells[column] or "").strip()]
        if short:
            raise ValueError(f"{place} is too short: {', '.join(short)} is missing.")
        yield place, {title: (cell or "").strip() for title, cell in cells.items()}


def row_problems(rows: Sequence[Row], database: Database) -> Iterator[str]:
    """Yields what is wrong with single rows: ids that occur twice, scores off the scale."""
    seen: dict[str, str] = {}
    for row in rows:
        if row.image_id in seen:
            yield f"{row.place}: {row.image_id!r} is there already, in {seen[row.image_id]}."
        seen[row.image_id] = row.place
        # The score of a flagged row may be no opinion: LIVE's pristine copies have 0.
        if not row.flagged and row.score not in database.scale:
            scale = f"{database.scale.lowest:g} to {database.scale.highest:g}"
            yield f"{row.place}: the score {row.score:g} is outside of the scale, {scale}."


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
    problems = all_problems(rows, database, complete=complete)
    if problems:
        more = len(problems) - PROBLEMS_IN_A_MESSAGE
        rest = [f"And {more} more."] if more > 0 else []
        raise ValueError(" ".join([*problems[:PROBLEMS_IN_A_MESSAGE], *rest]))
