"""Learned no-reference metrics that one might use instead, from pyiqa, scoring the same picture.

Their weights are random, since trained ones would have to be downloaded: that changes what they
say, not how long they take. Needs pyiqa, and so PyTorch, which the library does not:
`pip install pyiqa`.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np

from benchmarks.speed import machine, pictures, pyiqa_metric, scoring
from benchmarks.speed.timing import in_turn, seconds
from benchmarks.speed.training import forward_operations
from diqa_utils.inference import load_pretrained

#: From the slowest on: what comes right after half a minute of `maniqa` is slower than it is.
METRICS = ("maniqa", "musiq", "topiq_nr", "hyperiqa", "wadiqam_nr", "cnniqa")

ROUNDS = 7


def measure() -> dict[str, Any]:
    """Times one picture of 512 x 768 pixels, from its array on, all metrics in turn."""
    picture = pictures.pairs(1)[0, 1]
    diqa = {f"diqa_{precision}": scoring.diqa(precision) for precision in machine.precisions()}
    sizes: dict[str, dict[str, float]] = {}
    ways: dict[str, Callable[[], Any]] = {}
    with ExitStack() as stack:
        for name in METRICS:
            process = stack.enter_context(
                ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            )
            sizes[name] = process.submit(pyiqa_metric.start, name).result()
            ways[name] = lambda process=process: process.submit(pyiqa_metric.score).result()
        for name, predictor in {"extended": load_pretrained(), **diqa}.items():
            sizes[name] = {"million_parameters": predictor.score_model.count_params() / 1e6}
            ways[name] = lambda predictor=predictor: predictor.score(picture)
        times = in_turn(ways, rounds=ROUNDS, warm_up=2)
    for name in diqa:
        operations = sum(forward_operations(pictures.HEIGHT, pictures.WIDTH))
        sizes[name]["billion_multiply_adds"] = operations / 2 / 1e9
    return {
        name: {
            **sizes[name],
            "s": seconds(times[name]),
            "times_the_extended": median(np.divide(times[name], times["extended"]).tolist()),
        }
        for name in ways
    }
