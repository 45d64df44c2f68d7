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


@value("6.1")
def weights_of_conv7() -> int:
    return (3 * 3 * 64 + 1) * 128


@function("6.2", (64,), (192,))
def share_inside(side: int) -> float:
    cells = np.arange(side // 4)
    inside = (4 * cells - 19 >= 0) & (4 * cells + 25 <= side - 1)
    return float(np.mean(inside) ** 2)


@function(
    "6.3",
    ([1, 2, 1, 2, 1, 1, 1, 1],),
    ([1, 1, 1],),
    ([2],),
    ([1, 2, 1, 2],),
    ([2, 2, 1, 1, 1, 1, 1, 1],),
)
def window(strides: list[int]) -> tuple[int, int]:
    first, last = 0, 0
    for stride in reversed(strides):
        before = 1 if stride == 1 else 0
        first = stride * first - before
        last = stride * last - before + 2
    return first, last


# --- Chapter 7 ------------------------------------------------------------------------------------


@function(
    "7.1",
    (np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0]]),) * 2,
    (np.array([[2.0, 40.0, 5.001]]), np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0]])),
    tolerance=1e-3,
)
def standardize(new: np.ndarray, known: np.ndarray) -> np.ndarray:
    return (new - known.mean(axis=0)) / np.sqrt(known.var(axis=0) + 1e-6)


@function("7.2", (np.full((4, 4), 1 / 16),), (np.array([[0.0, 0.5, 0.25], [0.75, 0.0, 0.5]]),))
def gathered(feature_map: np.ndarray) -> np.ndarray:
    gathered_map = np.zeros_like(feature_map)
    gathered_map[0, 0] = feature_map.sum()
    return gathered_map


@value("7.3", tolerance=0.02)
def order_by_context() -> list[float]:
    from diqa_utils import datasets
    from diqa_utils.maps import hand_crafted_features
    from diqa_utils.metrics import srcc

    test = list(datasets.load("sample_iqa", split="test").as_numpy_iterator())
    images = np.stack([example["distorted_image"] for example in test])
    quality = np.array([example["quality"] for example in test])
    return [srcc(numbers, quality) for numbers in hand_crafted_features(images).numpy().T]


@function(
    "7.4",
    (np.array([[1.0], [2.0]]), np.array([3.0]), np.array([4.0, 5.0]), np.array([0.25, 4.0])),
    (
        np.array([[0.5, -1.0], [2.0, 0.0], [1.0, 3.0]]),
        np.array([0.1, -0.2]),
        np.array([1.0, -2.0, 0.5]),
        np.array([1.0, 0.01, 9.0]),
    ),
    tolerance=1e-3,
)
def folded(
    kernel: np.ndarray, bias: np.ndarray, means: np.ndarray, variances: np.ndarray
) -> np.ndarray:
    folded_kernel = kernel / np.sqrt(variances)[:, None]
    return np.vstack([folded_kernel, bias - means @ folded_kernel])


# --- Chapter 8 ------------------------------------------------------------------------------------


# --- Chapter 9 ------------------------------------------------------------------------------------


# --- Chapter 10 -----------------------------------------------------------------------------------


# --- Chapter 11 -----------------------------------------------------------------------------------


# --- Chapter 12 -----------------------------------------------------------------------------------


# --- Chapter 13 -----------------------------------------------------------------------------------


# --- Chapter 14 -----------------------------------------------------------------------------------
