"""The recipe of a training run on human ratings: every setting, and how JSON becomes one.

A recipe names the predictor that is trained. Step 1 of DIQA, in which f learns error maps, is the
same for both; step 2, in which a score is learnt, has settings of its own for each.
"""

from __future__ import annotations

import dataclasses
import json
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np

from diqa_utils.extended import DROPOUT, HIDDEN_UNITS
from diqa_utils.maps import DEFAULT_ALPHA, DEFAULT_EXPONENT

__all__ = ["ErrorMapSettings", "FeaturesSettings", "RatingsRecipe", "StatisticsSettings"]

#: The two predictors that can be trained: the paper's, and the one that goes by statistics.
PREDICTORS = ("diqa", "extended")

#: What a setting of a type is called in messages.
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def setting(default: Any, lowest: float, highest: float, *, multiple_of: int = 1) -> Any:
    """A setting that is a number, with the range in which it makes sense, both ends included."""
    limits = {"lowest": lowest, "highest": highest, "multiple_of": multiple_of}
    return field(default=default, metadata=limits)


def checked(value: Any, entry: dataclasses.Field[Any], place: str) -> Any:
    """Returns the value of a setting in the type of its default.

    Raises:
        ValueError: It has another type, or leaves the range of the setting.
    """
    kind: Any = type(entry.default)
    limits = entry.metadata
    wanted = KINDS[kind]
    if limits:
        if limits["multiple_of"] > 1:
            wanted = f"a multiple of {limits['multiple_of']}"
        wanted += f" from {limits['lowest']} to {limits['highest']}"
    accepted = (int, float) if kind is float else kind
    # True is a whole number to Python.
    fits = isinstance(value, bool) == (kind is bool) and isinstance(value, accepted)
    if fits and limits:
        in_range = limits["lowest"] <= value <= limits["highest"]
        fits = in_range and value % limits["multiple_of"] == 0 if kind is int else in_range
    if not fits:
        raise ValueError(f"{entry.name} in {place} must be {wanted}, not {reprlib.repr(value)}.")
    return kind(value)


@dataclass(frozen=True)
class Settings:
    """What all groups of settings share: each setting is checked when it is given a value."""

    def __post_init__(self) -> None:
        """Checks all settings but those that are groups themselves."""
        for entry in dataclasses.fields(self):
            if entry.default is not dataclasses.MISSING:
                value = checked(getattr(self, entry.name), entry, type(self).__name__)
                object.__setattr__(self, entry.name, value)


@dataclass(frozen=True)
class ErrorMapSettings(Settings):
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

    epochs: int = setting(8, 0, 100_000)
    steps: int = setting(300, 1, 1_000_000)
    patches: int = setting(16, 4, 4096, multiple_of=4)
    patch_size: int = setting(112, 48, 112, multiple_of=4)
    learning_rate: float = setting(1e-3, 1e-8, 1.0)
    last_share: float = setting(0.02, 0.0, 1.0)
    beta_2: float = setting(0.99, 0.0, 0.9999)
    exponent: float = setting(DEFAULT_EXPONENT, 0.01, 10.0)
    alpha: float = setting(DEFAULT_ALPHA, 0.001, 1000.0)
    held_out_every: int = setting(5, 2, 1000)
    held_out_batches: int = setting(12, 1, 10_000)

    def learnt_from(self, pristine: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the pristine pictures that are not held out."""
        every = self.held_out_every
        return [picture for number, picture in enumerate(pristine) if number % every]

    def held_out(self, pristine: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the pristine pictures that are held out."""
        return list(pristine[:: self.held_out_every])


@dataclass(frozen=True)
class StatisticsSettings(Settings):
    """Settings of the extended predictor's step 2: networks learn ratings from statistics.

    Attributes:
        epochs: Passes over the training pictures.
        batch_size: Pictures in a batch.
        learning_rate: Learning rate of AdamW at the start; it falls to zero along a cosine.
        weight_decay: Weight decay of AdamW.
        units: Units of the first hidden layer of each network.
        dropout: Share of the hidden units that are left out of a step at random.
        teacher_weight: Weight of the difference from networks that learnt the ratings alone.
        copied_pictures: Number of pictures of which copies are made that get worse: training
            pictures and, where there are any, pristine ones by turns.
        copies_weight: Weight of the penalty on scores that are not in the order of the copies.
        copies_margin: By how much a score must fall from copy to copy, in standard deviations of
            the ratings.
        copies_batch_size: Pictures in a batch of copies that get worse.
        pairs_margin: By how much the scores of copies of two pristine pictures must differ.
        pairs_batch_size: Pairs of such copies in a batch.
        pairs_gap: Share of all copies that must lie between the two, by each of two full-reference
            metrics, so that it counts as clear which is worse.
    """

    epochs: int = setting(40, 1, 100_000)
    batch_size: int = setting(64, 1, 65_536)
    learning_rate: float = setting(1e-3, 1e-8, 1.0)
    weight_decay: float = setting(0.05, 0.0, 1.0)
    units: int = setting(HIDDEN_UNITS[0], 1, 8192)
    dropout: float = setting(DROPOUT, 0.0, 0.9)
    teacher_weight: float = setting(3.0, 0.0, 1000.0)
    copied_pictures: int = setting(2400, 1, 1_000_000)
    copies_weight: float = setting(1.0, 0.0, 1000.0)
    copies_margin: float = setting(0.5, 0.0, 10.0)
    copies_batch_size: int = setting(16, 1, 65_536)
    pairs_margin: float = setting(0.8, 0.0, 10.0)
    pairs_batch_size: int = setting(64, 1, 65_536)
    pairs_gap: float = setting(0.35, 0.0, 0.99)


@dataclass(frozen=True)
class FeaturesSettings(Settings):
    """Settings of DIQA's step 2: f and the head h learn the ratings, on mosaics of random crops.

    Attributes:
        epochs: Passes over the training pictures, with other crops each time.
        batch_size: Pictures in a batch, a mosaic of each.
        crop_size: Side of the crops in pixels.
        crops: Crops in each row and each column of a mosaic; 1 is a single crop.
        deviations: Whether the deviation of each feature is pooled beside its mean.
        features_learning_rate: Highest learning rate of f; it rises at first and falls along a
            cosine.
        head_learning_rate: Highest learning rate of what comes after f.
        warm_up: Number of batches over which the rates rise.
        weight_decay: Weight decay of AdamW.
        beta_2: How slowly AdamW forgets the squares of past gradients.
        mirror: Whether every other mosaic is mirrored.
    """

    epochs: int = setting(6, 1, 100_000)
    batch_size: int = setting(16, 1, 4096)
    crop_size: int = setting(64, 16, 2048)
    crops: int = setting(3, 1, 32)
    deviations: bool = True
    features_learning_rate: float = setting(3e-4, 1e-8, 1.0)
    head_learning_rate: float = setting(1e-3, 1e-8, 1.0)
    warm_up: int = setting(100, 0, 1_000_000)
    weight_decay: float = setting(0.02, 0.0, 1.0)
    beta_2: float = setting(0.99, 0.0, 0.9999)
    mirror: bool = True

    @property
    def mosaic_size(self) -> int:
        """Side of a mosaic in pixels: the least that a picture needs."""
        return self.crops * self.crop_size


@dataclass(frozen=True)
class RatingsRecipe(Settings):
    """Every setting of a training run on human ratings.

    The recipe, the pictures and the machine settle the run: the same three give the same weights.

    Attributes:
        predictor: "extended", or "diqa" for the network of the paper.
        seed: Seed of the weights, the order, the patches and the crops.
        error_maps: Settings of step 1.
        statistics: Settings of step 2 of "extended".
        features: Settings of step 2 of "diqa".

    Raises:
        ValueError: There is no such predictor, or a setting has another type or leaves its range.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    predictor: str = "extended"
    seed: int = setting(0, 0, 2**31 - 1)
    error_maps: ErrorMapSettings = field(default_factory=ErrorMapSettings)
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
    features: FeaturesSettings = field(default_factory=FeaturesSettings)

    def __post_init__(self) -> None:
        """Checks the settings that are in no group."""
        super().__post_init__()
        if self.predictor not in PREDICTORS:
            raise ValueError(
                f"predictor must be {' or '.join(PREDICTORS)}, not {self.predictor!r}."
            )

    @property
    def step_2(self) -> StatisticsSettings | FeaturesSettings:
        """The settings of step 2 of the recipe's predictor."""
        return self.statistics if self.predictor == "extended" else self.features

    @classmethod
    def from_json(cls, text: str) -> RatingsRecipe:
        """Reads a recipe.

        Args:
            text: Object with some or all settings; the others have their defaults.

        Returns:
            The recipe.

        Raises:
            ValueError: The text is no JSON object, or names a setting that does not exist, has
                another type or leaves its range.
        """
        try:
            settings = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The recipe is not JSON: {error}.") from error
        return _from_settings(cls, settings, "the recipe")

    @classmethod
    def from_file(cls, file: str | PathLike[str]) -> RatingsRecipe:
        """Reads a recipe from a file; what is wrong with it is said with the file's name."""
        try:
            return cls.from_json(Path(file).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{str(file)!r} is not a recipe: {error}") from error


def _from_settings(kind: type[Any], settings: Any, place: str) -> Any:
    """Makes a recipe, or a part of one, of what JSON said."""
    if not isinstance(settings, dict):
        raise ValueError(f"{place} must be an object with settings, not {reprlib.repr(settings)}.")
    known = {entry.name: entry for entry in dataclasses.fields(kind)}
    values = {}
    for name, value in settings.items():
        if name not in known:
            raise ValueError(
                f"{place} has no setting {reprlib.repr(name)}; it has {', '.join(known)}."
            )
        group = known[name].default_factory
        if group is not dataclasses.MISSING:
            values[name] = _from_settings(cast("type[Any]", group), value, name)
        else:
            values[name] = checked(value, known[name], place)
    return kind(**values)
