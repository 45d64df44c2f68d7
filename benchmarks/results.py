"""The numbers that benchmarks wrote and that the book quotes: one JSON file each."""

import json
import math
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "results"


def write(name: str, results: dict[str, Any]) -> Path:
    """Writes benchmarks/results/NAME.json in a form of which git shows readable differences."""
    path = FOLDER / f"{name}.json"
    text = json.dumps(results, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def rounded(value: Any, digits: int) -> Any:
    """Rounds the numbers of nested results; what is not defined becomes null."""
    if isinstance(value, dict):
        return {key: rounded(inner, digits) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner, digits) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, digits)
    return value


def load(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Reads benchmarks/results/NAME.json."""
    return json.loads(((folder or FOLDER) / f"{name}.json").read_text(encoding="utf-8"))


def look_up(name: str, path: str, folder: Path | None = None) -> Any:
    """Returns what a path such as `srcc.all.1` names in benchmarks/results/NAME.json."""
    value: Any = load(name, folder)
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def says(stated: float, decimals: int, value: float) -> bool:
    """Whether a number that is stated with so many decimals is this value, rounded either way."""
    half_of_last_digit = 10**-decimals / 2
    return abs(value - stated) <= half_of_last_digit * (1 + 1e-9)
