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


def test_setup_keeps_tensorflow_quiet(runs):
    assert runs[0].stderr == ""


def test_setup_gives_the_same_random_numbers_in_every_process(runs):
    assert runs[0].stdout.strip()
    assert runs[0].stdout == runs[1].stdout


@pytest.mark.usefixtures("_same_settings")
def test_setup_seeds_numpy_and_tensorflow():
    drawn = []
    for _ in range(2):
        notebook.setup(1)
        drawn.append((np.random.normal(), float(tf.random.normal(()))))  # noqa: NPY002
    assert drawn[0] == drawn[1]


@pytest.mark.usefixtures("_same_settings")
def test_setup_sets_the_style_of_figures():
    notebook.setup()
    assert matplotlib.rcParams["figure.facecolor"] == "white"
    assert matplotlib.rcParams["font.size"] >= 9


@pytest.mark.usefixtures("_same_settings")
def test_setup_does_not_override_the_reader(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    notebook.setup()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.mark.usefixtures("_same_settings")
def test_setup_gives_the_standard_error_back(capfd):
    notebook.setup()
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


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


@decorated
def triple(x):
    """Triples."""
    return 3 * x


@tf.function
@decorated
def quadruple(x):
    """Quadruples."""
    return 4 * x


class Doubler:
    """Doubles, as an object."""

    def method(self, x):
        """Doubles, as a method."""
        return 2 * x

    @tf.function
    def compiled(self, x):
        return 2 * x

    async def later(self):
        """Only a docstring."""


def lines_of(function, **options):
    lines = notebook.show_source(function, **options).data.splitlines()
    assert (lines[0], lines[-1]) == ("```python", "```")
    return lines[1:-1]


def test_show_source_leaves_the_docstring_out():
    assert lines_of(double) == ["def double(x):", "    # A comment stays.", "    return 2 * x"]


def test_show_source_shows_the_docstring_on_request():
    assert '    """Doubles.' in lines_of(double, docstring=True)


def test_show_source_looks_under_decorators():
    assert lines_of(triple) == ["@decorated", "def triple(x):", "    return 3 * x"]


def test_show_source_looks_under_tf_function():
    expected = ["@tf.function", "@decorated", "def quadruple(x):", "    return 4 * x"]
    assert lines_of(quadruple) == expected


@pytest.mark.parametrize("method", [Doubler.method, Doubler().method])
def test_show_source_shows_methods_without_indent(method):
    assert lines_of(method) == ["def method(self, x):", "    return 2 * x"]


@pytest.mark.parametrize("method", [Doubler.compiled, Doubler().compiled])
def test_show_source_shows_compiled_methods(method):
    assert lines_of(method) == ["@tf.function", "def compiled(self, x):", "    return 2 * x"]


def test_show_source_shows_classes_without_docstrings():
    lines = lines_of(Doubler)
    assert lines[:3] == ["class Doubler:", "    def method(self, x):", "        return 2 * x"]
    assert lines[-2:] == ["    async def later(self):", "        ..."]


def test_show_source_shows_the_line_of_a_lambda():
    cases = {
        "next": lambda x: x + 1,
    }
    assert lines_of(cases["next"]) == ['"next": lambda x: x + 1,']


def test_show_source_keeps_fences_in_the_source_apart():
    def fenced():
        return "```"

    assert notebook.show_source(fenced).data.startswith("````python\n")


def test_show_source_keeps_a_body_on_the_line_of_its_definition():
    # fmt: off
    def short(): "Short."
    # fmt: on
    assert lines_of(short) == ['def short(): "Short."']


@pytest.mark.parametrize("value", [3, "text", None, os])
def test_show_source_refuses_what_is_no_function(value):
    with pytest.raises(TypeError, match="takes a function, method or class, not"):
        notebook.show_source(value)


def test_show_source_refuses_functions_without_source():
    with pytest.raises(ValueError, match="len has no Python source"):
        notebook.show_source(len)


def test_show_source_refuses_functions_made_of_strings():
    names = {}
    exec(compile("def made(): pass", "<in no file>", "exec"), names)
    with pytest.raises(ValueError, match="made has no Python source"):
        notebook.show_source(names["made"])


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
        (3, 3),
        (0.1 + 0.2, 0.3),
        (np.float32(0.1), 0.1),
        (1000.001, 1000),
        (True, True),
        (np.True_, True),
        ("blur", "blur"),
        ([1, 2], np.array([1, 2])),
        (np.ones((2, 3)), tf.ones((2, 3))),
        (tf.constant(2.0), 2),
        ([np.nan, 1], [np.nan, 1]),
        ([[1, 2], [3]], ([1, 2], [3])),
        (["a", 1.0], ["a", 1]),
        ({"a": 1}, {"a": 1}),
        (None, None),
    ],
)
def test_right_answers_are_right(verdict, answer, expected):
    assert verdict(answer, expected) == "Right."


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [
        (None, 3, "there is no answer yet"),
        (..., "blur", "there is no answer yet"),
        (..., None, "there is no answer yet"),
        (4, 3, "got 4, and a number is expected, but not this one"),
        (False, True, "got False, and True or False is expected, but not this one"),
        (1, True, "got a number, expected True or False"),
        ("3", 3, "got a string, expected a number"),
        ([1], 3, "got an array of shape (1,), expected a number"),
        (np.zeros(2), np.ones(3), "got an array of shape (2,), expected an array of shape (3,)"),
        (
            np.zeros(2, bool),
            np.ones(2),
            "got an array of True and False of shape (2,), expected an array of shape (2,)",
        ),
        (
            [1, 2, 4],
            [1, 2, 3],
            "got an array of shape (3,), which is the right shape, but 1 of its 3 values differ",
        ),
        (
            [np.nan, 2],
            [1, 2],
            "got an array of shape (2,), which is the right shape, but 1 of its 2 values differ, "
            "and some are NaN",
        ),
        ("noise", "blur", "got 'noise', and a string is expected, but not this one"),
        (3, "blur", "got a number, expected a string"),
        (len, 3, "got a function, expected a number"),
        ({1}, 3, "got an object of type set, expected a number"),
        (["a"], ["a", "b"], "got 1 items, expected 2"),
        (["a", "c"], ["a", "b"], "in item 2, got 'c', and a string is expected, but not this one"),
        ("ab", ["a", "b"], "got a string, expected a list of 2 items"),
        ([[1], [2, 3]], 3, "got a list of 2 items, expected a number"),
    ],
)
def test_wrong_answers_are_told_what_to_look_at(verdict, answer, expected, message):
    assert verdict(answer, expected) == f"Not yet: {message}."


def test_long_answers_are_shortened(verdict):
    assert len(verdict("x" * 5000, "y")) < 300


def test_tolerance_decides_how_near_is_near(verdict):
    assert verdict(1.01, 1, tolerance=0.1) == "Right."
    assert verdict(1.01, 1).startswith("Not yet")


def test_hint_follows_a_wrong_answer_only(verdict):
    assert verdict(1, 2, hint="Add one.").endswith("not this one. Hint: Add one.")
    assert verdict(2, 2, hint="Add one.") == "Right."


def test_right_functions_are_right(verdict):
    assert verdict(lambda a, b: a + b, [3, 7], arguments=[(1, 2), (3, 4)]) == "Right."
    assert verdict(lambda x: x + x, double, arguments=[1, np.ones(3)]) == "Right."


def returns_nothing(x):
    pass


def fails(x):
    raise ValueError("bad value.\nDetails")


def fails_silently(x):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (None, "there is no answer yet"),
        (..., "there is no answer yet"),
        (3, "got a number, expected a function"),
        (returns_nothing, "in trial 1 of 2, it returned nothing"),
        (fails, "in trial 1 of 2, it raised ValueError: bad value"),
        (fails_silently, "in trial 1 of 2, it raised NotImplementedError: no message"),
        (lambda x: x * x, "in trial 2 of 2, got 9, and a number is expected, but not this one"),
        (lambda: 1, "in trial 1 of 2, it raised TypeError: "),
    ],
)
def test_wrong_functions_are_told_what_to_look_at(verdict, function, message):
    assert verdict(function, double, arguments=[2, 3]).startswith(f"Not yet: {message}")


def test_single_trial_is_not_counted(verdict):
    assert verdict(fails, [4], arguments=[2]) == "Not yet: it raised ValueError: bad value."


def test_function_that_shall_return_nothing_may(verdict):
    assert verdict(returns_nothing, [None], arguments=[2]) == "Right."


def test_exercise_without_arguments_for_a_function_is_refused():
    with pytest.raises(ValueError, match="what to try it on"):
        notebook.check_answer(double, double)


@pytest.mark.parametrize(("expected", "arguments"), [([1], [1, 2]), (double, [])])
def test_exercise_whose_results_do_not_fit_is_refused(expected, arguments):
    with pytest.raises(ValueError, match=r"There are \d arguments for \d expected results"):
        notebook.check_answer(double, expected, arguments=arguments)
