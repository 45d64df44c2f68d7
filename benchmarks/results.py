"""Prints the numbers that a benchmark measured, and writes them for the book to read.

`diqa_utils.notebook.results` reads them.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parents[1] / "diqa_utils" / "results"
DIGITS = 4

#: Smaller numbers are what rounding leaves of zero: their digits mean nothing.
SMALLEST = 1e-4


def write(name: str, measured: dict[str, Any]) -> Path:
    """Prints a table and writes diqa_utils/results/NAME.json, all numbers rounded."""
    kept = rounded(measured, DIGITS)
    table = Table("what", "numbers", title=f"{name}.json", title_justify="left")
    for path, numbers in groups(kept):
        table.add_row(path, ", ".join(f"{key} {value}" for key, value in numbers.items()))
    Console().print(table)
    path = FOLDER / f"{name}.json"
    text = json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def groups(measured: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the numbers that stand together, with the dotted path of their group."""
    if numbers := {key: value for key, value in measured.items() if not isinstance(value, dict)}:
        yield path, numbers
    for key, value in measured.items():
        if isinstance(value, dict):
            yield from groups(value, f"{path}.{key}".lstrip("."))


def rounded(value: Any, digits: int) -> Any:
    """Rounds nested numbers to so many significant digits; what is not defined becomes null."""
    if isinstance(value, dict):
        return {key: rounded(inner, digits) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner, digits) for inner in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return 0.0 if abs(value) < SMALLEST else float(f"{value:.{digits}g}")
    return value
