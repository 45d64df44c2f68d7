"""The command `diqa`: score photographs, train and measure predictors, look after databases."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from diqa_utils import __version__, datasets
from diqa_utils._internal.files import write_atomically
from diqa_utils._internal.startup import start_tensorflow_quietly
from diqa_utils.datasets.catalog import CATALOG

# What needs TensorFlow is imported within the functions: help must not wait for it.
if TYPE_CHECKING:
    from diqa_utils.inference import Score
    from diqa_utils.ratings.recipe import RatingsRecipe

# Plain text: the tables that typer draws leave too little room for a sentence in 80 columns.
PLAIN: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}

app = typer.Typer(no_args_is_help=True, **PLAIN)
score_app = typer.Typer(**PLAIN)  # `diqa-score`, which is `diqa score`
data_app = typer.Typer(no_args_is_help=True, **PLAIN)
app.add_typer(data_app, name="data", help="List, build and check databases of rated pictures.")

COLUMNS = ("picture", "quality", "low", "high")
DIGITS = 4


class Format(StrEnum):
    """How scores are printed."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"


Name = Annotated[str, typer.Argument(help="A name that `diqa data list` shows.")]
Database = Annotated[str, typer.Option(help="A name that `diqa data list` shows.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="The folder for built databases, if it is not the cache folder."),
]
ManualDir = Annotated[
    Path | None, typer.Option(help="The folder or archive that you fetched from the owners.")
]
Partial = Annotated[bool, typer.Option("--partial", help="Accept a copy that lacks some rows.")]
Scores = Annotated[
    str | None, typer.Option(help="For folder_iqa: the table of scores, as a path in the folder.")
]
Scale = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOWEST HIGHEST", help="For folder_iqa: the ends of its scale."),
]
LowerIsBetter = Annotated[
    bool, typer.Option("--lower-is-better", help="For folder_iqa: a low score is a good one.")
]
Predictor = Annotated[
    str, typer.Option(help="The name of a predictor, or the folder of one that you trained.")
]
Pristine = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="A folder of pictures without visible faults, for step 1."),
]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"diqa-utils {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
]


@app.callback()
def _main(version: Version = False) -> None:
    """Measure the quality of photographs as people see it, without any reference."""


@app.command()
@score_app.command()
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
        console.print(f"Error: {_message(error)}", soft_wrap=True, markup=False)

    with _errors_in_words():
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


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help='"extended", "diqa", or a JSON file with the settings.')
    ],
    database: Database,
    folder: Annotated[Path, typer.Option(help="The folder for the run and all that it keeps.")],
    split: Annotated[
        str | None, typer.Option(help="The part to learn from: `train` if there is one.")
    ] = None,
    pristine: Pristine = None,
    seed: Annotated[int | None, typer.Option(help="A seed instead of the recipe's own.")] = None,
    pictures: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The folder for prepared pictures that runs share."),
    ] = None,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    scores: Scores = None,
    scale: Scale = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Train a predictor on the ratings of a database.

    A run that was stopped goes on when it is started again, or with `diqa resume`.
    """
    with _errors_in_words():
        from diqa_utils.ratings import protocol, runs

        settings = _recipe(recipe)
        if seed is not None:
            settings = replace(settings, seed=seed)
        part = protocol.DatabasePart(
            database,
            split or ("train" if "train" in _parts(database) else "rated"),
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            options=_own_folder_options(scores, scale, lower_is_better),
        )
        run = runs.RatingsRun(part, str(folder), pristine=pristine, pictures=pictures)
        _print_card(run.train(settings), folder)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="The folder of a run that was stopped.")],
) -> None:
    """Go on with a training run where it was stopped."""
    with _errors_in_words():
        from diqa_utils.ratings import runs

        run, recipe = runs.load_run(folder)
        _print_card(run.train(recipe), folder)


@app.command()
def evaluate(
    database: Database,
    split: Annotated[
        str | None, typer.Option(help="The part to measure on; all pictures if left out.")
    ] = None,
    predictor: Predictor = "biq2021",
    repeats: Annotated[
        int | None,
        typer.Option(help="How many times to train on 80 % of the references, and test."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="With --repeats: the recipe to train.")] = "diqa",
    pristine: Pristine = None,
    seed: Annotated[int, typer.Option(help="With --repeats: the seed of the splits.")] = 0,
    folder: Annotated[
        Path | None, typer.Option(help="With --repeats: the folder for finished repeats.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the table to PATH.md and PATH.json as well.")
    ] = None,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    scores: Scores = None,
    scale: Scale = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Measure how well scores agree with the ratings of people.

    Without --repeats, a predictor scores every picture of the part. If it was trained on another
    database, that is a cross-database test. With --repeats, the field's protocol is run: each
    repeat trains a recipe on 80 % of the references and tests it on the others.
    """
    with _errors_in_words():
        from diqa_utils.ratings import protocol, runs

        part = protocol.DatabasePart(
            database,
            split or "+".join(_parts(database)),
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            options=_own_folder_options(scores, scale, lower_is_better),
        )
        if repeats is None:
            results: list[Any] = [runs.measure(predictor, part)]
        elif folder is None:
            raise ValueError("--repeats needs --folder, where finished repeats are kept.")
        else:
            results = runs.repeat(
                _recipe(recipe), part, repeats=repeats, seed=seed, folder=folder, pristine=pristine
            )
        published = protocol.published(database)
        table = protocol.to_markdown(results, published)
        typer.echo(table)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            results_text = json.dumps(protocol.to_dict(results, published), indent=2)
            for suffix, text in ((".md", table), (".json", results_text)):
                _write_text(Path(f"{output}{suffix}"), text + "\n")


@data_app.command("list")
def list_databases(data_dir: DataDir = None) -> None:
    """List all databases and where to get them.

    The table shows which are installed and what they hold.
    """
    Console().print(datasets.available(data_dir))


@data_app.command()
def prepare(
    name: Name,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the files first, for biq2021.")
    ] = False,
    scores: Scores = None,
    scale: Scale = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Build a database from its files, so that its name loads it."""
    with _errors_in_words():
        parts: Any = datasets.load(
            name,
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            download=download,
            **_own_folder_options(scores, scale, lower_is_better),
        )
        counts = ", ".join(f"{len(dataset):,} in {part!r}" for part, dataset in parts.items())
        typer.echo(f"{name} is ready: {counts}.")


@data_app.command()
def verify(
    name: Name,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    scores: Scores = None,
    scale: Scale = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Check every row and every picture of a copy of a database.

    The exit code is 1 if anything is wrong.
    """
    with _errors_in_words():
        report = datasets.verify(
            name,
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            **_own_folder_options(scores, scale, lower_is_better),
        )
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Starts TensorFlow; says in a sentence what goes wrong, and exits with code 1."""
    start_tensorflow_quietly()
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        typer.echo(f"Error: {_message(error)}", err=True)
        raise typer.Exit(1) from error


def _message(error: Exception) -> str:
    """The words of an error, without the number that the system has for it."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename!r}" if error.filename else error.strerror


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


def _print_card(card: dict[str, Any], folder: Path) -> None:
    agreement = card["validation"]["agreement"]
    for metric in ("srcc", "plcc", "krcc", "rmse"):
        row = agreement[metric]
        typer.echo(f"{metric.upper()} {row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]")
    interval = card["interval"]
    typer.echo(
        f"An interval of +-{interval['half_width']:.3f} is to hold {interval['confidence']:.0%} of "
        f"the ratings and holds {card['validation']['inside_interval']:.1%} on validation."
    )
    typer.echo(f"{card['parameters']:,} parameters; {card['seconds']:,} s. All of it: {folder}")


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))


def _recipe(text: str) -> "RatingsRecipe":
    """A recipe by the name of its predictor, or from a file."""
    from diqa_utils.ratings.recipe import PREDICTORS, RatingsRecipe

    if text in PREDICTORS:
        return RatingsRecipe(predictor=text)
    if not Path(text).exists():
        names = ", ".join(PREDICTORS)
        raise FileNotFoundError(f"{text!r} is neither one of {names} nor a file with a recipe.")
    return RatingsRecipe.from_json(Path(text).read_text(encoding="utf-8"))


def _parts(database: str) -> list[str]:
    """The names of the parts of a database that are not left out by default."""
    entry = CATALOG.get(database)
    return list(entry.splits) if entry and entry.splits else ["rated"]


def _own_folder_options(
    scores: str | None, scale: tuple[float, float] | None, lower_is_better: bool
) -> dict[str, Any]:
    """Only what was given: no other database than folder_iqa takes any."""
    options: dict[str, Any] = {"scores": scores, "scale": scale}
    options["higher_is_better"] = False if lower_is_better else None
    return {name: value for name, value in options.items() if value is not None}
