import functools
import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import tensorflow as tf

matplotlib.use("Agg")

from diqa_utils import notebook
from diqa_utils._internal.startup import silent_stderr
from diqa_utils.exercises import EXERCISES, Exercise

START = """
from diqa_utils import notebook
notebook.setup(seed=3)
import random, keras, numpy as np, tensorflow as tf
keras.layers.Dense(2)(np.ones((1, 3)))
list(tf.data.Dataset.range(3).map(lambda x: x + 1))
print(random.random(), np.random.normal(), float(tf.random.normal(())))
"""


@pytest.fixture(scope="module")
def runs():
    """Two runs of one program, each in its own process with no setting of TensorFlow's own."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("TF_")}
    command = [sys.executable, "-c", START]
    return [
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        for _ in range(2)
    ]


@pytest.fixture
def _same_settings():
    """Gives Matplotlib and TensorFlow's logger their settings back."""
    level = tf.get_logger().level
    with matplotlib.rc_context():
        yield
    tf.get_logger().setLevel(level)


# --- setup ----------------------------------------------------------------------------------------


def test_setup_is_quiet_and_gives_the_same_random_numbers_in_every_process(runs):
    assert [run.stderr for run in runs] == ["", ""]
    assert runs[0].stdout == runs[1].stdout != ""


@pytest.mark.usefixtures("_same_settings")
def test_setup_does_not_override_the_reader(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    notebook.setup()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_silent_stderr_drops_what_compiled_code_writes(capfd):
    with silent_stderr():
        os.write(2, b"noise")
    os.write(2, b"signal")
    assert capfd.readouterr().err == "signal"


# --- show_source ----------------------------------------------------------------------------------


def double(x):
    """Doubles.

    At some length.
    """

    # A comment stays.
    return 2 * x


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@tf.function
@decorated
def triple(x):
    """Triples."""
    return 3 * x


class Doubler:
    def method(self, x):
        """Doubles, as a method."""
        return 2 * x

    @tf.function
    def compiled(self, x):
        return 2 * x


@pytest.mark.parametrize(
    ("function", "lines"),
    [
        (double, ["def double(x):", "    # A comment stays.", "    return 2 * x"]),
        (triple, ["@tf.function", "@decorated", "def triple(x):", "    return 3 * x"]),
        (Doubler().method, ["def method(self, x):", "    return 2 * x"]),
        (Doubler().compiled, ["@tf.function", "def compiled(self, x):", "    return 2 * x"]),
    ],
)
def test_show_source_shows_what_was_written_without_its_docstring(function, lines):
    shown = notebook.show_source(function).data.splitlines()
    assert shown == ["```python", *lines, "```"]


CASES = {
    "next": lambda x: x + 1,
}


@pytest.mark.parametrize("value", [3, os, len, CASES["next"]])
def test_show_source_refuses_what_is_no_function_with_a_source(value):
    with pytest.raises(ValueError, match="has no Python source to show: "):
        notebook.show_source(value)


# --- check ----------------------------------------------------------------------------------------


@pytest.fixture
def verdict(monkeypatch):
    """What `check` says of an answer to a made-up exercise."""

    def check(answer, solution, *trials, **options):
        shown = []
        monkeypatch.setitem(EXERCISES, "0.1", Exercise(solution, trials, **options))
        monkeypatch.setattr("IPython.display.display", shown.append)
        notebook.check("0.1", answer)
        [verdict] = shown
        return repr(verdict).removeprefix("Exercise 0.1: ")

    return check


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (0.1 + 0.2, 0.3),
        (np.float32(0.1), 0.1),
        (np.True_, True),
        (["china", "flower"], ["china", "flower"]),
        (np.ones((2, 3)), tf.ones((2, 3))),
        ([np.nan, 1], [np.nan, 1]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_right_answers_are_right(verdict, answer, expected):
    assert verdict(answer, lambda: expected) == "that is right."


@pytest.mark.parametrize("answer", [None, ...])
def test_an_exercise_that_nobody_has_begun_is_no_failure(verdict, answer):
    assert verdict(answer, lambda: 3) == "your turn."
    assert verdict(lambda x: answer, double, (2,)) == "your turn."


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [
        (4, 3, "Got 4, and a number is expected, but not this one"),
        (1, True, "Got a number, expected True or False"),
        ("3", 3, "Got a string, expected a number"),
        ([True], [1], "Got an array of truth values of shape (1,), expected an array of numbers"),
        ([1, 2, 4], [1, 2, 3], "which is the right shape, but 1 of its 3 values differ"),
        (["a", "c"], ["a", "b"], "Got an array of strings of shape (2,), which is the right shape"),
        ("noise", "blur", "Got noise, and a string is expected, but not this one"),
        ([[1], [2, 3]], 3, "Got a list, expected a number"),
        ("x y" * 5000, "y", "[...], and a string is expected"),
    ],
)
def test_wrong_answers_are_told_what_to_look_at(verdict, answer, expected, message):
    sentence = verdict(answer, lambda: expected)
    assert sentence.startswith("not quite. ")
    assert message in sentence
    assert len(sentence) < 300


def test_tolerance_decides_how_near_is_near(verdict):
    assert verdict(1.01, lambda: 1, tolerance=0.1) == "that is right."
    assert verdict(1.01, lambda: 1).startswith("not quite")


def test_right_functions_are_right(verdict):
    assert verdict(lambda a, b: a + b, np.add, (1, 2), (3, 4)) == "that is right."
    assert verdict(lambda x: x + x, double, (1,), (np.ones(3),)) == "that is right."


def fails(x):
    raise ValueError("bad value.\nDetails.")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (3, "Got a number, expected a function"),
        (fails, "In trial 1 of 2, it raised ValueError: bad value. Details."),
        (lambda x: x * x, "In trial 2 of 2, got 9, and a number is expected, but not this one"),
    ],
)
def test_wrong_functions_are_told_what_to_look_at(verdict, function, message):
    assert verdict(function, double, (2,), (3,)).startswith(f"not quite. {message}")


def test_a_function_that_writes_into_its_arguments_leaves_the_trials_alone(verdict):
    numbers = np.ones(3)

    def spoil(x):
        x *= 5

    assert verdict(spoil, double, (numbers,)) == "your turn."
    assert numbers.tolist() == [1, 1, 1]


def test_an_exercise_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"There is no exercise '99.1': name one of 1.1"):
        notebook.check("99.1", 3)


def test_a_verdict_is_a_coloured_line_of_html():
    html = notebook.Verdict("a < b", "#123456")._repr_html_()
    assert "a &lt; b" in html
    assert "#123456" in html
