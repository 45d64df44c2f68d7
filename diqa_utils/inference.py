"""Scoring pictures with a trained model, and seeing where it expects errors.

Sources:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
    Lei, G'Sell, Rinaldo, Tibshirani, Wasserman: Distribution-Free Predictive Inference for
        Regression. J. American Statistical Association 113(523), 2018.
        https://doi.org/10.1080/01621459.2017.1307116
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from diqa_utils._internal import weight_files
from diqa_utils._internal.checks import as_batch, to_unit_range
from diqa_utils._internal.tensorflow import arithmetic, check_precision, compiled
from diqa_utils._internal.tiles import tiles
from diqa_utils.extended import build_extended_score_model
from diqa_utils.image_statistics import partial_sums as _sums_over
from diqa_utils.image_statistics import statistics_of_means as _from_means
from diqa_utils.image_statistics import summed_positions as _positions
from diqa_utils.images import read_image
from diqa_utils.maps import DEFAULT_ALPHA, OUTPUT_STRIDE, hand_crafted_features
from diqa_utils.models import (
    build_error_map_model,
    build_score_model,
)
from diqa_utils.preprocessing import normalize
from diqa_utils.sample_training import Recipe, trained_error_map_model, trained_score_model

__all__ = [
    "ExtendedPredictor",
    "Predictor",
    "Score",
    "any_predictor",
    "load_predictor",
    "load_pretrained",
    "picture_files",
    "score",
]

#: What a predictor's folder holds.
CARD, WEIGHTS = "card.json", "weights.npz"

#: The folder of the predictor within that of a training run.
RUN_PREDICTOR = "predictor"

#: Predictors whose weights come with the package, one folder each.
PACKAGED = Path(__file__).parent / "weights"

#: Pictures of a folder that are read while another one is scored. A large one takes much memory.
READ_AHEAD = 2

#: What `score` and `load_pretrained` take if nobody says which.
DEFAULT_NAME = "biq2021"


class Score(float):
    """The quality of a picture in 0..1, with the interval in which a person's rating is expected.

    It is a float like any other; the interval comes along.

    Attributes:
        low: the lower end of the interval, 0..1; NaN where the predictor has not been calibrated.
        high: the upper end.
        confidence: the share of pictures whose mean rating lies in their interval, 0..1, among
            pictures like those that the predictor was calibrated on.

    Chapter: notebooks/09-prediction.ipynb
    """

    low: float
    high: float
    confidence: float

    def __new__(
        cls,
        quality: float,
        low: float = math.nan,
        high: float = math.nan,
        confidence: float = math.nan,
    ) -> Score:
        """Makes a score of a quality and its interval."""
        score = super().__new__(cls, quality)
        score.low, score.high, score.confidence = low, high, confidence
        return score


class _Predictor(ABC):
    """What both predictors have in common: pictures in any form, error maps, files.

    Args:
        score_model: gives the quality.
        error_map_model: as `build_error_map_model` makes it, trained.
        card: what is to be known about the predictor, kept beside its weights. `interval` holds
            `half_width` and `confidence`, if it has been calibrated.
        precision: of the convolutions of f, as in `train_error_map_model`.
    """

    #: What the card says of the kind of predictor.
    kind: str

    def __init__(
        self,
        score_model: keras.Model,
        error_map_model: keras.Model,
        *,
        card: Mapping[str, Any] | None = None,
        precision: str = "auto",
    ) -> None:
        check_precision(precision)
        self.score_model = score_model
        self.error_map_model = error_map_model
        self.card = dict(card or {})
        self.precision = precision
        # A graph of its own: what is normalised in bfloat16 is no longer what f knows.
        self._normalize = compiled(normalize)
        self._error_map = compiled(lambda normalized: error_map_model(normalized, training=False))

    def score(self, picture: Any) -> Any:
        """Scores pictures.

        Args:
            picture: a path, an image, or a list of them; or a folder. Images are (H, W, C) or
                batches (N, H, W, C), C = 1 or 3; uint8 in 0..255, or floating-point in 0..1; at
                least 48 x 48 pixels.

        Returns:
            The quality in 0..1, higher is better, each a `Score` with its interval: one for one
            picture, a list for a list or a batch, and for a folder a dictionary from the path of
            each picture file in it, in alphabetical order.

        Raises:
            FileNotFoundError: if a path leads nowhere.
            ValueError: as `read_image` does; if a folder has no picture in it, or an image is not
                as above.
        """
        if isinstance(picture, list | tuple):
            return [self.score(one) for one in picture]
        if isinstance(picture, str | PathLike) and Path(picture).is_dir():
            return dict(_or_raise(self.score_files(picture_files(picture))))
        if isinstance(picture, str | PathLike):
            return dict(_or_raise(self.score_files([picture])))[Path(picture)]
        qualities = self._qualities(_as_rgb(picture))
        scores = [self._with_interval(float(np.clip(one, 0, 1))) for one in qualities]
        return scores if np.ndim(picture) == 4 else scores[0]

    def score_files(
        self, paths: Iterable[str | PathLike[str]]
    ) -> Iterator[tuple[Path, Score | ValueError | OSError]]:
        """Scores picture files one after the other; the next ones are read meanwhile.

        Args:
            paths: of the files.

        Yields:
            Each path, in the given order, with its `Score`, or with the error that says why it has
            none: the others are scored all the same.
        """
        for path, image in _read_ahead(paths):
            try:
                yield path, image if isinstance(image, Exception) else self.score(image)
            except ValueError as error:
                yield path, ValueError(f"{str(path)!r}: {error}")

    def predict_error_map(self, picture: Any) -> np.ndarray:
        """Predicts where one picture differs from the original that nobody has.

        A large picture is looked at tile by tile, so that the memory that this takes beside the
        picture itself does not grow with it.

        Args:
            picture: a path or an image, as in `score`, but no batch, list or folder.

        Returns:
            float32 array (ceil(H / 4), ceil(W / 4)): the predicted error map, near 0..1.

        Raises:
            FileNotFoundError: if the path leads nowhere.
            ValueError: as in `score`; for a batch.
        """
        image = _as_image(picture)
        if np.ndim(image) == 4:
            raise ValueError(
                f"predict_error_map takes one image (H, W, C), not shape {np.shape(image)}."
            )
        # All tiles meet the strides of f in the same way if the sides are multiples of four.
        padded = _padded(_as_rgb(image)[0], OUTPUT_STRIDE)
        found = np.empty([side // OUTPUT_STRIDE for side in padded.shape[:2]], np.float32)
        for tile in tiles(padded):
            normalized = self._normalize(tile.pixels[np.newaxis])
            with arithmetic(self.precision):
                predicted = self._error_map(normalized)[0, ..., 0].numpy()
            found[tile.place(OUTPUT_STRIDE)] = predicted[tile.inside(OUTPUT_STRIDE)]
        return found

    def save(self, folder: str | PathLike[str]) -> None:
        """Saves the weights, the large arrays rounded to float16, and the card, for `load`.

        Args:
            folder: made if it is not there.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.card |= {"predictor": self.kind, **self._settings()}
        self.card["sha256"] = weight_files.save_weights(path / WEIGHTS, self._models())
        text = json.dumps(self.card, indent=2, sort_keys=True, ensure_ascii=False)
        (path / CARD).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> Self:
        """Loads what `save` saved.

        Args:
            folder: the folder that `save` wrote.

        Returns:
            The predictor.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if the weights are damaged or of another model, or the card is none of such
                a predictor.
        """
        path = Path(folder)
        if not (path / CARD).exists():
            raise FileNotFoundError(f"There is no predictor in {str(path)!r}: {CARD} is missing.")
        try:
            card = json.loads((path / CARD).read_text(encoding="utf-8"))
            if card["predictor"] != cls.kind:
                raise KeyError(cls.kind)
            predictor, sha256 = cls._from_card(card), card["sha256"]
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{str(path / CARD)!r} is not the card of a predictor of the kind {cls.kind!r}."
            ) from error
        weight_files.load_weights(path / WEIGHTS, predictor._models(), sha256=sha256)
        return predictor

    @abstractmethod
    def _qualities(self, batch: np.ndarray) -> Iterable[Any]:
        """The quality of each picture of a batch (N, H, W, 3), near 0..1."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What the card must hold so that `_from_card` can build the models."""

    @classmethod
    @abstractmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        """Builds the predictor with weights as they were drawn."""

    def _models(self) -> dict[str, keras.Model]:
        """The models whose weights are kept, by the name under which they are."""
        return {"score": self.score_model, "error-map": self.error_map_model}

    def _with_interval(self, quality: float) -> Score:
        interval = self.card.get("interval")
        if interval is None:
            return Score(quality)
        half = float(interval["half_width"])
        low, high = max(0.0, quality - half), min(1.0, quality + half)
        return Score(quality, low, high, float(interval["confidence"]))


class Predictor(_Predictor):
    """DIQA's score model, trained, together with the error-map model of step 1.

    Args:
        score_model: as `build_score_model` makes it, trained.
        error_map_model: as `build_error_map_model` makes it, trained.
        alpha: the slope of the reliability map that the score model was trained with.
        card: what is to be known about the predictor, kept beside its weights. `interval` holds
            `half_width` and `confidence`, if it has been calibrated.
        precision: of the convolutions of f: "float32", "bfloat16", or "auto", which takes bfloat16
            where the processor has instructions for it. An attribute of this name may be changed at
            any time.

    Chapter: notebooks/09-prediction.ipynb
    """

    kind = "diqa"

    def __init__(
        self,
        score_model: keras.Model,
        error_map_model: keras.Model,
        *,
        alpha: float = DEFAULT_ALPHA,
        card: Mapping[str, Any] | None = None,
        precision: str = "auto",
    ) -> None:
        super().__init__(score_model, error_map_model, card=card, precision=precision)
        self.alpha = alpha

        def inputs(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
            return {
                "normalized": normalize(pixels),
                "hand_crafted": hand_crafted_features(pixels, alpha=alpha),
            }

        self._inputs = compiled(inputs)
        self._quality = compiled(lambda inputs: score_model(inputs, training=False)[:, 0])

    def _qualities(self, batch: np.ndarray) -> Iterable[Any]:
        inputs = self._inputs(batch)
        with arithmetic(self.precision):
            return self._quality(inputs).numpy()

    def _settings(self) -> dict[str, Any]:
        return {"alpha": self.alpha}

    @classmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        alpha = float(card["alpha"])
        return cls(build_score_model(), build_error_map_model(), alpha=alpha, card=card)


class ExtendedPredictor(_Predictor):
    """The extended score model, trained, together with the error-map model of step 1.

    A large picture is measured tile by tile, so that the memory that this takes beside the picture
    itself does not grow with it. The tiles give the score of the whole.

    Args:
        score_model: as `build_extended_score_model` makes it, trained.
        error_map_model: as `build_error_map_model` makes it, trained.
        card: what is to be known about the predictor, kept beside its weights. `interval` holds
            `half_width` and `confidence`, if it has been calibrated.
        precision: of the convolutions that predict the error map, as in `Predictor`. The score is
            computed in float32 in any case.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    kind = "extended"

    def __init__(
        self,
        score_model: keras.Model,
        error_map_model: keras.Model,
        *,
        card: Mapping[str, Any] | None = None,
        precision: str = "auto",
    ) -> None:
        super().__init__(score_model, error_map_model, card=card, precision=precision)

        def sums(pixels: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
            batch = to_unit_range(pixels[tf.newaxis], name="picture")
            return _sums_over(batch, tuple(tf.unstack(box)))

        self._sums = compiled(sums)
        self._of_means = compiled(lambda means: score_model(_from_means(means), training=False))

    def _qualities(self, batch: np.ndarray) -> Iterable[Any]:
        return [self._quality(picture) for picture in batch]

    def _quality(self, picture: np.ndarray) -> float:
        """The quality of one picture (H, W, 3)."""
        sums = np.zeros(1)
        for tile in tiles(picture):
            found = self._sums(tile.pixels, np.array(tile.box))
            sums = sums + found.numpy().astype(np.float64)
        means = sums / _positions(*picture.shape[:2]).numpy()
        return float(self._of_means(tf.constant(means, tf.float32))[0, 0])

    def _settings(self) -> dict[str, Any]:
        rescaling = self.score_model.get_layer("score")
        return {"quality": {"mean": rescaling.offset, "deviation": rescaling.scale}}

    @classmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        quality = card["quality"]
        score_model = build_extended_score_model(
            mean=float(quality["mean"]), deviation=float(quality["deviation"])
        )
        return cls(score_model, build_error_map_model(), card=card)


def load_predictor(folder: str | PathLike[str]) -> Predictor | ExtendedPredictor:
    """Loads a predictor of either kind.

    Args:
        folder: that `save` wrote.

    Returns:
        The predictor.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the weights are damaged or of another model, or the card is none.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    card = Path(folder) / CARD
    is_diqa = card.exists() and '"predictor": "diqa"' in card.read_text(encoding="utf-8")
    return Predictor.load(folder) if is_diqa else ExtendedPredictor.load(folder)


def any_predictor(predictor: str | PathLike[str]) -> Predictor | ExtendedPredictor:
    """Loads a predictor by its name or from a folder.

    Args:
        predictor: a name, as in `load_pretrained`, or the folder of a predictor or of the training
            run that made it.

    Returns:
        The predictor.

    Raises:
        ValueError: as `load_predictor` and `load_pretrained` do.

    Chapter: notebooks/11-human-ratings.ipynb
    """
    folder = Path(predictor)
    for place in (folder / RUN_PREDICTOR, folder):
        if (place / CARD).exists():
            return load_predictor(place)
    return load_pretrained(str(predictor))


def picture_files(folder: str | PathLike[str]) -> list[Path]:
    """Returns the files in a folder whose names end as those of pictures do, sorted.

    Args:
        folder: looked into, but not into the folders in it.

    Returns:
        Their paths.

    Raises:
        ValueError: if there is none.

    Chapter: notebooks/09-prediction.ipynb
    """
    kinds = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files = sorted(
        path for path in Path(folder).iterdir() if path.suffix.lower() in kinds and path.is_file()
    )
    if not files:
        raise ValueError(f"There is no picture in {str(folder)!r}: name a folder that has some.")
    return files


def load_pretrained(name: str = DEFAULT_NAME) -> Predictor | ExtendedPredictor:
    """Loads a trained predictor by its name.

    Args:
        name: "biq2021", the extended predictor, which learnt from the ratings of photographs and
            whose weights come with the package; its `card` says how well it agrees with people,
            and on what. Or "sample_iqa", the chapters' short run of DIQA on the sample database.
            It is taken from the cache, or trained first, which takes about a minute on two cores.
            It learnt from stand-in scores that no person gave, on ten photographs: it shows how
            the method works and says nothing reliable about your pictures.

    Returns:
        An `ExtendedPredictor` or a `Predictor`; the same object each time.

    Raises:
        ValueError: if there is no predictor of that name, or its file of weights is damaged.

    Chapter: notebooks/09-prediction.ipynb
    """
    if name == "sample_iqa":
        return _sample_iqa_predictor()
    packaged = sorted(card.parent.name for card in PACKAGED.glob(f"*/{CARD}"))
    if name not in packaged:
        known = ", ".join([*packaged, "sample_iqa"])
        raise ValueError(f"There is no predictor {name!r}; known: {known}.")
    return _packaged_predictor(name)


def score(picture: Any, *, name: str = DEFAULT_NAME) -> Any:
    """Scores pictures without a reference.

    Args:
        picture: a path, an image, a list of them or a folder, as in `ExtendedPredictor.score`.
        name: which predictor, as in `load_pretrained`.

    Returns:
        The quality in 0..1, higher is better, as in `ExtendedPredictor.score`: a `Score` with its
        interval for one picture, a list for a list or a batch, a dictionary for a folder.

    Raises:
        FileNotFoundError: if a path leads nowhere.
        ValueError: as `ExtendedPredictor.score` and `load_pretrained` do.

    Chapter: notebooks/09-prediction.ipynb
    """
    return load_pretrained(name).score(picture)


@cache
def _sample_iqa_predictor() -> Predictor:
    recipe = Recipe()
    error_map_model, _ = trained_error_map_model(recipe)
    score_model, _ = trained_score_model(recipe)
    return Predictor(score_model, error_map_model, alpha=recipe.alpha)


@cache
def _packaged_predictor(name: str) -> Predictor | ExtendedPredictor:
    return load_predictor(PACKAGED / name)


def _read_ahead(
    paths: Iterable[str | PathLike[str]],
) -> Iterator[tuple[Path, np.ndarray | ValueError | OSError]]:
    """Reads pictures, a few ahead of the one that is asked for."""

    def read(path: Path) -> tuple[Path, np.ndarray | ValueError | OSError]:
        try:
            return path, read_image(path)
        except (ValueError, OSError) as error:
            return path, error

    with ThreadPoolExecutor(READ_AHEAD) as pool:
        reading: deque[Future[Any]] = deque()
        for path in paths:
            reading.append(pool.submit(read, Path(path)))
            if len(reading) > READ_AHEAD:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()


def _or_raise(
    scores: Iterable[tuple[Path, Score | ValueError | OSError]],
) -> Iterator[tuple[Path, Score]]:
    """Passes scores on, and raises the first error."""
    for path, found in scores:
        if isinstance(found, Exception):
            raise found
        yield path, found


def _as_image(picture: Any) -> Any:
    return read_image(picture) if isinstance(picture, str | PathLike) else picture


def _as_rgb(image: Any) -> np.ndarray:
    """Checks images and returns them as a batch (N, H, W, 3), of the type that they came in."""
    batch = as_batch(image, name="picture", channels=(1, 3))
    if (
        batch.dtype != tf.uint8
    ):  # of a large uint8 picture this would make a copy four times as large
        to_unit_range(batch, name="picture")
    pixels = batch.numpy()
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def _padded(picture: np.ndarray, step: int) -> np.ndarray:
    """Continues a picture at the right and below until its sides are multiples of `step`."""
    sides = [(0, -side % step) for side in picture.shape[:2]]
    return np.pad(picture, [*sides, (0, 0)], mode="symmetric")
