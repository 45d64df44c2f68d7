"""`diqa score`."""

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from diqa_utils.cli.common import Predictor, errors_in_words, message

# What needs TensorFlow is imported within the functions: help must not wait for it.
if TYPE_CHECKING:
    from diqa_utils.inference import Score

COLUMNS = ("picture", "quality", "low", "high")
DIGITS = 4


class Format(StrEnum):
    """How scores are printed."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"


def score(
    photos: Annotated[list[Path], typer.Argument(help="Picture files, and folders of them.")],
    format_: Annotated[
        Format, typer.Option("--format", help="How to print the scores.")
    ] = Format.table,
    predictor: Predictor = "biq2021",
    error_maps: Annotated[
        Path | None, typer.Option(help="Write predicted error maps into this folder, as PNG.")
    ] = None,
) -> None:
    """Score the quality of photographs: 0 is worst, 1 is best.

    Each score comes with the interval in which the mean rating of people is expected. A file that
    cannot be scored is reported on standard error. The others are scored all the same, and the
    exit code is 1.
    """
    console = Console(stderr=True, highlight=False)
    errors: list[Exception] = []

    def report(error: Exception) -> None:
        errors.append(error)
        console.print(f"Error: {message(error)}", soft_wrap=True, markup=False)

    with errors_in_words():
        from diqa_utils.inference import load_predictor, picture_files

        loaded = load_predictor(predictor)
        if error_maps is not None:
            error_maps.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for photo in photos:
        try:
            paths += picture_files(photo) if photo.is_dir() else [photo]
        except (ValueError, OSError) as error:
            report(error)
    total = len(paths) + len(errors)
    scores: list[tuple[Path, Score]] = []
    results = loaded.score_files(paths)
    for path, result in track(results, "scoring", len(paths), console=console, transient=True):
        try:
            if isinstance(result, Exception):
                raise result
            scores.append((path, result))
            if error_maps is not None:
                _write_map(error_maps / f"{path.name}.png", loaded.predict_error_map(path))
        except (ValueError, OSError) as error:
            report(error)
    _print_scores(scores, format_)
    if errors:
        console.print(f"{len(errors)} of {total} could not be scored.")
        raise typer.Exit(1)


def _write_map(path: Path, values: Any) -> None:
    """Writes an error map as a grey picture: black is 0, white is 1."""
    import numpy as np
    from PIL import Image

    grey = np.clip(np.asarray(values, np.float32) * 255, 0, 255)
    Image.fromarray(grey.round().astype(np.uint8)).save(path)


def _print_scores(scores: "list[tuple[Path, Score]]", format_: Format) -> None:
    rows = [
        {
            "picture": str(path),
            "quality": round(float(score), DIGITS),
            "low": round(score.low, DIGITS),
            "high": round(score.high, DIGITS),
        }
        for path, score in scores
    ]
    if format_ is Format.jsonl:
        for row in rows:
            sys.stdout.write(json.dumps(row) + "\n")
    elif format_ is Format.csv:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif scores:
        table = Table("picture", "quality", "interval")
        for path, score in scores:
            table.add_row(str(path), f"{score:.2f}", f"{score.low:.2f} to {score.high:.2f}")
        Console().print(table)
