"""The command `diqa-score`: the quality of the photographs in a folder."""

import csv
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

if TYPE_CHECKING:
    from diqa_utils.inference import Score

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

COLUMNS = ("picture", "quality", "low", "high")
DIGITS = 4


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"


@app.command()
def main(
    photos: Annotated[list[Path], typer.Argument(help="Picture files, and folders of them.")],
    format_: Annotated[Format, typer.Option("--format", help="A line per picture.")] = Format.table,
    predictor: Annotated[
        str, typer.Option(help="A name, or the folder of a predictor that you trained.")
    ] = "biq2021",
    error_maps: Annotated[
        Path | None, typer.Option(help="Writes predicted error maps into this folder, as PNG.")
    ] = None,
) -> None:
    """Score the quality of photographs, without any reference: 0 is worst, 1 is best.

    Beside each score stands the interval in which the mean rating of people is expected. A file
    that cannot be scored is reported on standard error; the others are scored all the same, and the
    exit code is 1.
    """
    from diqa_utils._internal.startup import start_tensorflow_quietly

    start_tensorflow_quietly()
    from diqa_utils.inference import any_predictor

    errors = Console(stderr=True, highlight=False)
    found: list[tuple[Path, Score]] = []
    try:
        loaded = any_predictor(predictor)
        if error_maps is not None:
            error_maps.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        errors.print(f"Error: {error}", soft_wrap=True, markup=False)
        raise typer.Exit(2) from error
    paths, problems = _files(photos)
    for problem in problems:
        errors.print(f"Error: {problem}", soft_wrap=True, markup=False)
    failed = len(problems)
    scores = loaded.score_files(paths)
    for path, score in track(scores, "scoring", len(paths), console=errors, transient=True):
        try:
            if isinstance(score, Exception):
                raise score
            found.append((path, score))
            if error_maps is not None:
                _write_map(error_maps / f"{path.name}.png", loaded.predict_error_map(path))
        except (ValueError, OSError) as error:
            failed += 1
            errors.print(f"Error: {error}", soft_wrap=True, markup=False)
    _print(found, format_)
    if failed:
        errors.print(f"{failed} of {failed + len(found)} could not be scored.")
        raise typer.Exit(1)


def _files(photos: list[Path]) -> tuple[list[Path], list[Exception]]:
    """Every file that was named, every picture in a folder that was; folders without any."""
    from diqa_utils.inference import picture_files

    paths: list[Path] = []
    problems: list[Exception] = []
    for photo in photos:
        try:
            paths += picture_files(photo) if photo.is_dir() else [photo]
        except (ValueError, OSError) as error:
            problems.append(error)
    return paths, problems


def _write_map(path: Path, values: "object") -> None:
    """Writes an error map as a grey picture: black is 0, white is 1."""
    import numpy as np
    from PIL import Image

    grey = np.clip(np.asarray(values, np.float32) * 255, 0, 255)
    Image.fromarray(grey.round().astype(np.uint8)).save(path)


def _print(found: "list[tuple[Path, Score]]", format_: Format) -> None:
    rows = [
        (str(path), *(round(float(value), DIGITS) for value in (score, score.low, score.high)))
        for path, score in found
    ]
    if format_ is Format.jsonl:
        for row in rows:
            sys.stdout.write(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n")
    elif format_ is Format.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    elif rows:
        table = Table(*COLUMNS[:2], "interval")
        for path, score in found:
            table.add_row(str(path), f"{score:.2f}", f"{score.low:.2f} to {score.high:.2f}")
        Console().print(table)
