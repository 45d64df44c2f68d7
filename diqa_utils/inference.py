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
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from diqa_utils._internal.checks import as_batch, check_pixels, to_unit_range
from diqa_utils._internal.files import read_json, write_text
from diqa_utils._internal.tensorflow import compiled
from diqa_utils._internal.threads import map_ahead
from diqa_utils._internal.tiles import cells, tiles
from diqa_utils._internal.weight_files import load_weights, save_weights
from diqa_utils.extended import build_extended_score_model
from diqa_utils.image_statistics import partial_sums, statistics_of_means, summed_positions
from diqa_utils.images import is_picture_name, read_image
from diqa_utils.maps import DEFAULT_ALPHA, OUTPUT_STRIDE, hand_crafted_features
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.preprocessing import normalize
from diqa_utils.sample_training import Recipe, trained_error_map_model, trained_score_model

__all__ = [
    "ExtendedPredictor",
    "Predictor",
    "Score",
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

#: The predictor that `score` and `load_pretrained` take if nobody says which.
DEFAULT_NAME = "biq2021"

#: Pictures that are read while another one is scored. A large one takes much memory.
READ_AHEAD = 2


class Score(float):
    """The quality of a picture in 0..1, with the interval in which a person's rating is expected.

    It is a float like any other; the interval comes along.

    Attributes:
        low: Lower end of the interval, 0..1; NaN where the predictor has not been calibrated.
        high: Upper end of the interval, 0..1 or NaN.
        confidence: Share of pictures whose mean rating lies in their interval, 0..1, among
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


class Predictor:
    """DIQA's score model, trained, together with the error-map model of step 1.

    Args:
        score_model: Trained model that `build_score_model` made.
        error_map_model: Trained model that `build_error_map_model` made.
        alpha: Slope of the reliability map that the score model was trained with.
        card: Facts about the predictor, kept beside its weights. `interval` holds `half_width` and
            `confidence`, if it has been calibrated.
    """

    #: What the card says of the kind of predictor.
    kind = "diqa"

    def __init__(
        self,
        score_model: keras.Model,
        error_map_model: keras.Model,
        *,
        alpha: float = DEFAULT_ALPHA,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.score_model = score_model
        self.error_map_model = error_map_model
        self.alpha = alpha
        self.card = dict(card or {})

        def inputs(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
            features = hand_crafted_features(pixels, alpha=alpha)
            return {"normalized": normalize(pixels), "hand_crafted": features}

        self._quality = compiled(lambda pixels: score_model(inputs(pixels), training=False)[:, 0])
        self._error_map = compiled(
            lambda pixels: error_map_model(normalize(pixels), training=False)
        )

    def score(self, picture: Any) -> Any:
        """Scores pictures.

        Args:
            picture: Path, image, or list of them; or a folder. Images are (H, W, C) or batches
                (N, H, W, C), C = 1 or 3; uint8 in 0..255, or floating-point in 0..1; at least
                48 x 48 pixels.

        Returns:
            Quality in 0..1, higher is better, each a `Score` with its interval: one for one
            picture, a list for a list or a batch, and for a folder a dictionary from the path of
            each picture file in it, in alphabetical order.

        Raises:
            FileNotFoundError: If a path leads nowhere.
            ValueError: If a file is no picture or damaged, a folder has no picture in it, or an
                image is not as above.
        """
        if isinstance(picture, list | tuple):
            return [self.score(entry) for entry in picture]
        if isinstance(picture, str | PathLike):
            if Path(picture).is_dir():
                return dict(self._scored(picture_files(picture)))
            [(_, quality)] = self._scored([picture])
            return quality
        scores = [self._with_interval(quality) for quality in self._qualities(_as_rgb(picture))]
        return scores if np.ndim(picture) == 4 else scores[0]

    def score_files(
        self, paths: Iterable[str | PathLike[str]]
    ) -> Iterator[tuple[Path, Score | ValueError | OSError]]:
        """Scores picture files one after the other; the next ones are read meanwhile.

        Args:
            paths: Paths of the files.

        Yields:
            Each path, in the given order, with its `Score`, or with the error that says why it has
            none: the others are scored all the same.
        """
        for path, image in map_ahead(_read, paths, ahead=READ_AHEAD):
            try:
                yield path, image if isinstance(image, Exception) else self.score(image)
            except ValueError as error:
                yield path, ValueError(f"{str(path)!r}: {error}")

    def predict_error_map(self, picture: Any) -> np.ndarray:
        """Predicts where one picture differs from the original that nobody has.

        A large picture is looked at tile by tile, so that the memory that this takes beside the
        picture itself does not grow with it.

        Args:
            picture: Path or image that `score` takes, but no batch, list or folder.

        Returns:
            float32 array (ceil(H / 4), ceil(W / 4)): the predicted error map, near 0..1.

        Raises:
            FileNotFoundError: If the path leads nowhere.
            ValueError: If the file is no picture or damaged, or the image is not one that `score`
                takes, or a batch.
        """
        image = read_image(picture) if isinstance(picture, str | PathLike) else picture
        if np.ndim(image) == 4:
            raise ValueError(
                f"predict_error_map takes one image (H, W, C), not shape {np.shape(image)}."
            )
        pixels = _as_rgb(image)[0]
        # All tiles meet the strides of f in the same way if the sides are multiples of four.
        margins = [(0, -side % OUTPUT_STRIDE) for side in pixels.shape[:2]]
        padded = np.pad(pixels, [*margins, (0, 0)], mode="symmetric")
        error_map = np.empty([side // OUTPUT_STRIDE for side in padded.shape[:2]], np.float32)
        for tile in tiles(padded):
            predicted = self._error_map(tile.pixels[np.newaxis])[0, ..., 0].numpy()
            error_map[cells(tile.place, OUTPUT_STRIDE)] = predicted[
                cells(tile.inside, OUTPUT_STRIDE)
            ]
        return error_map

    def save(self, folder: str | PathLike[str]) -> None:
        """Saves the weights, the large arrays rounded to float16, and the card.

        Args:
            folder: Folder from which `load_predictor` will load it; made if it is not there.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.card |= {"predictor": self.kind, **self._settings()}
        self.card["sha256"] = save_weights(path / WEIGHTS, self._models())
        text = json.dumps(self.card, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        write_text(path / CARD, text)

    @classmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        """Builds the predictor with weights as they were drawn."""
        alpha = _positive(card["alpha"])
        return cls(build_score_model(), build_error_map_model(), alpha=alpha, card=card)

    def _settings(self) -> dict[str, Any]:
        """What the card must hold so that `_from_card` can build the models."""
        return {"alpha": self.alpha}

    def _models(self) -> dict[str, keras.Model]:
        """The models whose weights are kept, by the name under which they are."""
        return {"score": self.score_model, "error-map": self.error_map_model}

    def _qualities(self, batch: np.ndarray) -> Iterable[float]:
        """The quality of each picture of a batch (N, H, W, 3), near 0..1."""
        return self._quality(batch).numpy()

    def _scored(self, paths: Iterable[str | PathLike[str]]) -> Iterator[tuple[Path, Score]]:
        """Scores picture files as `score_files` does, up to the first error."""
        for path, result in self.score_files(paths):
            if isinstance(result, Exception):
                raise result
            yield path, result

    def _with_interval(self, quality: float) -> Score:
        quality = float(np.clip(quality, 0, 1))
        interval = self.card.get("interval")
        if interval is None:
            return Score(quality)
        half = float(interval["half_width"])
        low, high = max(0.0, quality - half), min(1.0, quality + half)
        return Score(quality, low, high, float(interval["confidence"]))


class ExtendedPredictor(Predictor):
    """The extended score model, trained, together with the error-map model of step 1.

    A large picture is measured tile by tile, so that the memory that this takes beside the picture
    itself does not grow with it. The tiles give the score of the whole.

    Args:
        score_model: Trained model that `build_extended_score_model` made.
        error_map_model: Trained model that `build_error_map_model` made.
        card: Facts about the predictor, kept beside its weights, as those of a `Predictor` are.

    Chapter: notebooks/11-human-ratings.ipynb
    """

    kind = "extended"

    def __init__(
        self,
        score_model: keras.Model,
        error_map_model: keras.Model,
        *,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(score_model, error_map_model, card=card)

        def sums(pixels: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
            batch = to_unit_range(pixels[tf.newaxis], name="picture")
            return partial_sums(batch, tuple(tf.unstack(box)))

        self._sums = compiled(sums)
        self._quality_of_means = compiled(
            lambda means: score_model(statistics_of_means(means), training=False)
        )

    @classmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        mean, deviation = (float(card["quality"][name]) for name in ("mean", "deviation"))
        if not abs(mean) < math.inf:
            raise ValueError(f"The mean quality {mean} is not finite.")
        score_model = build_extended_score_model(mean=mean, deviation=_positive(deviation))
        return cls(score_model, build_error_map_model(), card=card)

    def _settings(self) -> dict[str, Any]:
        rescaling = self.score_model.get_layer("score")
        return {"quality": {"mean": rescaling.offset, "deviation": rescaling.scale}}

    def _qualities(self, batch: np.ndarray) -> Iterable[float]:
        for picture in batch:
            sums = sum(
                self._sums(tile.pixels, np.array(tile.inside)).numpy().astype(np.float64)
                for tile in tiles(picture)
            )
            means = sums / summed_positions(*picture.shape[:2]).numpy()
            yield float(self._quality_of_means(tf.constant(means, tf.float32))[0, 0])


def load_predictor(source: str | PathLike[str]) -> Predictor:
    """Loads a predictor of the kind that its card states.

    Args:
        source: Folder of a saved predictor, or of the training run that made it; or a name that
            `load_pretrained` takes.

    Returns:
        A `Predictor`, or an `ExtendedPredictor`.

    Raises:
        FileNotFoundError: If the folder holds no predictor, or its weights are missing.
        ValueError: If the weights are damaged or another model's, the card is no predictor's, or
            there is neither a folder nor a predictor of that name.

    Chapter: notebooks/09-prediction.ipynb
    """
    for folder in (Path(source, RUN_PREDICTOR), Path(source)):
        if (folder / CARD).exists():
            return _load(folder)
    if Path(source).is_dir() and str(source) not in _names():
        raise FileNotFoundError(f"There is no predictor in {str(source)!r}: {CARD} is missing.")
    return load_pretrained(str(source))


def load_pretrained(name: str = DEFAULT_NAME) -> Predictor:
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
        ValueError: If there is no predictor of that name, or its file of weights is damaged.

    Chapter: notebooks/09-prediction.ipynb
    """
    if name not in _names():
        raise ValueError(f"There is no predictor {name!r}; known: {', '.join(_names())}.")
    return _pretrained(name)


def score(picture: Any, *, name: str = DEFAULT_NAME) -> Any:
    """Scores pictures without a reference.

    Args:
        picture: Path, image, list of them, or folder: all that `Predictor.score` takes.
        name: Name of the predictor, one that `load_pretrained` knows.

    Returns:
        Quality in 0..1, higher is better, as `Predictor.score` returns it: a `Score` with its
        interval for one picture, a list for a list or a batch, a dictionary for a folder.

    Raises:
        FileNotFoundError: If a path leads nowhere.
        ValueError: If a picture cannot be scored, or there is no predictor of that name.

    Chapter: notebooks/09-prediction.ipynb
    """
    return load_pretrained(name).score(picture)


def picture_files(folder: str | PathLike[str]) -> list[Path]:
    """Returns the files in a folder whose names end as those of pictures do, sorted.

    Args:
        folder: Folder to look into, but not into the folders in it.

    Returns:
        Paths of the files.

    Raises:
        ValueError: If there is none.

    Chapter: notebooks/09-prediction.ipynb
    """
    files = sorted(
        path for path in Path(folder).iterdir() if is_picture_name(path) and path.is_file()
    )
    if not files:
        raise ValueError(f"There is no picture in {str(folder)!r}: name a folder that has some.")
    return files


def _names() -> list[str]:
    """The names that `load_pretrained` takes."""
    return [*sorted(card.parent.name for card in PACKAGED.glob(f"*/{CARD}")), "sample_iqa"]


@cache
def _pretrained(name: str) -> Predictor:
    if name != "sample_iqa":
        return _load(PACKAGED / name)
    recipe = Recipe()
    error_map_model, _ = trained_error_map_model(recipe)
    score_model, _ = trained_score_model(recipe)
    return Predictor(score_model, error_map_model, alpha=recipe.alpha)


def _load(folder: Path) -> Predictor:
    """Loads what `Predictor.save` saved."""
    kinds = {predictor.kind: predictor for predictor in (Predictor, ExtendedPredictor)}
    file = folder / CARD
    try:
        card = read_json(file, "")
        predictor, sha256 = kinds[card["predictor"]]._from_card(card), str(card["sha256"])
        if (interval := card.get("interval")) is not None:
            half, confidence = (float(interval[name]) for name in ("half_width", "confidence"))
            if not (0 <= half < math.inf and 0 < confidence < 1):
                raise ValueError(f"{interval} is no interval.")
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(file)!r} is not the card of a predictor, or is damaged: copy the folder anew; "
            "that of a training run is made again by `diqa resume`."
        ) from error
    load_weights(folder / WEIGHTS, predictor._models(), sha256=sha256)
    return predictor


def _positive(number: Any) -> float:
    """Returns a number of a card as it is used; raises a ValueError if it cannot be."""
    if not 0 < float(number) < math.inf:
        raise ValueError(f"{number} is not greater than zero and finite.")
    return float(number)


def _read(path: str | PathLike[str]) -> tuple[Path, np.ndarray | ValueError | OSError]:
    """Reads a picture; an error is returned, so that it ends nothing but this picture's way."""
    try:
        return Path(path), read_image(path)
    except (ValueError, OSError) as error:
        return Path(path), error


def _as_rgb(image: Any) -> np.ndarray:
    """Checks images and returns them as a batch (N, H, W, 3), of the type that they came in."""
    batch = as_batch(image, name="picture", channels=(1, 3))
    check_pixels(batch, name="picture")
    pixels = batch.numpy()
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
