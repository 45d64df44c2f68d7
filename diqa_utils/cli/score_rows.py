"""Rows of scores: on standard output as they come, or in a file that goes on where it stopped."""

import csv
import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from diqa_utils._internal.files import cache_folder, remove_half_written, write_atomically

# What needs TensorFlow is not imported here: help must not wait for it.
if TYPE_CHECKING:
    from diqa_utils.inference import Score

#: What is known about a picture. `bytes` and `modified` (in nanoseconds) say of which file.
COLUMNS = (
    *("picture", "quality", "low", "high", "unusual", "error"),
    *("bytes", "modified", "predictor"),
)
NUMBERS = ("quality", "low", "high", "unusual", "bytes", "modified")
DIGITS = 4

#: A name that begins with one of these is a formula to a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = dict[str, Any]


class Format(StrEnum):
    """How scores are written."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"


class Rows(Protocol):
    """A place for rows."""

    def write(self, row: Row) -> None:
        """Takes a row."""

    def finish(self, order: Iterable[str], by_quality: bool) -> None:
        """Is called once, after the last row."""


def full_name(predictor: str, card: Mapping[str, Any]) -> str:
    """The name of a predictor as rows hold it, which tells it from others of its name."""
    return f"{Path(predictor).name}@{card.get('sha256', '')[:8]}"


def row_of(path: Path | str, state: Row, result: "Score | str", predictor: str) -> Row:
    """Makes the row of a picture: what is not known is None.

    Args:
        path: Its file, or its address.
        state: What `state_of` said before the file was read.
        result: Its score, or why it has none.
        predictor: Name of the predictor.
    """
    row: Row = dict.fromkeys(COLUMNS) | {"picture": str(path), "predictor": predictor} | state
    if isinstance(result, str):
        return row | {"error": result}
    numbers = {"quality": float(result), "low": result.low, "high": result.high}
    known = {
        name: round(number, DIGITS) for name, number in numbers.items() if not math.isnan(number)
    }
    return row | known | {"unusual": result.unusual}


def state_of(path: Path) -> Row:
    """Size and time of a file, which tell whether it has changed."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # the row says why there is no score
        return {"bytes": None, "modified": None}
    return {"bytes": status.st_size, "modified": status.st_mtime_ns}


class Printed:
    """Rows on standard output: each at once, or sorted at the end."""

    def __init__(self, format_: Format, by_quality: bool) -> None:
        self.format = format_
        self.waiting: list[Row] | None = [] if by_quality else None
        self._print(head_of(format_))

    def write(self, row: Row) -> None:
        """Prints a row, or keeps it until all are known."""
        if self.waiting is None:
            self._print(line_of(row, self.format))
        else:
            self.waiting.append(row)

    def finish(self, order: Iterable[str], by_quality: bool) -> None:
        """Prints the rows that were kept, the best first."""
        for row in sorted(self.waiting or [], key=_worse):
            self._print(line_of(row, self.format))

    def _print(self, line: str) -> None:
        sys.stdout.buffer.write(encoded(line))
        sys.stdout.buffer.flush()


class ScoreFile:
    """Rows in a file, each on the disk before the next picture is scored.

    Args:
        path: The file. One that is there must hold scores of the same predictor: it is gone on
            with.
        format_: csv or jsonl.
        predictor: Name of the predictor, as rows hold it.

    Raises:
        ValueError: If the file holds something else, or the scores of another predictor.
    """

    def __init__(self, path: Path, format_: Format, predictor: str) -> None:
        if format_ is Format.table:
            raise ValueError("A table cannot be gone on with: write --output as csv or jsonl.")
        self.path, self.format = path, format_
        self.rows = {row["picture"]: row for row in self._read(predictor)}
        self.gone_on = bool(self.rows)

    @contextmanager
    def opened(self, pictures: Iterable[Path]) -> Iterator[None]:
        """Holds the file, without the rows of pictures that are to be scored (again)."""
        key = hashlib.sha256(str(self.path.absolute()).encode(errors="replace")).hexdigest()[:16]
        lock = cache_folder() / "locks" / f"{key}.lock"
        for folder in (lock.parent, self.path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=0):
                remove_half_written(self.path.parent, self.path.name)
                for path in pictures:
                    self.rows.pop(_shown(str(path), self.format), None)
                self._write_all(self.rows.values())
                with open(self.path, "ab", buffering=0) as self.file:
                    yield
        except Timeout:
            raise ValueError(f"{str(self.path)!r} is being written by another process.") from None

    def is_finished(self, path: Path) -> bool:
        """Whether the file has the score of a picture that has not changed since."""
        row = self.rows.get(_shown(str(path), self.format))
        if row is None or row["quality"] is None:
            return False
        return {name: row[name] for name in ("bytes", "modified")} == state_of(path)

    def write(self, row: Row) -> None:
        """Appends a row."""
        line = encoded(line_of(row, self.format))
        while line:
            line = line[self.file.write(line) :]

    def finish(self, order: Iterable[str], by_quality: bool) -> None:
        """Puts the rows into the order of the pictures, or the best first, if they are not."""
        if not (by_quality or self.gone_on):
            return
        rows = self._read()
        places = {_shown(name, self.format): place for place, name in enumerate(order)}
        rows.sort(key=_worse if by_quality else lambda row: places.get(row["picture"], len(places)))
        self._write_all(rows)

    def _write_all(self, rows: Iterable[Row]) -> None:
        def write(place: Path) -> None:
            with open(place, "wb") as file:
                file.write(encoded(head_of(self.format)))
                file.writelines(encoded(line_of(row, self.format)) for row in rows)

        write_atomically(self.path, write)

    def _read(self, predictor: str | None = None) -> list[Row]:
        """Reads the rows that are whole; the last one may be half written."""
        if not self.path.exists():
            return []
        text = self.path.read_bytes().decode("utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]
        try:
            rows = list(_parsed(whole, self.format))
        except (ValueError, KeyError, TypeError, csv.Error):
            raise ValueError(
                f"{str(self.path)!r} is there and is no table of scores in {self.format}: name "
                "another file."
            ) from None
        for row in rows:
            if predictor not in (None, row["predictor"]):
                raise ValueError(
                    f"{str(self.path)!r} holds scores of {row['predictor']!r}, not of "
                    f"{predictor!r}: name another file."
                )
        return rows


def _parsed(text: str, format_: Format) -> Iterator[Row]:
    """Yields rows, but for one that was cut off; raises what json and csv raise."""
    if format_ is Format.jsonl:
        for line in text.split("\n")[:-1]:
            row = json.loads(line)
            yield {name: row[name] for name in COLUMNS}
        return
    reader = csv.reader(io.StringIO(text, newline=""))
    if text and tuple(next(reader)) != COLUMNS:
        raise KeyError
    for cells in reader:
        if len(cells) == len(COLUMNS):
            row = dict(zip(COLUMNS, cells, strict=True))
            numbers = {name: json.loads(row[name]) if row[name] else None for name in NUMBERS}
            yield row | numbers


def head_of(format_: Format) -> str:
    """What stands above the rows."""
    if format_ is Format.table:
        return "quality  interval               picture\n"
    return _cells(COLUMNS) if format_ is Format.csv else ""


def line_of(row: Row, format_: Format) -> str:
    """A row as it is written, with the end of its line."""
    name = _shown(row["picture"], format_)
    if format_ is Format.jsonl:
        return json.dumps(row | {"picture": name}, ensure_ascii=False) + "\n"
    if format_ is Format.csv:
        numbers = {n: json.dumps(row[n]) for n in NUMBERS if row[n] is not None}
        return _cells((row | numbers | {"picture": name}).values())
    if row["quality"] is None:
        return ""  # standard error says why
    interval = "" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"
    unusual = "unusual" if row["unusual"] else ""
    return f"{row['quality']:<7.2f}  {interval:12}  {unusual:7}  {name}\n"


def _cells(cells: Iterable[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _shown(name: str, format_: Format) -> str:
    """A name as it is written: whole, and as one piece of data."""
    if format_ is Format.table:
        return "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode()
            for letter in name
        )
    if format_ is Format.csv:
        name = os.path.join(".", name) if name.startswith(FORMULA) else name
        return encoded(name).decode()
    return name


def encoded(text: str) -> bytes:
    """UTF-8; what a name has in another encoding is written as an escape, as JSON has them."""
    return text.encode("utf-8", errors="backslashreplace")


def _worse(row: Row) -> float:
    return math.inf if row["quality"] is None else -row["quality"]
