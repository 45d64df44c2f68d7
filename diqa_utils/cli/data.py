"""`diqa data list`, `diqa data prepare` and `diqa data verify`."""

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


@app.command("list")
def list_databases(data_dir: DataDir = None) -> None:
    """List all databases and where to get them.

    The table shows which are installed and what they hold.
    """
    from rich.console import Console

    from diqa_utils import datasets

    Console().print(datasets.available(data_dir))


@app.command()
def prepare(
    name: Name,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the files first, for biq2021.")
    ] = False,
    scores: Scores = None,
    columns: Columns = None,
    separator: Separator = None,
    decimal: Decimal = None,
    scale: Scale = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Build a database from its files, so that its name loads it."""
    with errors_in_words():
        from diqa_utils import datasets

        parts: Any = datasets.load(
            name,
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            download=download,
            **own_folder_options(scores, columns, separator, decimal, scale, lower_is_better),
        )
        counts = ", ".join(f"{len(dataset):,} in {part!r}" for part, dataset in parts.items())
        typer.echo(f"{name} is ready: {counts}.")


@app.command()
def verify(
    name: Name,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    scores: Scores = None,
    columns: Columns = None,
    separator: Separator = None,
    decimal: Decimal = None,
    scale: Scale = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Check every row and every picture of a copy of a database.

    The exit code is 1 if anything is wrong.
    """
    with errors_in_words():
        from diqa_utils import datasets

        report = datasets.verify(
            name,
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            **own_folder_options(scores, columns, separator, decimal, scale, lower_is_better),
        )
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)
