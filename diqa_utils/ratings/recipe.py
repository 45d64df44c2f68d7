"""The recipe of a training run on human ratings: every setting, and how JSON becomes one.

A recipe names the predictor that is trained. Step 1 of DIQA, in which f learns error maps, is the
same for both; step 2, in which a score is learnt, has settings of its own for each.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diqa_utils.maps import DEFAULT_ALPHA, DEFAULT_EXPONENT

__all__ = ["ErrorMapSettings", "FeaturesSettings", "RatingsRecipe", "StatisticsSettings"]

#: The two predictors that can be trained: the paper's, and the one that goes by statistics.
PREDICTORS = ("diqa", "extended")

#: What a setting of a type is called in messages.
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class ErrorMapSettings:
    """Settings of step 1: f learns the error maps of pristine pictures that were damaged.

    Attributes:
        epochs: Number of epochs, with a checkpoint after each; 0 leaves f as it was drawn.
        steps: Batches of an epoch.
        patches: Patches in a batch.
        patch_size: Side of the patches in pixels.
        learning_rate: Learning rate of Nadam at the start; it falls along a cosine.
        last_share: Share of the learning rate that is left at the end.
        beta_2: How slowly Nadam forgets the squares of past gradients.
        exponent: Exponent p of the error map.
        alpha: Slope of the reliability map.
        held_out_every: One picture in so many is held out, to choose the best epoch.
        held_out_batches: Batches of 32 patches that are cut from the held-out pictures.
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

    def learnt_from(self, pristine: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the pristine pictures that are not held out."""
        every = self.held_out_every
        return [picture for number, picture in enumerate(pristine) if number % every]


@dataclass(frozen=True)
class StatisticsSettings:
    """Settings of the extended predictor's step 2: networks learn ratings from statistics.

    Attributes:
        epochs: Passes over the training pictures.
        batch_size: Pictures in a batch.
        learning_rate: Learning rate of AdamW at the start; it falls to zero along a cosine.
        weight_decay: Weight decay of AdamW.
        falling_pictures: Number of pictures of which copies are made that get worse: training
            pictures and, where there are any, pristine ones by turns.
        falling_batch_size: Pictures in a batch of copies that get worse.
        falling_weight: Weight of the penalty on a score that does not fall from copy to copy.
        falling_margin: By how much it must fall, in standard deviations of the ratings.
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
class FeaturesSettings:
    """Settings of DIQA's step 2: f and the head h learn the ratings, on random crops.

    Attributes:
        epochs: Passes over the training pictures, with other crops each time.
        batch_size: Crops in a batch.
        crop_size: Side of the crops in pixels.
        features_learning_rate: Highest learning rate of f; it rises at first and falls along a
            cosine.
        head_learning_rate: Highest learning rate of what comes after f.
        warm_up: Number of batches over which the rates rise.
        weight_decay: Weight decay of AdamW.
        beta_2: How slowly AdamW forgets the squares of past gradients.
        mirror: Whether every other crop is mirrored.
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


@dataclass(frozen=True)
class RatingsRecipe:
    """Every setting of a training run on human ratings.

    The recipe, the pictures and the machine settle the run: the same three give the same weights.

    Attributes:
        predictor: "extended", or "diqa" for the network of the paper.
        seed: Seed of the weights, the order, the patches and the crops.
        error_maps: Settings of step 1.
        statistics: Settings of step 2 of "extended".
        features: Settings of step 2 of "diqa".

    Raises:
        ValueError: There is no such predictor, or the seed is negative.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    predictor: str = "extended"
    seed: int = 0
    error_maps: ErrorMapSettings = field(default_factory=ErrorMapSettings)
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
    features: FeaturesSettings = field(default_factory=FeaturesSettings)

    def __post_init__(self) -> None:
        if self.predictor not in PREDICTORS:
            raise ValueError(
                f"predictor must be {' or '.join(PREDICTORS)}, not {self.predictor!r}."
            )
        if self.seed < 0:
            raise ValueError(f"seed must be zero or more, not {self.seed}.")

    def to_json(self) -> str:
        """Returns the recipe as JSON text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RatingsRecipe:
        """Reads a recipe.

        Args:
            text: Object with some or all settings; the others have their defaults.

        Returns:
            The recipe.

        Raises:
            ValueError: The text is no JSON object, or names a setting that does not exist or has
                another type.
        """
        try:
            settings = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"The recipe is not JSON: {error}.") from error
        return _from_settings(cls, settings, "the recipe")


def _from_settings(kind: Any, settings: Any, place: str) -> Any:
    """Makes a recipe, or a part of one, of what JSON said; checks names and types."""
    if not isinstance(settings, dict):
        raise ValueError(f"{place} must be an object with settings, not {settings!r}.")
    defaults = vars(kind())
    values = {}
    for name, value in settings.items():
        if name not in defaults:
            raise ValueError(f"{place} has no setting {name!r}; it has {', '.join(defaults)}.")
        default = defaults[name]
        if dataclasses.is_dataclass(default):
            values[name] = _from_settings(type(default), value, name)
            continue
        accepted = (int, float) if isinstance(default, float) else type(default)
        # True is a whole number to Python.
        if isinstance(value, bool) != isinstance(default, bool) or not isinstance(value, accepted):
            wanted = KINDS[type(default)]
            raise ValueError(f"{name} in {place} must be {wanted}, not {value!r}.")
        values[name] = type(default)(value)
    return kind(**values)
