"""Predictors that TensorFlow runs: they hold the models that training made, and can be saved.

Their functions are graphs of the library's own functions, which `export` converts for other
runtimes.

Source:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from diqa_utils._internal.checks import scaled
from diqa_utils._internal.files import write_text
from diqa_utils._internal.weight_files import load_weights, save_weights
from diqa_utils.extended import build_extended_score_model, unusualness
from diqa_utils.image_statistics import (
    SUMS,
    region_positions,
    region_sums,
    statistics_of_batch,
    statistics_of_sums,
)
from diqa_utils.inference import CARD, WEIGHTS, Predictor
from diqa_utils.maps import DEFAULT_ALPHA, OUTPUT_STRIDE, hand_crafted_features
from diqa_utils.models import MeanAndDeviation, build_error_map_model, build_score_model
from diqa_utils.preprocessing import normalize
from diqa_utils.sample_training import Recipe, trained_error_map_model, trained_score_model

__all__ = ["DiqaPredictor", "ExtendedPredictor", "KerasPredictor", "from_card", "sample_predictor"]

#: What graphs take: a picture or a tile of one, and places and sizes in pixels.
PIXELS = tf.TensorSpec([None, None, 3], tf.float32, "pixels")
INSIDE = tf.TensorSpec([4], tf.int32, "inside")
CORNER = tf.TensorSpec([2], tf.int32, "corner")
SIZE = tf.TensorSpec([2], tf.int32, "size")
REGION_SUMS = tf.TensorSpec([1, 8, 8, SUMS], tf.float32, "sums")

#: Quality, expected error and, where it is known, unusualness of each picture.
Judgement = tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]


class KerasPredictor(Predictor, ABC):
    """A predictor together with its models, in TensorFlow.

    Args:
        score_model: Trained model of step 2.
        error_map_model: Trained model that `build_error_map_model` made.
        card: Facts about the predictor, kept beside its weights, as a `Predictor` has them.
    """

    #: What the card says of the kind of predictor.
    kind: str

    def __init__(
        self,
        score_model: keras.Model,
        error_map_model: keras.Model,
        *,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.score_model = score_model
        self.error_map_model = error_map_model
        graphs = {name: _of_arrays(graph) for name, graph in self.graphs().items()}
        super().__init__(graphs, card=card)

    def graphs(self) -> dict[str, Any]:
        """Returns the functions that `Predictor` takes, as graphs of TensorFlow."""
        return {"error_map": _graph(lambda pixels: self._error_maps(pixels[tf.newaxis])[0], PIXELS)}

    def judge(self, pixels: tf.Tensor, *, dtype: tf.DType = tf.float64) -> dict[str, tf.Tensor]:
        """Judges whole pictures as a part of a graph, which exported files hold.

        Args:
            pixels: uint8 (N, H, W, 3), at least 48 x 48 pixels each.
            dtype: Precision of the statistics, float64 or float32.

        Returns:
            `quality`, `low` and `high`, the ends of its interval, float32 (N,) in 0..1; the ends
            are NaN if the predictor is not calibrated. `error_map`, float32
            (N, ceil(H / 4), ceil(W / 4)). `unusual`, bool (N,), if the predictor can tell.
        """
        self.keep_constants()
        pictures = scaled(pixels)
        quality, error, measured = self._judgement(pictures, dtype)
        quality = tf.clip_by_value(quality, 0, 1)
        half = error * (self.card.get("interval") or {}).get("half_width", math.nan)
        judged = {
            "quality": quality,
            "low": tf.maximum(quality - half, 0),
            "high": tf.minimum(quality + half, 1),
            "error_map": self._error_maps(_in_fours(pictures)),
        }
        if measured is not None and (usual := self.card.get("usual")):
            limits = np.array(usual["limits"], np.float32)
            judged["unusual"] = tf.reduce_any(measured > limits, axis=-1)
        return judged

    def keep_constants(self) -> None:
        """Keeps what Keras has made of its weights as arrays: a graph takes those for constants."""
        for model in self.models().values():
            for layer in model.layers:
                if isinstance(layer, keras.layers.Normalization):
                    layer.mean, layer.variance = np.array(layer.mean), np.array(layer.variance)

    def save(self, folder: str | PathLike[str]) -> None:
        """Saves the weights, the large arrays rounded to float16, and the card.

        Args:
            folder: Folder from which `load_predictor` will load it; made if it is not there.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.card |= {"predictor": self.kind, **self.settings()}
        self.card.pop("graphs", None)
        for name in self.graphs():  # those of other weights
            (path / f"{name}.onnx").unlink(missing_ok=True)
        self.card["sha256"] = save_weights(path / WEIGHTS, self.models())
        self.write_card(path)

    def write_card(self, folder: Path) -> None:
        """Writes the card into the folder of the predictor."""
        text = json.dumps(self.card, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        write_text(folder / CARD, text)

    def load_weights(self, path: Path, *, sha256: str) -> None:
        """Loads the weights that `save` wrote; raises what is wrong with the file."""
        load_weights(path, self.models(), sha256=sha256)

    def models(self) -> dict[str, keras.Model]:
        """Returns the models whose weights are kept, by the name under which they are."""
        return {"score": self.score_model, "error-map": self.error_map_model}

    @classmethod
    @abstractmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        """Builds the predictor with weights as they were drawn."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Returns what the card must hold so that the models can be built."""

    @abstractmethod
    def _judgement(self, pictures: tf.Tensor, dtype: tf.DType) -> Judgement:
        """Judges pictures (N, H, W, 3) in 0..1."""

    def _error_maps(self, pictures: tf.Tensor) -> tf.Tensor:
        return self.error_map_model(normalize(pictures), training=False)[..., 0]


class DiqaPredictor(KerasPredictor):
    """DIQA's score model, trained, together with the error-map model of step 1.

    Args:
        score_model: Trained model that `build_score_model` made.
        error_map_model: Trained model that `build_error_map_model` made.
        alpha: Slope of the reliability map that the score model was trained with.
        card: Facts about the predictor, as a `Predictor` has them.
    """

    kind = "diqa"

    def __init__(
        self,
        score_model: keras.Model,
        error_map_model: keras.Model,
        *,
        alpha: float = DEFAULT_ALPHA,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.alpha = alpha
        super().__init__(score_model, error_map_model, card=card)

    def graphs(self) -> dict[str, Any]:
        """Returns the functions that `Predictor` takes, as graphs of TensorFlow."""
        score = _graph(lambda pixels: self._qualities(pixels[tf.newaxis])[0], PIXELS)
        return super().graphs() | {"score": score}

    @classmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        alpha = _positive(card["alpha"])
        pooling = MeanAndDeviation() if card.get("deviations") else None
        score_model = build_score_model(pooling=pooling)
        return cls(score_model, build_error_map_model(), alpha=alpha, card=card)

    def settings(self) -> dict[str, Any]:
        """Returns alpha, and whether deviations are pooled beside means."""
        deviations = any(isinstance(entry, MeanAndDeviation) for entry in self.score_model.layers)
        return {"alpha": self.alpha, "deviations": deviations}

    def _judgement(self, pictures: tf.Tensor, dtype: tf.DType) -> Judgement:
        quality = self._qualities(pictures)
        return quality, tf.ones_like(quality), None

    def _qualities(self, pictures: tf.Tensor) -> tf.Tensor:
        features = hand_crafted_features(pictures, alpha=self.alpha)
        inputs = {"normalized": normalize(pictures), "hand_crafted": features}
        return self.score_model(inputs, training=False)[:, 0]


class ExtendedPredictor(KerasPredictor):
    """The extended score model, trained, together with the error-map model of step 1.

    A picture is unusual if its `unusualness` exceeds one of the limits that the card has under
    `usual`, which photographs set aside for calibration have set.

    Args:
        score_model: Trained model that `build_extended_score_model` made.
        error_map_model: Trained model that `build_error_map_model` made.
        card: Facts about the predictor, as a `Predictor` has them.

    Chapter: notebooks/12-a-judge-for-any-photograph.ipynb
    """

    kind = "extended"

    def graphs(self) -> dict[str, Any]:
        """Returns the functions that `Predictor` takes, as graphs of TensorFlow."""

        def sums(pixels: tf.Tensor, *places: tf.Tensor) -> tf.Tensor:
            return region_sums(pixels[tf.newaxis], *(tuple(tf.unstack(place)) for place in places))

        def score(sums: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, ...]:
            positions = region_positions(*tf.unstack(size))
            return tuple(each[0] for each in self._opinion(statistics_of_sums(sums, positions)))

        return super().graphs() | {
            "sums": _graph(sums, PIXELS, INSIDE, CORNER, SIZE),
            "score": _graph(score, REGION_SUMS, SIZE),
        }

    @classmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        mean, deviation = (float(card["quality"][name]) for name in ("mean", "deviation"))
        if not abs(mean) < math.inf:
            raise ValueError(f"The mean quality {mean} is not finite.")
        units = {"units": int(_positive(card["units"]))} if "units" in card else {}
        score_model = build_extended_score_model(mean=mean, deviation=_positive(deviation), **units)
        return cls(score_model, build_error_map_model(), card=card)

    def settings(self) -> dict[str, Any]:
        """Returns mean and deviation of the quality of the training pictures, and the units."""
        rescaling = self.score_model.get_layer("quality")
        quality = {"mean": rescaling.offset, "deviation": rescaling.scale}
        return {"quality": quality, "units": self.score_model.get_layer("member1_hidden1").units}

    def _judgement(self, pictures: tf.Tensor, dtype: tf.DType) -> Judgement:
        return self._opinion(statistics_of_batch(pictures, dtype=dtype))

    def _opinion(self, statistics: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        quality, error = tf.unstack(self.score_model(statistics, training=False), axis=-1)
        return quality, error, unusualness(self.score_model, statistics)


def from_card(card: dict[str, Any]) -> KerasPredictor:
    """Builds the predictor that a card describes, with weights as they were drawn.

    Args:
        card: The card of a saved predictor.

    Returns:
        A `DiqaPredictor` or an `ExtendedPredictor`.

    Raises:
        LookupError: If the card lacks something.
        ValueError: If a number of the card cannot be used.
    """
    kinds = {predictor.kind: predictor for predictor in (DiqaPredictor, ExtendedPredictor)}
    return kinds[card["predictor"]]._from_card(card)


def sample_predictor() -> DiqaPredictor:
    """Returns the chapters' short run of DIQA on the sample database, trained if need be."""
    recipe = Recipe()
    error_map_model, _ = trained_error_map_model(recipe)
    score_model, _ = trained_score_model(recipe)
    return DiqaPredictor(score_model, error_map_model, alpha=recipe.alpha)


def _graph(function: Callable[..., Any], *signature: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=signature, autograph=False)


def _of_arrays(graph: Any) -> Callable[..., Any]:
    """Returns a graph as a function of arrays, which gives one array or a list of several."""

    def run(*arguments: np.ndarray) -> Any:
        results = graph(*arguments)
        return [each.numpy() for each in results] if isinstance(results, tuple) else results.numpy()

    return run


def _in_fours(pictures: tf.Tensor) -> tf.Tensor:
    """Mirrors the last rows and columns until the sides are multiples of four."""
    # Not tf.pad: ONNX cannot mirror with the last row itself.
    for axis in (1, 2):
        side = tf.shape(pictures)[axis]
        place = tf.range((side + OUTPUT_STRIDE - 1) // OUTPUT_STRIDE * OUTPUT_STRIDE)
        place = tf.minimum(place, 2 * side - 1 - place)
        pictures = tf.gather(pictures, place, axis=axis)
    return pictures


def _positive(number: Any) -> float:
    """Returns a number of a card as it is used; raises a ValueError if it cannot be."""
    if not 0 < float(number) < math.inf:
        raise ValueError(f"{number} is not greater than zero and finite.")
    return float(number)
