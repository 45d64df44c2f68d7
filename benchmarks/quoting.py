"""Writes the numbers of the results files wherever the book quotes them.

A marker names the number before it: `0.86<!-- results: FILE.json#dotted.path -->`, with `percent`
before its end for hundredths. In code `# results: FILE.json#path.{}.to.values` stands above a
dictionary of numbers, or of lists of them; each of its keys goes into the braces. What is quoted
keeps its decimals. Words, figures and outputs do not follow by themselves.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

from benchmarks import results

ROOT = Path(__file__).resolve().parents[1]
BOOK = ("README.md", "book/*.md", "notebooks/*.ipynb")

MARKER = re.compile(r"<!--\s*results:\s*(\S+?)\.json#(\S+?)\s*(?:\\?\|)?\s*(percent)?\s*-->")
CODE_MARKER = re.compile(r"^# results: (\S+)\.json#(\S+)$", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])[-−]?(?:\d+(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+)(?:e[-+]?\d+)?")

#: The old and the new form of each number that has changed.
Changes = list[tuple[str, str]]


def main() -> None:
    """Brings README, pages and notebooks up to date, and prints what has changed."""
    paths = [path for pattern in BOOK for path in sorted(ROOT.glob(pattern))]
    for path in paths:
        for old, new in quote_in_file(path):
            print(f"{path.relative_to(ROOT)}: {old} is now {new}")


def quote_in_file(path: Path, folder: Path | None = None) -> Changes:
    """Brings a page or a notebook up to date; returns what has changed."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        written, changes = quote_in_prose(text, folder)
    else:
        notebook, changes = nbformat.reads(text, as_version=nbformat.NO_CONVERT), []
        for cell in notebook.cells:
            quote = quote_in_code if cell.cell_type == "code" else quote_in_prose
            cell.source, found = quote(cell.source, folder)
            changes += found
        written = nbformat.writes(notebook).rstrip("\n") + "\n"
    if changes:
        path.write_text(written, encoding="utf-8")
    return changes


def quote_in_prose(text: str, folder: Path | None = None) -> tuple[str, Changes]:
    """Returns a Markdown text with the numbers that its markers name, and what has changed."""
    edits = []
    begin = 0
    for marker in MARKER.finditer(text):
        numbers = list(NUMBER.finditer(text, begin, marker.start()))
        if not numbers:
            raise ValueError(f"The marker {marker[0]} does not follow a number.")
        number = numbers[-1]
        file, path, percent = marker.groups()
        value = results.look_up(file, path, folder) * (100 if percent else 1)
        if number[0][0] not in "-−":
            value = abs(value)  # the words around it say "falls by"
        edits.append((*number.span(), _like(number[0], value)))
        begin = marker.end()
    return _edited(text, edits)


def quote_in_code(source: str, folder: Path | None = None) -> tuple[str, Changes]:
    """Returns the source of a cell with the numbers that its markers name, and what has changed."""
    edits = []
    for marker in CODE_MARKER.finditer(source):
        below = ast.parse(source[marker.end() :]).body[0]
        if not (isinstance(below, ast.Assign) and isinstance(below.value, ast.Dict)):
            raise ValueError(f"{marker[0]!r} does not stand above a dictionary.")
        for node, value in _quoted(below.value, *marker.groups(), folder):
            begin, end = _place(source, marker.end(), node)
            edits.append((begin, end, _like(source[begin:end], value)))
    return _edited(source, edits)


def _quoted(
    dictionary: ast.Dict, file: str, path: str, folder: Path | None
) -> Iterator[tuple[ast.expr, float]]:
    for key, stated in zip(dictionary.keys, dictionary.values, strict=True):
        value = results.look_up(file, path.format(ast.literal_eval(key)), folder)
        if isinstance(stated, ast.List):
            yield from zip(stated.elts, value, strict=True)
        else:
            yield stated, value


def _place(source: str, begin: int, node: ast.expr) -> tuple[int, int]:
    """Where a number of the code that begins there stands in the source; `ast` counts in bytes."""
    lines = source[begin:].splitlines(keepends=True)
    start = begin + sum(len(line) for line in lines[: node.lineno - 1])
    line = lines[node.lineno - 1].encode()
    first, last = (len(line[:offset].decode()) for offset in (node.col_offset, node.end_col_offset))
    return start + first, start + last


def _like(old: str, value: float) -> str:
    """Writes a value with the decimals, the commas and the minus of the text that it replaces."""
    if "e" in old:
        raise ValueError(f"{old} has an exponent: write a number that can be quoted without one.")
    decimals = len(old.partition(".")[2])
    if results.says(float(old.replace(",", "").replace("−", "-")), decimals, value):
        return old
    new = f"{value:{',' if ',' in old else ''}.{decimals}f}"
    return new.replace("-", "−") if old[0] == "−" else new


def _edited(text: str, edits: list[tuple[int, int, str]]) -> tuple[str, Changes]:
    changes = [(text[begin:end], new) for begin, end, new in edits if text[begin:end] != new]
    for begin, end, new in sorted(edits, reverse=True):
        text = text[:begin] + new + text[end:]
    return text, changes
