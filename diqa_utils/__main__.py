"""The command line: `python -m diqa_utils train | resume | evaluate`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diqa_utils.datasets.__main__ import (
    DataDir,
    LowerIsBetter,
    ManualDir,
    Partial,
    ScaleOption,
    Scores,
    errors_in_words,
    own_folder_options,
)

if TYPE_CHECKING:
    from diqa_utils.ratings.training import RatingsRecipe

app = typer.Typer(
    help="Train and measure predictors of image quality.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipeArgument = Annotated[
    str, typer.Argument(help='"extended", "diqa", or a JSON file with the settings of a recipe.')
]
Database = Annotated[
    str, typer.Option(help="A name that `python -m diqa_utils.datasets list` shows.")
]
Folder = Annotated[Path, typer.Option(help="Where the run keeps all that it needs to go on.")]
Pristine = Annotated[
    Path | None, typer.Option(help="A folder of pictures without visible faults, for stage 1.")
]


@app.command()
def train(
    recipe: RecipeArgument,
    database: Database,
    folder: Folder,
    split: Annotated[
        str | None, typer.Option(help="The part to learn from: `train` if there is one.")
    ] = None,
    pristine: Pristine = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's own.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="For prepared pictures, if several runs share them.")
    ] = None,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    scores: Scores = None,
    scale: ScaleOption = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Train a predictor on the ratings of a database. Started again, it goes on."""
    with errors_in_words():
        from diqa_utils.ratings.protocol import DatabasePart
        from diqa_utils.ratings.runs import RatingsRun, _training_part

        settings = _recipe(recipe)
        if seed is not None:
            settings = replace(settings, seed=seed)
        run = RatingsRun(
            DatabasePart(
                database,
                split or _training_part(database),
                data_dir=_text(data_dir),
                manual_dir=_text(manual_dir),
                partial=partial,
                options=own_folder_options(scores, scale, lower_is_better),
            ),
            folder=str(folder),
            pristine=_text(pristine),
            pictures=_text(pictures),
        )
        _report(run.train(settings), folder)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="The folder of a run that was stopped.")],
) -> None:
    """Go on with a run where it was stopped."""
    with errors_in_words():
        from diqa_utils.ratings.runs import load_run

        run, recipe = load_run(folder)
        _report(run.train(recipe), folder)


@app.command()
def evaluate(
    database: Database,
    split: Annotated[
        str | None, typer.Option(help="The part to measure on; all pictures if left out.")
    ] = None,
    predictor: Annotated[
        str, typer.Option(help="A name, or the folder of a run or of a predictor.")
    ] = "biq2021",
    repeats: Annotated[
        int | None,
        typer.Option(help="Train so many times on 80 % of the references, test on the others."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="With --repeats: what to train.")] = "diqa",
    pristine: Pristine = None,
    seed: Annotated[int, typer.Option(help="With --repeats: of the splits.")] = 0,
    folder: Annotated[
        Path | None, typer.Option(help="With --repeats: where to keep what is done.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Writes PATH.md and PATH.json beside printing the table.")
    ] = None,
    data_dir: DataDir = None,
    manual_dir: ManualDir = None,
    partial: Partial = False,
    scores: Scores = None,
    scale: ScaleOption = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """Measure agreement with people: of a predictor as it is, or of one trained many times.

    Without --repeats, a predictor scores every picture of the part. If it was trained on another
    database, that is a cross-database test. With --repeats, the field's protocol is run: for each
    repeat a recipe is trained on 80 % of the references and tested on the others.
    """
    with errors_in_words():
        from diqa_utils.ratings import protocol, runs

        part = protocol.DatabasePart(
            database,
            split or runs._whole(database),
            data_dir=data_dir,
            manual_dir=manual_dir,
            partial=partial,
            options=own_folder_options(scores, scale, lower_is_better),
        )
        results: list[Any]
        if repeats is None:
            results = [runs.measure(predictor, part)]
        else:
            if folder is None:
                raise ValueError("--repeats needs --folder, where finished repeats are kept.")
            settings = _recipe(recipe)
            results = runs.repeat(
                settings, part, repeats=repeats, seed=seed, folder=folder, pristine=pristine
            )
        others = protocol.published(database)
        table = protocol.to_markdown(results, others)
        typer.echo(table)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            Path(f"{output}.md").write_text(table + "\n", encoding="utf-8")
            text = json.dumps(protocol.to_dict(results, others), indent=2, allow_nan=False)
            Path(f"{output}.json").write_text(text + "\n", encoding="utf-8")


def _recipe(text: str) -> "RatingsRecipe":
    """A recipe by the name of its predictor, or from a file."""
    from diqa_utils.ratings.training import PREDICTORS, RatingsRecipe

    if text in PREDICTORS:
        return RatingsRecipe(predictor=text)
    if not Path(text).exists():
        known = ", ".join(PREDICTORS)
        raise FileNotFoundError(f"{text!r} is neither one of {known} nor a file with a recipe.")
    return RatingsRecipe.from_json(Path(text).read_text(encoding="utf-8"))


def _report(card: dict[str, Any], folder: Path) -> None:
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


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


if __name__ == "__main__":
    app(prog_name="python -m diqa_utils")
