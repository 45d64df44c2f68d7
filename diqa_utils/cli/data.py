"""`diqa data list`, `diqa data prepare` and `diqa data verify`."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from diqa_utils.cli.common import (
    PLAIN,
    Columns,
    DataDir,
    Decimal,
    LowerIsBetter,
    ManualDir,
    Name,
    Partial,
    Scale,
    Scores,
    Separator,
    errors_in_words,
    own_folder_options,
)

# Databases are imported within the functions: a score must not wait for them.
app = typer.Typer(no_args_is_help=True, **PLAIN)

Settings = dict[str, Any]


def place_and_options(
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    scores: Scores = None,
    columns: Columns = None,
    separator: Separator = None,
    decimal: Decimal = None,
    scale: Scale = None,
    lower_is_better: LowerIsBetter = False,
) -> tuple[Settings, Settings]:
    """Where a database is, and how the table of an own folder is read, as the library takes it."""
    place = {"data_dir": data_dir, "manual_dir": manual_dir, "partial": partial}
    options = own_folder_options(scores, columns, separator, decimal, scale, lower_is_better)
    return place, options


def reads_a_database(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of `place_and_options` to a command, and says its errors in words."""
    shared = inspect.signature(place_and_options).parameters
    own = inspect.signature(command).parameters

    @functools.wraps(command)
    def run(**given: Any) -> None:
        with errors_in_words():
            place, options = place_and_options(**{name: given.pop(name) for name in shared})
            command(**given, place=place, options=options)

    own_only = [own[name] for name in own if name not in ("place", "options")]
    run.__signature__ = inspect.Signature([*own_only, *shared.values()])  # type: ignore[attr-defined]
    return run


@app.command("list")
def list_databases(data_dir: DataDir = None) -> None:
    """List all databases and where to get them.

    The table shows which are installed and what they hold.
    """
    from diqa_utils import datasets

    typer.echo(datasets.available(data_dir))


@app.command()
@reads_a_database
def prepare(
    name: Name,
    place: Settings,
    options: Settings,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the files first, for biq2021.")
    ] = False,
) -> None:
    """Build a database from its files, so that its name loads it."""
    from diqa_utils import datasets

    parts: Any = datasets.load(name, download=download, **place, **options)
    counts = ", ".join(f"{len(dataset):,} in {part!r}" for part, dataset in parts.items())
    typer.echo(f"{name} is ready: {counts}.")


@app.command()
@reads_a_database
def verify(name: Name, place: Settings, options: Settings) -> None:
    """Check every row and every picture of a copy of a database.

    The exit code is 1 if anything is wrong.
    """
    from diqa_utils import datasets

    report = datasets.verify(name, **place, **options)
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)
