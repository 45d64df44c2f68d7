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


@value("8.1")
def srcc_by_hand() -> float:
    return 1 - 6 * 4 * 1**2 / (4 * (4**2 - 1))


@function("8.2", (np.array([3, 1, 2]),), (np.array([30, 10, 30, 70]),), (np.array([5, 5, 5, 1]),))
def mean_ranks(values: np.ndarray) -> np.ndarray:
    smaller = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return smaller + (equal + 1) / 2


def _two_predictors(seed: int) -> tuple[np.ndarray, ...]:
    """Two predictions of quality, the quality, and the references of 15 pictures, and draws."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(0, 1, 15)
    first, second = quality + rng.normal(0, 0.3, (2, 15))
    draws = rng.choice(["a", "b", "c", "d", "e"], (9, 5))
    return first, second, quality, np.repeat(["a", "b", "c", "d", "e"], 3), draws


@function("8.3", _two_predictors(0), _two_predictors(1))
def share_better(
    first: np.ndarray,
    second: np.ndarray,
    quality: np.ndarray,
    clusters: np.ndarray,
    draws: np.ndarray,
) -> float:
    from diqa_utils.metrics import srcc

    ahead = []
    for names in draws:
        rows = np.concatenate([np.flatnonzero(clusters == name) for name in names])
        ahead.append(srcc(first[rows], quality[rows]) > srcc(second[rows], quality[rows]))
    return float(np.mean(ahead))


# --- Chapter 9 ------------------------------------------------------------------------------------


# --- Chapter 10 -----------------------------------------------------------------------------------


@function("10.1", (256, 256), (512, 512), (300, 400))
def examples_of_a_picture(height: int, width: int) -> int:
    return (height - 255) * (width - 255) * 2 * 34 * 5


def _all_levels(brightest: int) -> np.ndarray:
    """Returns a picture (64, 64, 3) of all levels up to the brightest, uint8."""
    levels = np.linspace(0, brightest, 64 * 64 * 3).reshape(64, 64, 3)
    return levels.astype(np.uint8)


@function("10.2", (_all_levels(127),), (_all_levels(200),), (_all_levels(255),))
def brighter_without_a_trace(image: np.ndarray) -> np.ndarray:
    return image + (255 - np.max(image))


@function(
    "10.3",
    ([np.array([0.4, 0.5, 0.6]), np.array([0.1, 0.2, 0.3, 0.2])],),
    ([np.array([0.3, 0.5]), np.array([0.4]), np.array([0.2, 0.6, 0.7, 0.5])],),
)
def told_the_family(families: list[np.ndarray]) -> float:
    def squares(values: np.ndarray) -> float:
        return float(np.sum((values - np.mean(values)) ** 2))

    return sum(squares(values) for values in families) / squares(np.concatenate(families))


# --- Chapter 11 -----------------------------------------------------------------------------------


# --- Chapter 12 -----------------------------------------------------------------------------------


# --- Chapter 13 -----------------------------------------------------------------------------------


# --- Chapter 14 -----------------------------------------------------------------------------------
