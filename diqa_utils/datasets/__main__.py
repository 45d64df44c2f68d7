"""The command line: `python -m diqa_utils.datasets list | prepare NAME | verify NAME`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from diqa_utils import datasets
from diqa_utils._internal.startup import start_tensorflow_quietly

if TYPE_CHECKING:
    import tensorflow as tf

app = typer.Typer(
    help="Databases of image quality on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="A name from the list.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Where built databases are kept, if not in the cache folder.")
]
ManualDir = Annotated[
    Path | None, typer.Option(help="The folder or archive with the files that you have fetched.")
]
Partial = Annotated[bool, typer.Option("--partial", help="Accept a copy that lacks some rows.")]
Scores = Annotated[str | None, typer.Option(help="folder_iqa: the table, as seen from the folder.")]
ScaleOption = Annotated[
    tuple[float, float] | None, typer.Option("--scale", help="folder_iqa: lowest, highest score.")
]
LowerIsBetter = Annotated[
    bool, typer.Option("--lower-is-better", help="folder_iqa: low scores are good ones.")
]


@app.command("list")
def list_databases(data_dir: DataDir = None) -> None:
    """List all databases: whether they are installed, what they hold, where to get them."""
    Console().print(datasets.available(data_dir))


@app.command()
def prepare(
    name: Name,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch it first (biq2021).")] = False,
    scores: Scores = None,
    scale: ScaleOption = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Build a database from the files of its owners, so that it loads in one line."""
    with errors_in_words():
        loaded = datasets.load(
            name,
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            download=download,
            **own_folder_options(scores, scale, lower_is_better),
        )
        parts = cast("dict[str, tf.data.Dataset]", loaded)  # no split was named
        counts = ", ".join(f"{len(dataset):,} in {part!r}" for part, dataset in parts.items())
        typer.echo(f"{name} is ready: {counts}.")


@app.command()
def verify(
    name: Name,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    scores: Scores = None,
    scale: ScaleOption = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Check a copy of a database: every row and every picture. Exit code 1 if anything is wrong."""
    with errors_in_words():
        report = datasets.verify(
            name,
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            **own_folder_options(scores, scale, lower_is_better),
        )
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


def own_folder_options(
    scores: str | None, scale: tuple[float, float] | None, lower_is_better: bool
) -> dict[str, Any]:
    """Only what was given: no other database than folder_iqa takes any."""
    options: dict[str, Any] = {"scores": scores, "scale": scale}
    options["higher_is_better"] = False if lower_is_better else None
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Says in a sentence what went wrong, and ends the program with exit code 1."""
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


if __name__ == "__main__":
    app(prog_name="python -m diqa_utils.datasets")
