"""`diqa score`."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diqa_utils._internal.files import write_atomically
from diqa_utils.cli.common import (
    Predictor,
    Runtime,
    Signals,
    errors_in_words,
    message,
    signals_stop,
)
from diqa_utils.cli.score_rows import Format, Printed, Rows, ScoreFile, full_name, row_of, state_of

# What takes long is imported within the functions: help, or one score, must not wait for it.
if TYPE_CHECKING:
    from diqa_utils.inference import Predictor as Scorer
    from diqa_utils.inference import Score
    from diqa_utils.picture_files import FoundPictures


class Sort(StrEnum):
    """Orders of rows that are not the pictures' own."""

    quality = "quality"


def score(
    photos: Annotated[
        list[str],
        typer.Argument(
            help="Picture files and folders of them; - reads names from standard input."
        ),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Look into folders within folders too.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Write into this file; the same command again goes on with it."),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="How to write the scores; by --output's ending, or table."),
    ] = None,
    sort: Annotated[
        Sort | None, typer.Option(help="Write the best first, once all are known.")
    ] = None,
    predictor: Predictor = "biq2021",
    runtime: Runtime = "auto",
    error_maps: Annotated[
        Path | None,
        typer.Option(
            help="Write predicted error maps as PNG, in a tree like that of the pictures."
        ),
    ] = None,
    max_megapixels: Annotated[
        float, typer.Option(help="The largest picture that is read, in millions of pixels.")
    ] = 180.0,
) -> None:
    """Score the quality of photographs: 0 is worst, 1 is best.

    Each score comes with the interval in which the mean rating of people is expected. A file that
    cannot be scored is reported on standard error. The others are scored all the same, and the
    exit code is 1. The last line there counts what was scored, failed and skipped.
    """
    with signals_stop() as signals, errors_in_words(tensorflow=False):
        from diqa_utils.inference import load_predictor
        from diqa_utils.picture_files import find_pictures

        kind = format_ or _format_of(output)
        loaded = load_predictor(predictor, runtime=runtime)
        places, refused = _places(photos)
        found = find_pictures(places, recursive=recursive)
        name = full_name(predictor, loaded.card)
        run = _Run(loaded, name, found, refused, error_maps, max_megapixels, signals)
        if output is None:
            rows = Printed(kind, sort is not None)
            run.score(found.files, rows, sort is not None)
        else:
            file = ScoreFile(output, kind, name)
            left = [path for path in found.files if not run.is_finished(file, path)]
            run.before = len(found.files) - len(left)
            with file.opened(left):
                run.score(left, file, sort is not None)


class _Run:
    """One call of the command: what it has to score, and what it counts."""

    def __init__(
        self,
        loaded: "Scorer",
        name: str,
        found: "FoundPictures",
        refused: dict[str, ValueError],
        maps: Path | None,
        max_megapixels: float,
        signals: Signals,
    ) -> None:
        self.loaded, self.name, self.found = loaded, name, found
        self.refused, self.max_megapixels = refused, max_megapixels
        self.signals = signals
        self.say: Callable[[str], None] = partial(typer.echo, err=True)
        self.scored = self.failed = self.before = 0
        self.states: dict[Path, dict[str, Any]] = {}
        self.maps = maps
        if maps is not None:
            maps.mkdir(parents=True, exist_ok=True)
            folders = {os.path.dirname(os.path.abspath(path)) for path in found.files}
            self.root = os.path.commonpath(folders) if folders else ""

    def is_finished(self, file: ScoreFile, path: Path) -> bool:
        place = self._map_of(path)
        return file.is_finished(path) and (place is None or place.exists())

    def score(self, paths: list[Path], rows: Rows, by_quality: bool) -> None:
        """Scores pictures, writes rows, and says at last how many there are of what."""
        noted = self._noted(paths)
        results = self.loaded.score_files(noted, max_megapixels=self.max_megapixels)
        try:
            for name, error in self.refused.items():
                self._write(rows, self._row(Path(name), error))
            for path, result in self._with_progress(results, len(paths)):
                self._write(rows, self._row(path, result))
        except KeyboardInterrupt:
            self._say_counts()
            raise
        finally:
            rows.finish([str(path) for path in self.found.files], by_quality)
        self._say_counts()
        if self.failed or not (self.scored or self.before):
            raise typer.Exit(1)

    def _with_progress(self, results: Iterator[Any], number: int) -> Iterable[Any]:
        """Shows on a terminal how far many pictures are; what is said then stands above it."""
        if number < 2 or not sys.stderr.isatty():
            return results
        from rich.console import Console
        from rich.progress import track

        console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.say = console.print
        return track(results, "scoring", number, console=console, transient=True)

    def _write(self, rows: Rows, row: dict[str, Any]) -> None:
        """Writes a row and counts it: both, or neither."""
        with self.signals.held():
            rows.write(row)
            self.scored += row["error"] is None
            self.failed += row["error"] is not None

    def _noted(self, paths: list[Path]) -> Iterator[Path]:
        """Notes the state of each file before it is read: what changes later is scored again."""
        for path in paths:
            self.states[path] = state_of(path)
            yield path

    def _row(self, path: Path, result: "Score | Exception") -> dict[str, Any]:
        state = self.states.pop(path, {})
        try:
            place = self._map_of(path)
            if place is not None and not isinstance(result, Exception):
                self._write_map(path, place)
        except Exception as error:  # whatever it is, it costs this picture alone
            result = error
        if not isinstance(result, Exception):
            return row_of(path, state, result, self.name)
        self.say(f"Error: {message(result)}")
        return row_of(path, state, message(result), self.name)

    def _write_map(self, path: Path, place: Path) -> None:
        """Writes an error map as a grey picture: black is 0, white is 1."""
        import numpy as np
        from PIL import Image

        place.parent.mkdir(parents=True, exist_ok=True)
        grey = np.clip(self.loaded.predict_error_map(path) * 255, 0, 255).round().astype(np.uint8)
        write_atomically(place, lambda half: Image.fromarray(grey).save(half, "PNG"))

    def _map_of(self, path: Path) -> Path | None:
        if self.maps is None:
            return None
        return self.maps / f"{os.path.relpath(os.path.abspath(path), self.root)}.png"

    def _say_counts(self) -> None:
        if not (self.found.files or self.found.skipped or self.refused):
            self.say("Error: There is no picture: name files, or a folder that has some.")
        before = f"{self.before:,} scored before, " if self.before else ""
        self.say(
            f"{self.scored:,} scored, {before}{self.failed:,} failed, "
            f"{self.found.skipped_in_words()}."
        )


def _places(photos: list[str]) -> tuple[list[Path], dict[str, ValueError]]:
    """Returns what was named, and what can be no path, with the reason."""
    from diqa_utils.images import checked_path

    places, refused = [], {}
    for name in _names(photos):
        try:
            places.append(checked_path(name))
        except ValueError as error:
            refused[name] = error
    return places, refused


def _names(photos: list[str]) -> Iterator[str]:
    """What was named, here or on standard input: a name a line, or ended by zero bytes."""
    for name in photos:
        if name != "-":
            yield name
            continue
        text = os.fsdecode(sys.stdin.buffer.read())
        yield from filter(None, text.split("\0") if "\0" in text else text.splitlines())


def _format_of(output: Path | None) -> Format:
    if output is None:
        return Format.table
    return Format.csv if output.suffix.lower() == ".csv" else Format.jsonl
