"""What the commands share: options, and errors in words."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from diqa_utils._internal.startup import start_tensorflow_quietly

# Plain text: the tables that typer draws leave too little room for a sentence in 80 columns.
PLAIN: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}

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
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=TITLE,...",
        help="For folder_iqa: titles of its columns, such as image=photo,score=vote.",
    ),
]
Separator = Annotated[
    str | None, typer.Option(help="For folder_iqa: what stands between the cells of its table.")
]
Decimal = Annotated[
    str | None, typer.Option(metavar="SIGN", help="For folder_iqa: the sign before decimals.")
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
Runtime = Annotated[
    str,
    typer.Option(help="What runs the predictor: onnx, tensorflow, or auto: onnx where it can."),
]
Pristine = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="A folder of pictures without visible faults, for step 1."),
]


class Stopped(KeyboardInterrupt):
    """Ctrl-C was pressed, or the process was asked to end; holds the number of the signal."""


class Signals:
    """What SIGINT and SIGTERM do: raise `Stopped`, at once or where it does no harm."""

    def __init__(self) -> None:
        self.holding, self.waiting = False, 0

    def __call__(self, number: int, frame: object) -> None:
        """Is called with the number of the signal; the second one is not held back."""
        if not self.holding or self.waiting:
            raise Stopped(number)
        self.waiting = number

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lets a signal wait for the end of what must not be done by half."""
        self.holding = True
        try:
            yield
        finally:
            self.holding = False
        if self.waiting:
            raise Stopped(self.waiting)


@contextmanager
def signals_stop(words: Callable[[], str] | None = None) -> Iterator[Signals]:
    """Lets SIGINT and SIGTERM raise `Stopped`, and ends the command with 128 and their number.

    Args:
        words: Says how to go on.
    """
    signals = Signals()
    before = {number: signal.signal(number, signals) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    except KeyboardInterrupt as stopped:
        if words is not None:
            typer.echo(f"Stopped: {words()}.", err=True)
        number = stopped.args[0] if isinstance(stopped, Stopped) else signal.SIGINT
        raise typer.Exit(128 + number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def errors_in_words(*, tensorflow: bool = True) -> Iterator[None]:
    """Says in a sentence what goes wrong, and exits with code 1.

    Args:
        tensorflow: Whether to start TensorFlow, which takes seconds.
    """
    if tensorflow:
        start_tensorflow_quietly()
    try:
        yield
    except BrokenPipeError as error:  # who reads has seen enough
        raise typer.Exit(1) from error
    except (ValueError, TypeError, OSError, ImportError) as error:
        typer.echo(f"Error: {message(error)}", err=True)
        raise typer.Exit(1) from error


def message(error: Exception) -> str:
    """The words of an error, without the number that the system has for it."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename!r}" if error.filename else error.strerror


def own_folder_options(
    scores: str | None,
    columns: str | None,
    separator: str | None,
    decimal: str | None,
    scale: tuple[float, float] | None,
    lower_is_better: bool,
) -> dict[str, Any]:
    """Only what was given: no other database than folder_iqa takes any."""
    options: dict[str, Any] = {"scores": scores, "decimal": decimal, "scale": scale}
    options["columns"] = None if columns is None else _titles(columns)
    options["separator"] = "\t" if separator in ("\\t", "tab") else separator
    options["higher_is_better"] = False if lower_is_better else None
    return {name: value for name, value in options.items() if value is not None}


def _titles(columns: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in columns.split(",")]
    if wrong := ["".join(pair) for pair in pairs if not (pair[0] and pair[2])]:
        raise ValueError(f"--columns has {wrong[0]!r}: give it as image=TITLE,score=TITLE.")
    return {name.strip(): title.strip() for name, _, title in pairs}
