"""A learned no-reference metric of pyiqa, which has a process to itself.

PyTorch and TensorFlow in one process get into each other's way, down to a crash.
"""

from collections.abc import Callable
from typing import Any
from unittest import mock

from benchmarks.speed import pictures

#: What scores the picture in this process, once `start` has been called.
scorer: Callable[[], float]


def start(name: str) -> dict[str, float]:
    """Makes a metric with the weights that it is drawn with; returns what it takes to score."""
    import pyiqa
    import timm
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    create = timm.create_model

    def untrained(name: str, pretrained: bool = False, **settings: Any) -> Any:
        return create(name, pretrained=False, **settings)

    with mock.patch.object(timm, "create_model", untrained):
        metric = pyiqa.create_metric(name, device="cpu", pretrained=None).eval()
    picture = torch.from_numpy(pictures.pairs(1)[0, 1])

    def score_picture() -> float:
        values = picture.permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W), as pyiqa wants it
        with torch.inference_mode():
            return float(metric(values))

    global scorer
    scorer = score_picture
    with FlopCounterMode(display=False) as counter:
        score()
    return {
        "million_parameters": sum(weights.numel() for weights in metric.parameters()) / 1e6,
        "billion_multiply_adds": counter.get_total_flops() / 2 / 1e9,
    }


def score() -> float:
    return scorer()
