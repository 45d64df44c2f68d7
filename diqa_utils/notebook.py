"""Helpers for the chapters: a quiet and seeded start, the source of a function, checked answers."""

import ast
import inspect
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diqa_utils._internal.startup import start_tensorflow_quietly

if TYPE_CHECKING:
    from IPython.display import Markdown

__all__ = ["check_answer", "results", "setup", "show_source"]

#: How the book's figures look. Eleven points in a figure 6.4 inches wide can still be read when a
#: telephone shows the figure 350 pixels wide.
FIGURE_STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "figure.figsize": (6.4, 3.8),
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": "medium",
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 2,
}

MAX_MESSAGE = 200


def setup(seed: int = 0) -> None:
    """Starts TensorFlow quietly, seeds all random numbers, and sets the style of the figures.

    Call it before the first import of TensorFlow: later, TensorFlow has said its piece.

    Args:
        seed: for Python, NumPy and TensorFlow alike.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    start_tensorflow_quietly()

    import keras
    import matplotlib.pyplot as plt

    keras.utils.set_random_seed(seed)
    plt.rcParams.update(FIGURE_STYLE)


def show_source(function: Any, *, docstring: bool = False) -> "Markdown":
    """Returns the source of a function, as it is installed, for a notebook to display.

    Args:
        function: a function, method or class; one wrapped by a decorator or by `tf.function` is
            shown as it was written.
        docstring: whether to show docstrings too; the API reference has them.

    Returns:
        `IPython.display.Markdown` with a block of Python.

    Raises:
        TypeError: if `function` is no function, method or class.
        ValueError: if it has no Python source, as a function written in C.

    Chapter: notebooks/02-normalisation.ipynb
    """
    from IPython.display import Markdown

    written = _unwrap(function)
    if not (inspect.isroutine(written) or inspect.isclass(written)):
        raise TypeError(f"show_source takes a function, method or class, not {written!r}.")
    try:
        source = textwrap.dedent(inspect.getsource(written))
    except (OSError, TypeError) as error:
        name = getattr(written, "__name__", repr(written))
        raise ValueError(f"{name} has no Python source to show: {error}.") from error
    if not docstring:
        source = _without_docstrings(source)
    fence = "````" if "```" in source else "```"
    return Markdown(f"{fence}python\n{source.rstrip()}\n{fence}")


def _unwrap(function: Any) -> Any:
    """What stands under the decorators; a `tf.function` keeps it as `python_function`."""
    while hasattr(function, "python_function") or hasattr(function, "__wrapped__"):
        function = inspect.unwrap(getattr(function, "python_function", function))
    return function


def _without_docstrings(source: str) -> str:
    """The source without the docstrings of its functions and classes; comments stay."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a lambda's source is the line that it stands in
        return source
    lines = source.splitlines()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    definitions = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    for node in sorted(definitions, key=lambda node: node.body[0].lineno, reverse=True):
        first = node.body[0]
        if ast.get_docstring(node) is None or first.lineno == node.lineno:
            continue
        end = first.end_lineno or first.lineno
        while end < len(lines) and not lines[end].strip():
            end += 1  # the empty lines that set the docstring apart
        placeholder = [" " * first.col_offset + "..."] if len(node.body) == 1 else []
        lines[first.lineno - 1 : end] = placeholder
    return "\n".join(lines)


def check_answer(
    answer: Any,
    expected: Any,
    *,
    arguments: Sequence[Any] | None = None,
    tolerance: float = 1e-5,
    hint: str = "",
) -> None:
    """Prints whether the answer to an exercise is right, and if not, what to look at.

    Prints `Right.`, or one sentence that begins with `Not yet:` and does not give the answer away.
    An exercise not yet answered (None, `...`) and a function that fails raise nothing.

    Args:
        answer: a number, array, tensor, string or list, or, with `arguments`, a function.
        expected: the right answer; with `arguments`, the right results, one for each, or a
            function that returns them.
        arguments: what to try a function on: for each trial a tuple of arguments, or the one
            argument itself if it is no tuple.
        tolerance: how far numbers may be off, relative for large ones and absolute for small ones.
        hint: a sentence printed after `Not yet: ...`.

    Raises:
        ValueError: if `expected` and `arguments` do not fit each other: a mistake in the exercise,
            not in the answer.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    if arguments is not None:
        problem = _problem_of_function(answer, expected, list(arguments), tolerance)
    elif callable(expected):
        raise ValueError("To check a function, say in `arguments` what to try it on.")
    else:
        problem = _problem(answer, expected, tolerance)
    if problem is None:
        print("Right.")
    else:
        print(f"Not yet: {problem}." + (f" Hint: {hint}" if hint else ""))


def _problem_of_function(
    function: Any, expected: Any, arguments: list[Any], tolerance: float
) -> str | None:
    """What is wrong with a function's results, None if nothing is."""
    trials = [trial if isinstance(trial, tuple) else (trial,) for trial in arguments]
    results = [expected(*trial) for trial in trials] if callable(expected) else list(expected)
    if not trials or len(results) != len(trials):
        raise ValueError(f"There are {len(trials)} arguments for {len(results)} expected results.")
    if _is_unanswered(function):
        return "there is no answer yet"
    if not callable(function):
        return f"got {_kind(function)}, expected a function"
    for number, (trial, result) in enumerate(zip(trials, results, strict=True), start=1):
        try:
            got = function(*trial)
        except Exception as error:
            problem: str | None = f"it raised {type(error).__name__}: {_first_line(error)}"
        else:
            nothing = _is_unanswered(got) and not _is_unanswered(result)
            problem = "it returned nothing" if nothing else _problem(got, result, tolerance)
        if problem is not None:
            return problem if len(trials) == 1 else f"in trial {number} of {len(trials)}, {problem}"
    return None


def _problem(got: Any, expected: Any, tolerance: float) -> str | None:
    """What is wrong with a value, None if nothing is; says nothing about the right value."""
    if _is_unanswered(got):
        return None if got is expected else "there is no answer yet"
    wanted, found = _as_numbers(expected), _as_numbers(got)
    if wanted is not None:
        if found is None or _kind(got) != _kind(expected):
            return f"got {_kind(got)}, expected {_kind(expected)}"
        close = np.isclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
        if close.all():
            return None
        if wanted.ndim == 0:
            return f"got {found}, and {_kind(expected)} is expected, but not this one"
        nan = ", and some are NaN" if np.isnan(found).any() and not np.isnan(wanted).any() else ""
        wrong = f"{np.count_nonzero(~close)} of its {close.size} values differ"
        return f"got {_kind(got)}, which is the right shape, but {wrong}{nan}"
    if isinstance(expected, list | tuple) and isinstance(got, list | tuple):
        if len(got) != len(expected):
            return f"got {len(got)} items, expected {len(expected)}"
        for number, (item, right) in enumerate(zip(got, expected, strict=True), start=1):
            problem = _problem(item, right, tolerance)
            if problem is not None:
                return f"in item {number}, {problem}"
        return None
    if not isinstance(got, type(expected)):
        return f"got {_kind(got)}, expected {_kind(expected)}"
    if got == expected:
        return None
    return f"got {_shortened(repr(got))}, and {_kind(expected)} is expected, but not this one"


def _is_unanswered(value: Any) -> bool:
    return value is None or value is Ellipsis


def _as_numbers(value: Any) -> np.ndarray | None:
    """The value as an array of numbers or truth values, None if it is nothing of the kind."""
    try:
        array = np.asarray(value)
    except Exception:  # a ragged list, a symbolic tensor
        return None
    return array if array.dtype.kind in "biufc" else None


def _kind(value: Any) -> str:
    """A value's kind and shape in words, without the value."""
    numbers = _as_numbers(value)
    if numbers is not None:
        true_or_false = numbers.dtype.kind == "b"
        if numbers.ndim == 0:
            return "True or False" if true_or_false else "a number"
        values = " of True and False" if true_or_false else ""
        return f"an array{values} of shape {numbers.shape}"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} items"
    if callable(value):
        return "a function"
    return f"an object of type {type(value).__name__}"


def _first_line(error: Exception) -> str:
    return _shortened((str(error).strip() or "no message").splitlines()[0]).rstrip(".")


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 3] + "..."


def results(name: str) -> dict[str, Any]:
    """Reads what a benchmark of the book's repository measured.

    Args:
        name: Name of the results file without its ending: "speed", "ablations", "pretraining",
            "human_ratings" and so on.

    Returns:
        The numbers, nested by what they measure. What is not defined is None.

    Raises:
        ValueError: There are no results of that name.

    Chapter: notebooks/13-speed.ipynb
    """
    folder = Path(__file__).with_name("results")
    names = sorted(path.stem for path in folder.glob("*.json"))
    if name not in names:
        raise ValueError(f"There are no results {name!r}: name one of {', '.join(names)}.")
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
