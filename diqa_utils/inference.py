"""Scoring pictures with a trained model, and seeing where it expects errors."""

from __future__ import annotations

from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diqa_utils.images import read_image
from diqa_utils.maps import DEFAULT_ALPHA, hand_crafted_features
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.preprocessing import normalize
from diqa_utils.recipes import Recipe, trained_error_map_model, trained_score_model
from diqa_utils.training import load_weights

__all__ = ["Predictor", "load_pretrained", "score"]

#: What a predictor's folder holds.
SCORE_WEIGHTS, ERROR_MAP_WEIGHTS = "score.weights.h5", "error-map.weights.h5"


class Predictor:
    """A trained score model together with the error-map model of step 1.

    Args:
        score_model: as `build_score_model` makes it, trained.
        error_map_model: as `build_error_map_model` makes it, trained.
        alpha: the slope of the reliability map that the score model was trained with.

    Chapter: notebooks/09-prediction.ipynb
    """

    def __init__(
        self,
        score_model: keras.Model,
        error_map_model: keras.Model,
        *,
        alpha: float = DEFAULT_ALPHA,
    ) -> None:
        self.score_model = score_model
        self.error_map_model = error_map_model
        self.alpha = alpha
        self._score = tf.function(self._score_batch, reduce_retracing=True)
        self._error_map = tf.function(
            lambda normalized: error_map_model(normalized, training=False), reduce_retracing=True
        )

    def score(self, picture: Any) -> Any:
        """Scores pictures.

        Args:
            picture: a path, an image or a list of them. Images are (H, W, C) or batches
                (N, H, W, C), C = 1 or 3; uint8 in 0..255, or floating-point in 0..1; at least
                48 x 48 pixels.

        Returns:
            The quality in 0..1, higher is better: a float for one picture, a list for a list and
            a float32 array (N,) for a batch.

        Raises:
            FileNotFoundError: if a path leads nowhere.
            ValueError: as `read_image` and `normalize` do.
        """
        if isinstance(picture, list | tuple):
            return [self.score(one) for one in picture]
        image = _as_image(picture)
        if np.ndim(image) == 3:
            return float(self.score(image[None])[0])
        normalized, hand_crafted = normalize(image), hand_crafted_features(image, alpha=self.alpha)
        return self._score(normalized, hand_crafted).numpy()

    def predict_error_map(self, picture: Any) -> np.ndarray:
        """Predicts where one picture differs from the original that nobody has.

        Args:
            picture: a path or an image, as in `score`, but no batch or list.

        Returns:
            float32 array (ceil(H / 4), ceil(W / 4)): the predicted error map, near 0..1.

        Raises:
            FileNotFoundError: if the path leads nowhere.
            ValueError: as `read_image` and `normalize` do; for a batch.
        """
        image = _as_image(picture)
        if np.ndim(image) != 3:
            raise ValueError(
                f"predict_error_map takes one image (H, W, C), not shape {np.shape(image)}."
            )
        return self._error_map(normalize(image)[tf.newaxis])[0, ..., 0].numpy()

    def save(self, folder: str | PathLike[str]) -> None:
        """Saves the weights of both models, for `load`.

        Args:
            folder: made if it is not there.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.score_model.save_weights(Path(folder) / SCORE_WEIGHTS)
        self.error_map_model.save_weights(Path(folder) / ERROR_MAP_WEIGHTS)

    @classmethod
    def load(cls, folder: str | PathLike[str], *, alpha: float = DEFAULT_ALPHA) -> Predictor:
        """Loads what `save` saved.

        Args:
            folder: the folder that `save` wrote.
            alpha: the slope of the reliability map that the score model was trained with.

        Returns:
            The predictor.

        Raises:
            FileNotFoundError: if a file of weights is missing.
            ValueError: if the weights are of another model.
        """
        score_model, error_map_model = build_score_model(), build_error_map_model()
        load_weights(score_model, Path(folder) / SCORE_WEIGHTS)
        load_weights(error_map_model, Path(folder) / ERROR_MAP_WEIGHTS)
        return cls(score_model, error_map_model, alpha=alpha)

    def _score_batch(self, normalized: tf.Tensor, hand_crafted: tf.Tensor) -> tf.Tensor:
        inputs = {"normalized": normalized, "hand_crafted": hand_crafted}
        return tf.clip_by_value(self.score_model(inputs, training=False)[:, 0], 0.0, 1.0)


def load_pretrained(name: str = "sample_iqa") -> Predictor:
    """Loads a trained predictor by its name.

    Args:
        name: "sample_iqa", the chapters' short run on the sample database. It is taken from the
            cache, or trained first, which takes about a minute on two cores. It learnt from
            stand-in scores that no person gave, on ten photographs: it shows how scoring works
            and says nothing reliable about your pictures.

    Returns:
        The predictor; the same object each time.

    Raises:
        ValueError: if there is no predictor of that name.

    Chapter: notebooks/09-prediction.ipynb
    """
    if name != "sample_iqa":
        raise ValueError(f"There is no predictor {name!r}; known: sample_iqa.")
    return _sample_iqa_predictor()


def score(picture: Any, *, name: str = "sample_iqa") -> Any:
    """Scores pictures without a reference.

    Args:
        picture: a path, an image or a list of them, as in `Predictor.score`.
        name: which predictor, as in `load_pretrained`.

    Returns:
        The quality in 0..1, higher is better: a float for one picture, a list for a list and a
        float32 array (N,) for a batch.

    Raises:
        FileNotFoundError: if a path leads nowhere.
        ValueError: as `read_image`, `normalize` and `load_pretrained` do.

    Chapter: notebooks/09-prediction.ipynb
    """
    return load_pretrained(name).score(picture)


@cache
def _sample_iqa_predictor() -> Predictor:
    recipe = Recipe()
    error_map_model, _ = trained_error_map_model(recipe)
    score_model, _ = trained_score_model(recipe)
    return Predictor(score_model, error_map_model, alpha=recipe.alpha)


def _as_image(picture: Any) -> Any:
    return read_image(picture) if isinstance(picture, str | PathLike) else picture
