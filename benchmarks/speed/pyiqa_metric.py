"""A learned no-reference metric of pyiqa, in a process of its own.

    python -m benchmarks.speed.pyiqa_metric NAME

Prints what it takes as JSON, then a score for every line that it reads. PyTorch and TensorFlow in
one process get into each other's way, down to a crash.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pyiqa
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import pictures


@contextmanager
def without_downloads() -> Iterator[None]:
    """Networks made inside keep the weights that they are drawn with."""
    create = timm.create_model

    def untrained(name: str, pretrained: bool = False, **settings: Any) -> Any:
        return create(name, pretrained=False, **settings)

    with mock.patch.object(timm, "create_model", untrained):
        yield


def main(name: str) -> None:
    picture = torch.from_numpy(pictures.pairs(1)[0, 1])
    with without_downloads():
        metric = pyiqa.create_metric(name, device="cpu", pretrained=None).eval()

    def score() -> float:
        values = picture.permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W), as pyiqa wants it
        with torch.inference_mode():
            return float(metric(values))

    with FlopCounterMode(display=False) as counter:
        score()
    parameters = sum(one.numel() for one in metric.parameters())
    takes = {
        "million_parameters": parameters / 1e6,
        "billion_multiply_adds": counter.get_total_flops() / 2 / 1e9,
    }
    print(json.dumps(takes), flush=True)
    for _ in sys.stdin:
        print(score(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
