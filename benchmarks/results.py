"""Writes the numbers that a benchmark measured; `diqa_utils.notebook.results` reads them."""

import json
import math
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "diqa_utils" / "results"


def write(name: str, results: dict[str, Any]) -> Path:
    """Writes diqa_utils/results/NAME.json in a form of which git shows readable differences."""
    path = FOLDER / f"{name}.json"
    text = json.dumps(results, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
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
