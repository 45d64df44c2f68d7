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


@function("1.1", (1,), (3,), (5,), (2.5,))
def kadid_quality(dmos: float) -> float:
    return (dmos - 1) / 4


@function(
    "1.2",
    (
        ["china-3-jpeg-2", "coins-0-jpeg-1", "flower-1-jpeg-1"],
        ["flower-0-jpeg-2", "china-1-jpeg-5"],
    ),
    (["grace_hopper-0-white_noise-1"] * 2, ["coffee-0-jpeg-2", "grace_hopper-1-white_noise-1"]),
)
def shared_photographs(train_ids: list[str], test_ids: list[str]) -> list[str]:
    train, test = ({name.split("-")[0] for name in ids} for ids in (train_ids, test_ids))
    return sorted(train & test)


@value("1.3")
def sizes_of_batches() -> list[int]:
    return [8, 8, 8, 2]  # of 26 references, once each


@function(
    "1.4",
    (4, []),
    (6, [(0, 3), (3, 5), (1, 2)]),
    (7, [(5, 6), (2, 4), (6, 2), (3, 1), (4, 5)]),
)
def scene_keys(number: int, pairs: list[tuple[int, int]]) -> list[int]:
    keys = list(range(number))
    for first, second in pairs:
        low, high = sorted((keys[first], keys[second]))
        keys = [low if key == high else key for key in keys]
    return keys


# --- Chapter 2 ------------------------------------------------------------------------------------


# --- Chapter 3 ------------------------------------------------------------------------------------


# --- Chapter 4 ------------------------------------------------------------------------------------


@value("4.1", tolerance=1e-3)
def slope_for_a_detail() -> float:
    return 2 * np.arctanh(1 / 2) / (8 / 255)


@function("4.2", (np.array([1.0, 3, 5, 5]).reshape(2, 1, 2, 1),))
def divide_by_mean(reliability: np.ndarray) -> np.ndarray:
    return reliability / reliability.mean(axis=(1, 2, 3), keepdims=True)


# --- Chapter 5 ------------------------------------------------------------------------------------


# --- Chapter 6 ------------------------------------------------------------------------------------


# --- Chapter 7 ------------------------------------------------------------------------------------


# --- Chapter 8 ------------------------------------------------------------------------------------


# --- Chapter 9 ------------------------------------------------------------------------------------


# --- Chapter 10 -----------------------------------------------------------------------------------


# --- Chapter 11 -----------------------------------------------------------------------------------


# --- Chapter 12 -----------------------------------------------------------------------------------


# --- Chapter 13 -----------------------------------------------------------------------------------


# --- Chapter 14 -----------------------------------------------------------------------------------
