"""Measuring several ways of doing one thing, in turn."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from typing import Any

import numpy as np

from diqa_utils._internal.startup import start_tensorflow_quietly

Times = dict[str, list[float]]


def in_turn(ways: Mapping[str, Callable[[], Any]], *, rounds: int, warm_up: int = 1) -> Times:
    """Calls each way in turn, so that what slows the machine down meets all of them.

    Args:
        ways: Functions without arguments, by name.
        rounds: How often each is timed.
        warm_up: How often each is called before, untimed: for compiling, and for caches.

    Returns:
        Seconds of each call, by name.
    """
    for _ in range(warm_up):
        for way in ways.values():
            way()
    times: Times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return times


def ratios(times: Times, baseline: str, ours: str) -> dict[str, float]:
    """Returns how many times as fast ours is: the median of the rounds, and the extremes."""
    found = [slow / fast for slow, fast in zip(times[baseline], times[ours], strict=True)]
    return {"ratio": median(found), "ratio_low": min(found), "ratio_high": max(found)}


def seconds(times: list[float]) -> dict[str, float]:
    """Returns the median and the extremes of some times."""
    return {"median": median(times), "low": min(times), "high": max(times)}


def agree(name: str, ours: Any, baseline: Any, *, tolerance: float) -> float:
    """Returns the largest difference of two answers; stops the benchmark if it is too large."""
    difference = float(np.max(np.abs(np.asarray(ours, np.float64) - np.asarray(baseline))))
    if not difference <= tolerance:
        raise AssertionError(
            f"{name}: the answers differ by {difference:.3g}, more than {tolerance:g}: a fast "
            "wrong answer is worth nothing."
        )
    return difference


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a fresh process: what others have left in memory does not count."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, start_tensorflow_quietly) as process:
        return process.submit(function, *arguments).result()
