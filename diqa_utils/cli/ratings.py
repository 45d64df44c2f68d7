"""`diqa train`, `resume`, `search`, `export-weights`, `export` and `evaluate`."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diqa_utils._internal.files import write_text
from diqa_utils.cli.common import Database, Predictor, Pristine, errors_in_words, signals_stop
from diqa_utils.cli.data import Settings, reads_a_database

#: The recipes that have a name, and the predictors that they train.
RECIPES = {"best": "extended", "diqa": "diqa"}

#: The exit code of a worker that has lost another one: EX_TEMPFAIL, "try again".
LOST_WORKER = 75

Strategy = Annotated[
    str | None,
    typer.Option(
        help="mirrored: share each batch among the GPUs of this machine; workers: among the "
        "processes that TF_CONFIG names."
    ),
]
Bfloat16 = Annotated[
    bool, typer.Option("--bfloat16", help="Let f compute in half precision, for recent GPUs.")
]

# What needs TensorFlow is imported within the functions: help must not wait for it.
if TYPE_CHECKING:
    from diqa_utils.ratings.protocol import DatabasePart
    from diqa_utils.ratings.recipe import RatingsRecipe


@reads_a_database
def train(
    recipe: Annotated[
        str, typer.Argument(help='"best", "diqa", or a JSON file with the settings.')
    ],
    database: Database,
    folder: Annotated[Path, typer.Option(help="The folder for the run and all that it keeps.")],
    place: Settings,
    options: Settings,
    split: Annotated[
        str | None, typer.Option(help="The part to learn from: `train` if there is one.")
    ] = None,
    pristine: Pristine = None,
    strategy: Strategy = None,
    bfloat16: Bfloat16 = False,
) -> None:
    """Train a predictor on the ratings of a database.

    A run that was stopped goes on when it is started again, or with `diqa resume`.
    """
    with signals_stop(lambda: _how_to_go_on(folder)), _on(strategy, bfloat16) as devices:
        from diqa_utils.ratings import runs

        settings = _recipe(recipe)
        part = _part_to_learn_from(database, split, place, options)
        run = runs.RatingsRun(part, str(folder), pristine=pristine)
        _print_card(run.train(settings, **devices), folder)


def resume(
    folder: Annotated[Path, typer.Argument(help="The folder of a run that was stopped.")],
) -> None:
    """Go on with a training run where it was stopped."""
    with signals_stop(lambda: _how_to_go_on(folder)), errors_in_words():
        from diqa_utils.ratings import runs

        run, recipe = runs.load_run(folder)
        _print_card(run.train(recipe), folder)


@reads_a_database
def search(
    recipe: Annotated[
        str, typer.Argument(help="A JSON file with the settings, some of which are ranges.")
    ],
    database: Database,
    trials: Annotated[
        int, typer.Option(help="Trials in all, those of other processes and of before included.")
    ],
    folder: Annotated[Path, typer.Option(help="The folder for the trials and the best recipe.")],
    place: Settings,
    options: Settings,
    storage: Annotated[
        Path | None, typer.Option(help="The SQLite file to share; search.db in the folder if none.")
    ] = None,
    objective: Annotated[
        str, typer.Option(help="srcc or plcc, on the validation pictures.")
    ] = "srcc",
    split: Annotated[
        str | None, typer.Option(help="The part to learn from: `train` if there is one.")
    ] = None,
    pristine: Pristine = None,
) -> None:
    """Search for better settings of a training, with Optuna.

    In the recipe a range may stand for a setting: {"statistics": {"units": {"one_of": [64, 256]},
    "dropout": {"from": 0, "to": 0.6}, "learning_rate": {"from": 1e-4, "to": 0.01, "log": true}}}.
    A search that was stopped goes on with the same command; start it twice to use two processes.
    """
    with signals_stop(lambda: "the same command goes on"):
        from diqa_utils.ratings import search as searching

        with suppress(ImportError):  # that it is missing is said below
            import optuna

            optuna.logging.set_verbosity(optuna.logging.ERROR)
        space = searching.SearchSpace.from_file(recipe)
        part = _part_to_learn_from(database, split, place, options)
        settings: Any = {"trials": trials, "folder": folder, "storage": storage}
        try:
            searching.search(space, part, objective=objective, pristine=pristine, **settings)
        except KeyboardInterrupt:
            _print_trials(folder)
            raise
        _print_trials(folder)


def export_weights(
    run: Annotated[Path, typer.Argument(help="The folder of a run that has come to its end.")],
    folder: Annotated[Path, typer.Argument(help="The folder for weights, card and model card.")],
    sources: Annotated[
        str | None, typer.Option(help="For the model card: where the pictures are from.")
    ] = None,
) -> None:
    """Write weights, graphs and model card of a run, to hand on."""
    with errors_in_words():
        from diqa_utils.export import write_graphs
        from diqa_utils.inference import load_predictor
        from diqa_utils.ratings.model_cards import model_card

        predictor: Any = load_predictor(run)
        if sources is not None:
            predictor.card["sources"] = sources
        text = model_card(folder.absolute().name, predictor.card)
        predictor.save(folder)
        write_text(folder / "README.md", text)
        try:
            write_graphs(predictor, folder, name=folder.absolute().name)
        except ImportError as error:
            typer.echo(f"Without graphs for ONNX Runtime, for which {error}", err=True)
        files = sorted(path for path in folder.iterdir() if path.is_file())
        for path in files:
            typer.echo(f"{path}: {path.stat().st_size:,} bytes")


def export(
    predictor: Annotated[str, typer.Argument(help="A name, or the folder of a predictor.")],
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    format_: Annotated[
        str, typer.Option("--format", help="onnx, litert, or keras (FILE ends in .keras).")
    ] = "onnx",
) -> None:
    """Write a predictor as one file for other runtimes.

    From the pixels of a picture it gives score, interval and predicted error map.
    """
    with errors_in_words():
        from diqa_utils import export as exporting
        from diqa_utils.inference import load_predictor

        name = Path(predictor).absolute().name
        loaded: Any = load_predictor(predictor)
        exporting.export(loaded, file, format=format_, name=name)
        typer.echo(f"{file}: {file.stat().st_size:,} bytes")


@reads_a_database
def evaluate(
    database: Database,
    place: Settings,
    options: Settings,
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
    folder: Annotated[
        Path | None, typer.Option(help="With --repeats: the folder for the runs.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the table to PATH.md and PATH.json as well.")
    ] = None,
) -> None:
    """Measure how well scores agree with the ratings of people.

    Without --repeats, a predictor scores every picture of the part. If it was trained on another
    database, that is a cross-database test. With --repeats, the field's protocol is run: each
    repeat trains a recipe on 80 % of the references and tests it on the others.
    """
    from diqa_utils.ratings import protocol, runs

    split = split or "+".join(_parts(database, **place, **options))
    part = protocol.DatabasePart(database, split, **place, options=options)
    if repeats is None:
        results: list[Any] = [runs.measure(predictor, part)]
    elif folder is None:
        raise ValueError("--repeats needs --folder, where the runs are kept.")
    else:
        results = runs.repeat(
            _recipe(recipe), part, repeats=repeats, folder=folder, pristine=pristine
        )
    published = protocol.published(database)
    table = protocol.to_markdown(results, published)
    typer.echo(table)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        results_text = json.dumps(protocol.to_dict(results, published), indent=2)
        for suffix, text in ((".md", table), (".json", results_text)):
            write_text(Path(f"{output}{suffix}"), text + "\n")


def _print_card(card: dict[str, Any], folder: Path) -> None:
    agreement = card["validation"]["agreement"]
    for metric in ("srcc", "plcc", "krcc", "rmse"):
        row = agreement[metric]
        typer.echo(f"{metric.upper()} {row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]")
    validation = card["validation"]
    typer.echo(
        f"Intervals are {validation['mean_width']:.3f} wide on average, are to hold "
        f"{card['interval']['confidence']:.0%} of the ratings and hold "
        f"{validation['inside_interval']:.1%} on validation."
    )
    typer.echo(f"{card['parameters']:,} parameters; {card['seconds']:,} s. All of it: {folder}")


@contextmanager
def _on(strategy: str | None, bfloat16: bool) -> Iterator[dict[str, Any]]:
    """The devices to train on; says what to do if another worker is lost."""
    import tensorflow as tf

    from diqa_utils.distribution import make_strategy

    try:
        yield {"strategy": strategy and make_strategy(strategy), "bfloat16": bfloat16}
    except (tf.errors.UnavailableError, tf.errors.AbortedError):
        typer.echo("Another worker was lost: start this one again, and the run goes on.", err=True)
        # At once: what still runs in threads may never come to an end.
        os._exit(LOST_WORKER)


def _print_trials(folder: Path) -> None:
    """Prints the trials that have ended, the best one first."""
    if not (folder / "trials.json").exists():
        return
    kept = json.loads((folder / "trials.json").read_text(encoding="utf-8"))
    ended = [trial for trial in kept["trials"] if trial["state"] in ("complete", "pruned")]
    ended.sort(key=lambda trial: (trial["state"], -(trial["value"] or 0)))
    names = list(kept["made_of"]["ranges"])
    rows = [["trial", kept["made_of"]["objective"], "epochs", *names]]
    for trial in ended:
        agreement = "pruned" if trial["state"] == "pruned" else f"{trial['value']:.4f}"
        drawn = (trial["settings"].get(name, "") for name in names)
        values = [f"{each:.4g}" if isinstance(each, float) else str(each) for each in drawn]
        rows.append([str(trial["trial"]), agreement, str(len(trial["by_epoch"])), *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    if (folder / "best.json").exists():
        typer.echo(f"The best recipe is in {folder / 'best.json'}: train takes it.")


def _how_to_go_on(folder: Path) -> str:
    if (folder / "run.json").exists():
        return f"`diqa resume {folder}` goes on"
    return "the run had not begun; start it again"


def _recipe(text: str) -> "RatingsRecipe":
    """A recipe by its name, or from a file."""
    from diqa_utils.ratings.recipe import RatingsRecipe

    if text in RECIPES:
        return RatingsRecipe(predictor=RECIPES[text])
    if not Path(text).exists():
        names = ", ".join(RECIPES)
        raise FileNotFoundError(f"{text!r} is neither one of {names} nor a file with a recipe.")
    return RatingsRecipe.from_file(text)


def _part_to_learn_from(
    database: str, split: str | None, place: Settings, options: Settings
) -> "DatabasePart":
    """The part that is named, or the only one, or the one that is called train."""
    from diqa_utils.ratings.protocol import DatabasePart

    if split is None:
        parts = _parts(database, **place, **options)
        if len(parts) > 1 and "train" not in parts:
            raise ValueError(f"--split is missing: name one of {', '.join(parts)}.")
        split = "train" if "train" in parts else parts[0]
    return DatabasePart(database, split, **place, options=options)


def _parts(database: str, **settings: Any) -> list[str]:
    """The names of the parts of a database that are not left out by default."""
    from diqa_utils import datasets
    from diqa_utils.datasets.catalog import CATALOG

    entry = CATALOG.get(database)
    if entry and entry.splits:
        return list(entry.splits)
    parts: Any = datasets.load(database, **settings)  # of a folder, its table names them
    return list(parts)
