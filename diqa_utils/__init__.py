"""Blind image quality assessment with DIQA, in TensorFlow.

The modules own the functions; this package only passes them on, and loads TensorFlow no earlier
than one of them needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diqa_utils import datasets, export
    from diqa_utils.distortions import distort
    from diqa_utils.evaluation import evaluate
    from diqa_utils.images import read_image
    from diqa_utils.inference import load_pretrained, score
    from diqa_utils.losses import weighted_error_map_loss
    from diqa_utils.maps import average_reliability_map, error_map, reliability_map
    from diqa_utils.metrics import krcc, plcc, rmse, srcc
    from diqa_utils.models import build_error_map_model, build_feature_extractor, build_score_model
    from diqa_utils.notebook import show_source
    from diqa_utils.preprocessing import low_frequency, normalize, to_gray

__version__ = "0.1.0"

#: Every name that the package passes on, and the module that owns it.
_OWNERS = {
    "average_reliability_map": "maps",
    "build_error_map_model": "models",
    "build_feature_extractor": "models",
    "build_score_model": "models",
    "distort": "distortions",
    "error_map": "maps",
    "evaluate": "evaluation",
    "krcc": "metrics",
    "load_pretrained": "inference",
    "low_frequency": "preprocessing",
    "normalize": "preprocessing",
    "plcc": "metrics",
    "read_image": "images",
    "reliability_map": "maps",
    "rmse": "metrics",
    "score": "inference",
    "show_source": "notebook",
    "srcc": "metrics",
    "to_gray": "preprocessing",
    "weighted_error_map_loss": "losses",
}

#: Modules that need no TensorFlow.
WITHOUT_TENSORFLOW = ("datasets", "distortions", "images", "inference", "metrics", "notebook")

__all__ = [
    "average_reliability_map",
    "build_error_map_model",
    "build_feature_extractor",
    "build_score_model",
    "datasets",
    "distort",
    "error_map",
    "evaluate",
    "export",
    "krcc",
    "load_pretrained",
    "low_frequency",
    "normalize",
    "plcc",
    "read_image",
    "reliability_map",
    "rmse",
    "score",
    "show_source",
    "srcc",
    "to_gray",
    "weighted_error_map_loss",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'diqa_utils' has no attribute {name!r}")
    owner = _OWNERS.get(name, name)
    if owner not in WITHOUT_TENSORFLOW:
        importlib.import_module("diqa_utils._internal.startup").start_tensorflow_quietly()
    module = importlib.import_module(f"diqa_utils.{owner}")
    return getattr(module, name) if name in _OWNERS else module


def __dir__() -> list[str]:
    return sorted(__all__)
