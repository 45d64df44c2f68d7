"""The command `diqa`: score photographs, train and measure predictors, look after databases."""

from typing import Annotated

import typer

from diqa_utils import __version__
from diqa_utils.cli import data, ratings
from diqa_utils.cli.common import PLAIN
from diqa_utils.cli.scoring import score

app = typer.Typer(no_args_is_help=True, **PLAIN)
score_app = typer.Typer(**PLAIN)  # `diqa-score`, which is `diqa score`
for command in (
    score,
    ratings.train,
    ratings.resume,
    ratings.search,
    ratings.evaluate,
    ratings.export,
    ratings.export_weights,
):
    app.command()(command)
score_app.command()(score)
app.add_typer(data.app, name="data", help="List, build and check databases of rated pictures.")


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
