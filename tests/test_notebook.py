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


# --- check_answer ---------------------------------------------------------------------------------


@pytest.fixture
def verdict(capsys):
    """What check_answer prints, as one line."""

    def check(*arguments, **options):
        notebook.check_answer(*arguments, **options)
        printed = capsys.readouterr().out
        assert printed.count("\n") == 1
        return printed.strip()

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
    assert verdict(answer, expected) == "Right."


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [
        (None, 3, "there is no answer yet"),
        (4, 3, "got 4, and a number is expected, but not this one"),
        (1, True, "got a number, expected True or False"),
        ("3", 3, "got a string, expected a number"),
        ([True], [1], "got an array of truth values of shape (1,), expected an array of numbers"),
        ([1, 2, 4], [1, 2, 3], "which is the right shape, but 1 of its 3 values differ"),
        (["a", "c"], ["a", "b"], "got an array of strings of shape (2,), which is the right shape"),
        ("noise", "blur", "got noise, and a string is expected, but not this one"),
        ([[1], [2, 3]], 3, "got a list, expected a number"),
        ("x y" * 5000, "y", "[...], and a string is expected"),
    ],
)
def test_wrong_answers_are_told_what_to_look_at(verdict, answer, expected, message):
    line = verdict(answer, expected)
    assert line.startswith("Not yet: ")
    assert message in line
    assert len(line) < 300


def test_tolerance_decides_how_near_is_near(verdict):
    assert verdict(1.01, 1, tolerance=0.1) == "Right."
    assert verdict(1.01, 1).startswith("Not yet")


def test_hint_follows_a_wrong_answer_only(verdict):
    assert verdict(1, 2, hint="Add one.").endswith("not this one. Hint: Add one.")
    assert verdict(2, 2, hint="Add one.") == "Right."


def test_right_functions_are_right(verdict):
    assert verdict(lambda a, b: a + b, [3, 7], arguments=[(1, 2), (3, 4)]) == "Right."
    assert verdict(lambda x: x + x, double, arguments=[1, np.ones(3)]) == "Right."


def fails(x):
    raise ValueError("bad value.\nDetails.")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (None, "there is no answer yet"),
        (3, "got a number, expected a function"),
        (lambda x: ..., "in trial 1 of 2, there is no answer yet"),
        (fails, "in trial 1 of 2, it raised ValueError: bad value. Details."),
        (lambda x: x * x, "in trial 2 of 2, got 9, and a number is expected, but not this one"),
    ],
)
def test_wrong_functions_are_told_what_to_look_at(verdict, function, message):
    assert verdict(function, double, arguments=[2, 3]).startswith(f"Not yet: {message}")
