"""Learned no-reference metrics that one might use instead, from pyiqa, scoring the same picture.

Their weights are random, since trained ones would have to be downloaded: that changes what they
say, not how long they take. Needs pyiqa, and so PyTorch, which the library does not:
`pip install pyiqa`.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np

from benchmarks.speed import machine, pictures, scoring
from benchmarks.speed.timing import in_turn, seconds
from benchmarks.speed.training import forward_operations
from diqa_utils.inference import load_pretrained

#: From the slowest on: what comes right after half a minute of `maniqa` is slower than it is.
METRICS = ("maniqa", "musiq", "topiq_nr", "hyperiqa", "wadiqam_nr", "cnniqa")

ROUNDS = 7

Sizes = dict[str, float]


def of_pyiqa(name: str, stack: ExitStack) -> tuple[Callable[[], float], Sizes]:
    """Starts a metric's process; returns what makes it score the picture, and what it takes."""
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.pyiqa_metric", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    stack.callback(process.terminate)
    lines = iter(process.stdout or ())

    def score() -> float:
        print(file=process.stdin, flush=True)
        return float(next(lines))

    for line in lines:  # pyiqa has things to say, too
        if line.startswith("{"):
            return score, json.loads(line)
    raise RuntimeError(f"{name} did not start: is pyiqa installed beside this library?")


def ours(picture: np.ndarray) -> tuple[dict[str, Callable[[], Any]], dict[str, Sizes]]:
    """Returns what scores a picture with the library's predictors, and what that takes."""
    diqa = {f"diqa_{name}": scoring.diqa(name) for name in machine.precisions()}
    predictors = {"extended": load_pretrained(), **diqa}
    ways = {
        name: lambda predictor=predictor: predictor.score(picture)
        for name, predictor in predictors.items()
    }
    sizes: dict[str, Sizes] = {
        name: {"million_parameters": predictor.score_model.count_params() / 1e6}
        for name, predictor in predictors.items()
    }
    for name in diqa:
        operations = sum(forward_operations(*picture.shape[:2]))
        sizes[name]["billion_multiply_adds"] = operations / 2 / 1e9
    return ways, sizes


def measure() -> dict[str, Any]:
    """Times one picture of 512 x 768 pixels, from its array on, all metrics in turn."""
    our_ways, sizes = ours(pictures.pairs(1)[0, 1])
    ways: dict[str, Callable[[], Any]] = {}
    with ExitStack() as stack:
        for name in METRICS:
            ways[name], sizes[name] = of_pyiqa(name, stack)
        times = in_turn(ways | our_ways, rounds=ROUNDS, warm_up=2)
    return {
        name: {
            **sizes[name],
            "s": seconds(some),
            "times_the_extended": median(np.divide(some, times["extended"]).tolist()),
        }
        for name, some in times.items()
    }
