"""The stages of a training run on human ratings: their settings, and how JSON becomes some."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from diqa_utils.maps import DEFAULT_ALPHA, DEFAULT_EXPONENT

#: What a setting of a type is called in messages.
WANTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class ErrorMapStage:
    """Stage 1: f learns the error maps of pristine pictures that were damaged.

    Attributes:
        epochs: stretches of batches, a checkpoint after each; 0 leaves f as it was drawn.
        steps: batches of an epoch.
        patches: in a batch.
        patch_size: in pixels.
        learning_rate: of Nadam at the start; it falls along a cosine.
        last_share: of the learning rate that is left at the end.
        beta_2: how slowly Nadam forgets the squares of past gradients.
        exponent: p of the error map.
        alpha: slope of the reliability map.
        held_out_every: every so many pictures one is held out, to choose the best epoch.
        held_out_batches: of 32 patches from these.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    epochs: int = 12
    steps: int = 300
    patches: int = 16
    patch_size: int = 112
    learning_rate: float = 1e-3
    last_share: float = 0.02
    beta_2: float = 0.99
    exponent: float = DEFAULT_EXPONENT
    alpha: float = DEFAULT_ALPHA
    held_out_every: int = 10
    held_out_batches: int = 12


@dataclass(frozen=True)
class StatisticsStage:
    """The extended predictor's stage 2: small networks learn the ratings from statistics.

    Attributes:
        epochs: passes over the training pictures.
        batch_size: pictures in a batch.
        learning_rate: of AdamW at the start; it falls to zero along a cosine.
        weight_decay: of AdamW.
        falling_pictures: of how many pictures copies that get worse are made: training pictures
            and, where there are any, pristine ones by turns.
        falling_batch_size: pictures in a batch of copies that get worse.
        falling_weight: of the penalty on a score that does not fall from copy to copy.
        falling_margin: by how much it must fall, in standard deviations of the ratings.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    epochs: int = 40
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    falling_pictures: int = 2400
    falling_batch_size: int = 16
    falling_weight: float = 1.0
    falling_margin: float = 0.2


@dataclass(frozen=True)
class FeaturesStage:
    """DIQA's stage 2: f and the head h learn the ratings, on random crops.

    Attributes:
        epochs: passes over the training pictures, with other crops each time.
        batch_size: crops in a batch.
        crop_size: side of the crops in pixels.
        features_learning_rate: of f, at its highest; it rises at first and falls along a cosine.
        head_learning_rate: of what comes after f, likewise.
        warm_up: steps in which the rates rise.
        weight_decay: of AdamW.
        beta_2: how slowly AdamW forgets the squares of past gradients.
        mirror: whether every other crop is mirrored.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    epochs: int = 5
    batch_size: int = 16
    crop_size: int = 192
    features_learning_rate: float = 3e-4
    head_learning_rate: float = 1e-3
    warm_up: int = 100
    weight_decay: float = 0.02
    beta_2: float = 0.99
    mirror: bool = True


def from_settings(kind: Any, settings: Any, where: str) -> Any:
    """Makes a stage or a recipe of what JSON said, checking names and types."""
    if not isinstance(settings, dict):
        raise ValueError(f"{where} must be an object with settings, not {settings!r}.")
    defaults = kind()
    known = {one.name: getattr(defaults, one.name) for one in dataclasses.fields(kind)}
    values = {}
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"{where} has no setting {name!r}; it has {', '.join(known)}.")
        default = known[name]
        if dataclasses.is_dataclass(default):
            values[name] = from_settings(type(default), value, name)
        elif isinstance(value, bool) != isinstance(default, bool) or not isinstance(
            value, (int, float) if isinstance(default, float) else type(default)
        ):
            wanted = WANTED[type(default)]
            raise ValueError(f"{name} in {where} must be {wanted}, not {value!r}.")
        else:
            values[name] = type(default)(value)
    return kind(**values)
