"""The answers to the book's exercises, which `diqa_utils.notebook.check` compares with a reader's.

They stand here and not in the chapters, so that a page does not give them away. Each is a function:
the one that the exercise asks for, with arguments to try it on, or one without arguments that
returns the value that it asks for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Exercise:
    """What is right, and how it is found out whether an answer is.

    Attributes:
        solution: The function asked for, or, without trials, one that returns the value asked for.
        trials: Arguments of each trial of a function, a tuple each; none for a value.
        tolerance: Distance by which numbers may be off, relative for large ones and absolute for
            small ones.
    """

    solution: Callable[..., Any]
    trials: Sequence[tuple[Any, ...]] = ()
    tolerance: float = 1e-5


#: The exercises by their number, such as "3.1".
EXERCISES: dict[str, Exercise] = {}

Solution = Callable[..., Any]


def value(number: str, *, tolerance: float = 1e-5) -> Callable[[Solution], Solution]:
    """Enters a function that returns the value that an exercise asks for."""

    def enter(solution: Solution) -> Solution:
        EXERCISES[number] = Exercise(solution, (), tolerance)
        return solution

    return enter


def function(
    number: str, *trials: tuple[Any, ...], tolerance: float = 1e-5
) -> Callable[[Solution], Solution]:
    """Enters the function that an exercise asks for, with the arguments of each trial."""

    def enter(solution: Solution) -> Solution:
        EXERCISES[number] = Exercise(solution, trials, tolerance)
        return solution

    return enter


# --- Chapter 1 ------------------------------------------------------------------------------------


# --- Chapter 2 ------------------------------------------------------------------------------------


@value("2.1", tolerance=1e-3)
def row_of_a_fair_peak() -> float:
    # 7.5 weights stand before the peak, and "SAME" puts 7 rows before the picture.
    return 32 - (7.5 - 7)


@function("2.2", (np.arange(8.0),), (np.array([0.0, 0, 0, 0, 16, 0, 0, 0, 0]),))
def reduce_line(line: np.ndarray) -> np.ndarray:
    weights = np.array([1, 4, 6, 4, 1]) / 16
    return np.convolve(np.pad(line, 2, mode="reflect"), weights, mode="valid")[::2]


@function("2.3", (5, 4), (3, 4), (7, 4), (30, 4), (2.9, 2))
def seen_period(period: float, step: float) -> float:
    waves = step / period
    return step / abs(waves - np.round(waves))


# --- Chapter 3 ------------------------------------------------------------------------------------


@value("3.1", tolerance=1e-3)
def exponent_for_a_tenth() -> float:
    return np.log(10) / np.log(255)


@function("3.2", (np.arange(96.0).reshape(8, 12, 1),), (np.eye(16)[..., None],))
def block_means(values: np.ndarray) -> np.ndarray:
    height, width, channels = values.shape
    return values.reshape(height // 4, 4, width // 4, 4, channels).mean(axis=(1, 3))


@function("3.3", (np.array([4, 0.25, 0]),), (np.array([-4, 0, 1e-4]),))
def slope_of_safe_root(x: np.ndarray) -> np.ndarray:
    size = np.abs(x)
    return np.sign(x) / (2 * np.sqrt(np.where(size > 0, size, 1)))


# --- Chapter 4 ------------------------------------------------------------------------------------


@value("4.1", tolerance=1e-3)
def slope_for_a_detail() -> float:
    return 2 * np.arctanh(1 / 2) / (8 / 255)


@function("4.2", (np.array([1.0, 3, 5, 5]).reshape(2, 1, 2, 1),))
def divide_by_mean(reliability: np.ndarray) -> np.ndarray:
    return reliability / reliability.mean(axis=(1, 2, 3), keepdims=True)


@function("4.3", (np.array([1.0, 3, 2, 2, 0, 1]).reshape(3, 1, 2, 1),))
def mean_of_squares(reliability: np.ndarray) -> np.ndarray:
    axes = (1, 2, 3)
    return 1 + (reliability.std(axis=axes) / reliability.mean(axis=axes)) ** 2


# --- Chapter 5 ------------------------------------------------------------------------------------


@function(
    "5.1",
    (
        np.array([0.5, 0.6, 0.2, 0.2]),
        np.array([0.4, 0.6, 0.4, 0.2]),
        np.array([1.5, 1.5, 0.5, 0.5]),
    ),
    (np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 2.0])),
)
def loss_of_a_map(y_true: np.ndarray, y_pred: np.ndarray, reliability: np.ndarray) -> float:
    return float(np.mean(((y_pred - y_true) * reliability) ** 2))


@value("5.2", tolerance=1e-3)
def learning_rate_of_one_step() -> float:
    return 0.3804  # 1 / (2 mean(r-hat ^ 2)) over the training part of sample_iqa


@value("5.3", tolerance=2e-4)
def loss_of_the_best_line() -> float:
    return 0.0089  # over the training part of sample_iqa


# --- Chapter 6 ------------------------------------------------------------------------------------


# --- Chapter 7 ------------------------------------------------------------------------------------


# --- Chapter 8 ------------------------------------------------------------------------------------


# --- Chapter 9 ------------------------------------------------------------------------------------


# --- Chapter 10 -----------------------------------------------------------------------------------


# --- Chapter 11 -----------------------------------------------------------------------------------


# --- Chapter 12 -----------------------------------------------------------------------------------


# --- Chapter 13 -----------------------------------------------------------------------------------


# --- Chapter 14 -----------------------------------------------------------------------------------
