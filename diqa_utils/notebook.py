"""Helpers for the chapters: a quiet start, sources, checked answers, and what was measured."""

import ast
import copy
import html
import inspect
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diqa_utils._internal.startup import start_tensorflow_quietly

if TYPE_CHECKING:
    from IPython.display import Markdown

__all__ = ["check", "results", "setup", "show_source"]

#: How the book's charts look. Twelve points in a figure 6.4 inches wide can still be read when a
#: telephone shows the figure 350 pixels wide.
FIGURE_STYLE: dict[Any, Any] = {
    "figure.dpi": 192,  # twice a page's, for what an SVG holds as pixels
    "svg.fonttype": "path",
    "svg.hashsalt": "diqa",  # the same figure is the same file
    "figure.figsize": (6.4, 3.8),
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 12,
    "axes.titlesize": "medium",
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 2,
}


#: What is wrong with an exercise that the reader has not begun.
NO_ANSWER = "there is no answer yet"


def setup(seed: int = 0) -> None:
    """Starts TensorFlow quietly, seeds all random numbers, and sets the style of the charts.

    In a notebook, charts are then shown as SVG, which is sharp at any size.

    Call it before the first import of TensorFlow: later, TensorFlow has said its piece.

    Args:
        seed: Seed of Python's, NumPy's and TensorFlow's random numbers.
    """
    start_tensorflow_quietly()

    import keras
    import matplotlib.pyplot as plt

    keras.utils.set_random_seed(seed)
    plt.rcParams.update(FIGURE_STYLE)
    _show_charts_as_svg()


def _show_charts_as_svg() -> None:
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})


def show_source(function: Any) -> "Markdown":
    """Returns the source of a function without its docstring, for a notebook to display.

    Args:
        function: A function or method, as it is installed; one wrapped by a decorator or by
            `tf.function` is shown as it was written.

    Returns:
        `IPython.display.Markdown` with a block of Python.

    Raises:
        ValueError: If it has no Python source, like a function written in C.
    """
    from IPython.display import Markdown

    written = function
    while hasattr(written, "python_function") or hasattr(written, "__wrapped__"):
        # What a tf.function wraps is its `python_function`.
        written = inspect.unwrap(getattr(written, "python_function", written))
    try:
        source = textwrap.dedent(inspect.getsource(written))
        definition: Any = ast.parse(source).body[0]
        has_docstring = ast.get_docstring(definition) is not None
    except (OSError, TypeError, SyntaxError) as error:
        raise ValueError(f"{function!r} has no Python source to show: {error}.") from error
    if has_docstring:
        lines = source.splitlines(keepends=True)
        docstring = definition.body[0]
        body = "".join(lines[docstring.end_lineno :]).lstrip("\n")
        source = "".join(lines[: docstring.lineno - 1]) + body
    return Markdown(f"```python\n{source.rstrip()}\n```")


class Verdict:
    """What `check` says of an answer: a coloured line in a notebook, plain text elsewhere.

    Args:
        sentence: What to tell the reader.
        colour: CSS colour of the bar beside it.
    """

    def __init__(self, sentence: str, colour: str) -> None:
        self.sentence = sentence
        self.colour = colour

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        style = f"border-left: 0.3em solid {self.colour}; padding: 0.2em 0.8em"
        return f'<div class="verdict" style="{style}">{html.escape(self.sentence)}</div>'


def check(exercise: str, answer: Any) -> None:
    """Displays whether the answer to an exercise is right, and if not, what to look at.

    The right answer is in the library and not on the page. What is displayed does not give it away,
    and an answer that fails raises nothing.

    Args:
        exercise: Number of the exercise, such as "3.1".
        answer: A number, truth value, string, list, array or tensor, or a function, as the exercise
            asks for; `...` or None for an exercise that is not yet answered.

    Raises:
        ValueError: If there is no exercise of that number.
    """
    from IPython.display import display

    from diqa_utils.exercises import EXERCISES

    if exercise not in EXERCISES:
        raise ValueError(f"There is no exercise {exercise!r}: name one of {', '.join(EXERCISES)}.")
    known = EXERCISES[exercise]
    if known.trials:
        problem = _problem_of_function(answer, known.solution, known.trials, known.tolerance)
    else:
        problem = _problem(answer, known.solution(), known.tolerance)
    if problem is None:
        verdict = Verdict(f"Exercise {exercise}: that is right.", "#2e7d32")
    elif problem.endswith(NO_ANSWER):
        verdict = Verdict(f"Exercise {exercise}: your turn.", "#1976d2")
    else:
        verdict = Verdict(
            f"Exercise {exercise}: not quite. {problem[0].upper()}{problem[1:]}.", "#b26a00"
        )
    display(verdict)


def _problem_of_function(
    function: Any, solution: Callable[..., Any], trials: Sequence[tuple[Any, ...]], tolerance: float
) -> str | None:
    """What is wrong with a function's results, None if nothing is."""
    if not callable(function):
        return _problem(function, _problem, tolerance)  # any function: they differ in kind
    for number, trial in enumerate(trials, start=1):
        try:
            # A copy, lest a function that writes into its arguments spoil them for good.
            given = function(*copy.deepcopy(trial))
            problem = _problem(given, solution(*trial), tolerance)
        except Exception as error:
            message = textwrap.shorten(str(error), 200).rstrip(".")
            problem = f"it raised {type(error).__name__}: {message or 'no message'}"
        if problem is not None:
            return f"in trial {number} of {len(trials)}, {problem}"
    return None


def _problem(answer: Any, expected: Any, tolerance: float) -> str | None:
    """What is wrong with a value, None if nothing is; says nothing about the right value."""
    if answer is None or answer is Ellipsis:
        return NO_ANSWER
    given, right = _as_array(answer), _as_array(expected)
    if _kind(given) != _kind(right):
        return f"got {_kind(given)}, expected {_kind(right)}"
    if right.dtype.kind in "iufc":
        close = np.isclose(given, right, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        close = np.asarray(given == right)
    if close.all():
        return None
    if right.ndim:
        wrong = f"{np.count_nonzero(~close)} of its {close.size} values differ"
        return f"got {_kind(given)}, which is the right shape, but {wrong}"
    value = textwrap.shorten(str(given), 200)
    return f"got {value}, and {_kind(right)} is expected, but not this one"


def _as_array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except Exception:  # a ragged list, a symbolic tensor
        array = np.empty((), object)
        array[()] = value
        return array


def _kind(values: np.ndarray) -> str:
    """The kind and shape of values in words, without the values."""
    if values.dtype.kind in "iufc":
        single, several = "a number", "numbers"
    elif values.dtype.kind == "b":
        single, several = "True or False", "truth values"
    elif values.dtype.kind == "U":
        single, several = "a string", "strings"
    else:
        single, several = f"a {type(values[()]).__name__}", "objects"
    return f"an array of {several} of shape {values.shape}" if values.ndim else single


def results(name: str) -> dict[str, Any]:
    """Reads what a benchmark of the book's repository measured.

    Args:
        name: Name of the results file without its ending, such as "speed" or "ablations".

    Returns:
        The numbers, nested by their meaning; None where one is not defined.

    Raises:
        ValueError: If there are no results of that name.
    """
    folder = Path(__file__).with_name("results")
    names = sorted(path.stem for path in folder.glob("*.json"))
    if name not in names:
        raise ValueError(f"There are no results {name!r}: name one of {', '.join(names)}.")
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
