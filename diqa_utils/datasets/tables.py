"""Tables of scores: text with separators, and spreadsheets."""

import csv
import io
import itertools
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import openpyxl

#: What stands between the cells of a table in a text file.
SEPARATORS = (",", ";", "\t")

#: Rows that a sheet can have; a damaged one may claim more.
ROWS_OF_A_SHEET = 1_048_576


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        name: Name of its file, for messages.
        titles: Titles of its columns.
        rows: The place of each row, for messages, and its cells; rows that hold nothing are left
            out.
        separator: What stands between cells; nothing in a spreadsheet.
    """

    name: str
    titles: list[str]
    rows: list[tuple[str, list[str]]]
    separator: str

    def cells(
        self, columns: Mapping[str, str], *, needed: Sequence[str]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """Yields the place of each row, and its cells.

        Args:
            columns: By the name that its cells are to get, the title of a column.
            needed: Names of the columns that must have something in each row.

        Raises:
            ValueError: If a title is not there once, or a row has too few or too many cells.
        """
        for title in columns.values():
            if self.titles.count(title) != 1:
                has = "the column twice:" if title in self.titles else "no column"
                titles = ", ".join(self.titles) or "none"
                raise ValueError(f"{self.name!r} has {has} {title!r}; it has {titles}.")
        places = {name: self.titles.index(title) for name, title in columns.items()}
        for place, row in self.rows:
            if surplus := [cell for cell in row[len(self.titles) :] if cell]:
                raise ValueError(f"{place} has more cells than titles: {surplus[0]!r}.")
            row = row + [""] * (len(self.titles) - len(row))
            cells = {name: row[index] for name, index in places.items()}
            if short := [columns[name] for name in needed if not cells[name]]:
                raise ValueError(f"{place} is too short: {', '.join(short)} is missing.")
            yield place, cells


def parse_table(content: bytes, name: str, *, separator: str | None = None) -> Table:
    """Reads a table: a spreadsheet if its file is called so, text in UTF-8 otherwise.

    Args:
        content: Content of the file.
        name: Its name.
        separator: What stands between cells; if None, that of `SEPARATORS` which gives most titles.

    Raises:
        ValueError: If the file is damaged or no table.
    """
    if name.lower().endswith(".xlsx"):
        rows = [(place, list(map(_as_text, row))) for place, row in sheet_rows(content, name)]
        separator = ""
    else:
        separator, rows = _text_rows(content, name, separator)
    titles = rows[0][1] if rows else []
    while titles and not titles[-1]:
        titles.pop()
    return Table(name, titles, rows[1:], separator)


def csv_rows(
    content: bytes, *, name: str, columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the place and the cells of each row of a CSV file that has all of these columns.

    Raises:
        ValueError: If the file is no table, lacks a column, or a row has too few cells or too many.
    """
    table = parse_table(content, name, separator=",")
    return table.cells({column: column for column in columns}, needed=columns)


def sheet_rows(
    content: bytes, name: str, *, sheet: str | None = None
) -> list[tuple[str, tuple[Any, ...]]]:
    """Returns the place and the values of each row of a spreadsheet that holds something.

    Args:
        content: Content of an .xlsx file.
        name: Name of the file.
        sheet: Name of the sheet; the first one if None.

    Raises:
        ValueError: If the file is damaged or no spreadsheet, or has no such sheet.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"{damaged!r} in it has another checksum")
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        names = book.sheetnames
        if sheet in (None, *names):
            values = book[sheet or names[0]].iter_rows(values_only=True)
            rows = enumerate(itertools.islice(values, ROWS_OF_A_SHEET), start=1)
            return [(f"row {n} of {name!r}", row) for n, row in rows if any(_filled(row))]
    except Exception as error:  # openpyxl, zipfile and expat have errors of many kinds
        raise ValueError(
            f"{name!r} is damaged or no spreadsheet: {error}; fetch it again."
        ) from error
    raise ValueError(f"{name!r} has no sheet {sheet!r}: {', '.join(names)}.")


def _text_rows(
    content: bytes, name: str, separator: str | None
) -> tuple[str, list[tuple[str, list[str]]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name!r} is not a text file in UTF-8: {error}; save it as CSV in UTF-8."
        ) from error
    try:
        separator = separator or max(SEPARATORS, key=lambda each: len(_first_row(text, each)))
        # Of the line ends, those of old Macs too, the csv module decides itself.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [(f"line {reader.line_num} of {name!r}", _stripped(row)) for row in reader]
    except (csv.Error, TypeError) as error:  # TypeError: a separator of two characters
        raise ValueError(f"{name!r} is no table: {error}.") from error
    return separator, [(place, row) for place, row in rows if any(row)]


def _first_row(text: str, separator: str) -> list[str]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return next((row for row in reader if any(row)), [])


def _stripped(row: list[str]) -> list[str]:
    return [cell.strip() for cell in row]


def _filled(row: tuple[Any, ...]) -> Iterator[bool]:
    return (value is not None and value != "" for value in row)


def _as_text(value: Any) -> str:
    """A value as somebody who sees it in the sheet writes it down: 1600, not 1600.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()
