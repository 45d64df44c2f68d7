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


def load(name: str) -> dict[str, Any]:
    """Reads benchmarks/results/NAME.json."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
