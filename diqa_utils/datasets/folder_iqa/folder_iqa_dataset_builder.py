"""A folder of pictures and a table of your own, with or without references."""

import math
import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.database import Database, Scale
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.folder_iqa import DATABASE
from diqa_utils.datasets.rows import Row, to_number, to_whole_number
from diqa_utils.datasets.tables import Table, parse_table

NEEDED = ("image", "score")

#: The columns that are read, and the titles under which they are known without being told, as
#: `_plain` writes them: those of this library first, then what the tables of others have.
TITLES = {
    "image": ("image", "image_name", "file_name", "filename", "file", "picture"),
    "score": ("score", "mos"),
    "score_std": ("score_std", "sd", "std", "mos_std"),
    "reference": ("reference",),
    "reference_id": ("reference_id",),
    "distortion": ("distortion",),
    "level": ("level",),
    "split": ("split",),
}

UNKNOWN = "unknown"
NO_LEVEL = 0


class Builder(IqaBuilder):
    """TFDS builder of a folder of pictures with a table of scores.

    Args:
        folder: Folder or zip archive; its table says which features there are.
        scores: Table, as seen from the folder: text with separators, or .xlsx.
        columns: Titles of columns that are called otherwise than here, for example
            {"image": "photo", "score": "mean vote"}.
        separator: What stands between cells of a text; found out if None.
        decimal: Sign before the decimals, "." or ","; found out if None.
        scale: Lowest and highest score that there can be.
        higher_is_better: False where a low score is a good one.
        **settings: Arguments of TFDS's builders.

    Raises:
        ValueError: If an option has no meaning, or the table is not readable.
        FileNotFoundError: If there is no such table.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = DATABASE.instructions
    complete = False  # nobody knows how many pictures a folder should have

    def __init__(
        self,
        *,
        folder: Path | None = None,
        scores: str = "scores.csv",
        columns: Mapping[str, str] | None = None,
        separator: str | None = None,
        decimal: str | None = None,
        scale: tuple[float, float] = (0.0, 1.0),
        higher_is_better: bool = True,
        **settings: Any,
    ) -> None:
        if unknown := [name for name in columns or {} if name not in TITLES]:
            raise ValueError(f"columns has {unknown[0]!r}; it takes {', '.join(TITLES)}.")
        if decimal not in (None, ".", ","):
            raise ValueError(f"decimal must be '.' or ',', not {decimal!r}.")
        self._database = replace(DATABASE, scale=_scale(scale, higher_is_better))
        self._scores = scores
        self._named = dict(columns or {})
        self._separator = separator
        self._decimal = decimal
        self._columns: dict[str, str] = {}
        if folder is not None:
            with DatabaseFiles(folder) as files:
                self._columns = self._titles(self._table(files))
        super().__init__(**settings)

    @property
    def database(self) -> Database:
        """What is known about the folder."""
        return self._database

    @property
    def has_references(self) -> bool:
        """Whether the table names references."""
        return "reference" in self._columns

    @property
    def has_spread(self) -> bool:
        """Whether the table has deviations."""
        return "score_std" in self._columns

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the table."""
        table = self._table(files)
        rows = list(table.cells(self._titles(table), needed=NEEDED))
        decimal = self._decimal or _decimal(table, [cells for _, cells in rows])
        beside = posixpath.dirname(files.path_of(files.inside(self._scores)))
        return [self._row(place, cells, decimal, files, beside) for place, cells in rows]

    def _table(self, files: DatabaseFiles) -> Table:
        name = files.inside(self._scores)
        return parse_table(files.read(name), name, separator=self._separator)

    def _titles(self, table: Table) -> dict[str, str]:
        """Returns the titles of the columns that the table has, by their names here."""
        titles = dict(self._named)
        for name, known in TITLES.items():
            found = [title for title in table.titles if _plain(title) in known]
            found = [title for title in found if title == name] or found
            if len(set(found)) > 1 and name not in titles:
                raise ValueError(
                    f"{table.name!r} has the columns {', '.join(found)}: say which one is the "
                    f"{name}, with --columns {name}=TITLE (columns={{{name!r}: TITLE}} in Python)."
                )
            if found:
                titles.setdefault(name, found[0])
        if missing := [name for name in NEEDED if name not in titles]:
            raise ValueError(
                f"{table.name!r} has no column {', '.join(missing)}; it has "
                f"{', '.join(table.titles) or 'none'}. Say what they are called, with --columns "
                f"{','.join(f'{name}=TITLE' for name in missing)} (columns={{...}} in Python)."
            )
        return titles

    def _row(
        self, place: str, cells: dict[str, str], decimal: str, files: DatabaseFiles, beside: str
    ) -> Row:
        image_id, reference = files.inside(cells["image"]), None
        if self.has_references:
            if not cells["reference"]:
                raise ValueError(f"{place}: the reference is missing, and other rows have one.")
            reference = files.inside(cells["reference"])
        part = cells.get("split") or "rated"
        if not re.fullmatch(r"\w{1,99}", part) or part == "all":  # it also names files
            raise ValueError(
                f"{place}: split is {part!r}; name a part with letters, digits and underscores, "
                "and not 'all'."
            )
        spread = cells.get("score_std")
        level = cells.get("level") or NO_LEVEL
        return Row(
            place=place,
            distorted=_place(image_id, files, beside),
            reference=reference and _place(reference, files, beside),
            image_id=image_id,
            # Without a reference every picture is a scene of its own.
            reference_id=cells.get("reference_id") or reference or image_id,
            distortion=cells.get("distortion") or UNKNOWN,
            level=to_whole_number(level, place=place, column="level"),
            score=_number(cells["score"], decimal, place, self._columns["score"]),
            score_std=_number(spread, decimal, place, "score_std") if spread else None,
            split=part,
        )


def _scale(scale: Any, higher_is_better: bool) -> Scale:
    try:
        lowest, highest = map(float, scale)
    except (TypeError, ValueError):
        lowest, highest = math.nan, math.nan
    if not -math.inf < lowest < highest < math.inf:
        raise ValueError(f"scale must be the lowest and the highest score, not {scale!r}.")
    return Scale(lowest, highest, higher_is_better)


def _plain(title: str) -> str:
    """A title as one compares it: `Image name` is `image_name`."""
    return re.sub(r"[\s\-]+", "_", title.lower())


def _decimal(table: Table, rows: list[dict[str, str]]) -> str:
    """Finds the sign before the decimals: a comma only if it separates nothing else."""
    numbers = [cells.get(name, "") for cells in rows for name in ("score", "score_std")]
    commas, points = (any(sign in number for number in numbers) for sign in ",.")
    return "," if commas and not points and table.separator != "," else "."


def _number(text: str, decimal: str, place: str, column: str) -> float:
    if decimal == ",":
        text = text.translate({ord(","): ".", ord("."): ","})
    try:
        return to_number(text, place=place, column=column)
    except ValueError as error:
        if "," not in text:
            raise
        raise ValueError(
            f"{error} Say which sign stands before decimals, with --decimal , or --decimal ."
        ) from None


def _place(name: str, files: DatabaseFiles, beside: str) -> str:
    """The path of a picture as seen from the folder, or else from that of the table."""
    near = posixpath.join(beside, name)
    return near if files.has_exactly(near) and not files.has_exactly(name) else name
