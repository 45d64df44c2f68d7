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
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from diqa_utils._internal.checks import as_batch, check_pixels, check_shape, to_unit_range
from diqa_utils._internal.files import read_json, write_text
from diqa_utils._internal.tensorflow import compiled
from diqa_utils._internal.threads import map_ahead
from diqa_utils._internal.tiles import cells, tiles
from diqa_utils._internal.weight_files import load_weights, save_weights
from diqa_utils.extended import build_extended_score_model, unusualness
from diqa_utils.image_statistics import region_positions, region_sums, statistics_of_sums
from diqa_utils.images import ENCODED, MAX_MEGAPIXELS, checked_path, read_image
from diqa_utils.maps import DEFAULT_ALPHA, OUTPUT_STRIDE, hand_crafted_features
from diqa_utils.models import MeanAndDeviation, build_error_map_model, build_score_model
from diqa_utils.picture_files import find_pictures, no_pictures, picture_files
from diqa_utils.plotting import Gallery, show_overlay
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

#: What is said of a picture that is unlike those that the predictor was calibrated on.
UNUSUAL = (
    "This picture is unlike the photographs that the predictor was calibrated on: neither the "
    "score nor its interval can be relied on."
)

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
        unusual: Whether the picture is unlike all of those, so that nobody knows what the score is
            worth; None where the predictor cannot tell.

    Chapter: notebooks/09-prediction.ipynb
    """

    low: float
    high: float
    confidence: float
    unusual: bool | None

    def __new__(
        cls,
        quality: float,
        low: float = math.nan,
        high: float = math.nan,
        confidence: float = math.nan,
        unusual: bool | None = None,
    ) -> Score:
        """Makes a score of a quality and its interval."""
        score = super().__new__(cls, quality)
        score.low, score.high, score.confidence = low, high, confidence
        score.unusual = unusual
        return score

    def __repr__(self) -> str:
        """Returns the quality and its interval, as in "0.77 (0.58 to 0.95)"."""
        if math.isnan(self.low):
            return f"{self:.2f}"
        return f"{self:.2f} ({self.low:.2f} to {self.high:.2f})"

    @property
    def note(self) -> str:
        """What to know about the score, in a sentence; empty if there is nothing."""
        return UNUSUAL if self.unusual else ""

    def _repr_html_(self) -> str:
        """Returns a bar from 0 to 1, as notebooks show it: the interval, and in it the quality."""
        start, end = (0, 0) if math.isnan(self.low) else (self.low, self.high)
        bar = (
            '<svg width="200" height="14" role="img" style="vertical-align:middle">'
            f"<title>quality {self!r}, from 0 to 1</title>"
            '<rect width="200" height="14" rx="3" fill="#888" fill-opacity="0.25"/>'
            f'<rect x="{200 * start:.0f}" width="{200 * (end - start):.0f}" height="14" rx="3" '
            'fill="#56B4E9"/>'
            f'<rect x="{min(197.0, 200 * self):.0f}" width="3" height="14" fill="#D55E00"/></svg>'
        )
        return f"{bar} {self!r}{f'<br>{self.note}' if self.note else ''}"


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
            picture: A picture: what `read_image` takes (path, bytes, stream, PIL image), or an
                array or tensor (H, W) or (H, W, C), C = 1 or 3; uint8 in 0..255, or floating-point
                in 0..1; at least 48 x 48 pixels. Or a list of pictures, a batch (N, H, W, C), or a
                folder.

        Returns:
            Quality in 0..1, higher is better, each a `Score` with its interval: one for one
            picture, a list for a list or a batch, and for a folder a dictionary from the path of
            each picture file in it, in alphabetical order; a warning says what else is in it.

        Raises:
            FileNotFoundError: If a path leads nowhere.
            TypeError: If it is nothing of the above.
            ValueError: If a file is no picture or damaged, a folder has no picture in it, or an
                image is not as above.
        """
        if isinstance(picture, list | tuple):
            return [self._score_entry(number, entry) for number, entry in enumerate(picture)]
        if isinstance(picture, str | PathLike) and checked_path(picture).is_dir():
            return self._score_folder(picture)
        batch = _as_rgb(picture)
        scores = [self._scored(*judged) for judged in self._judged(batch)]
        return scores if np.ndim(picture) == 4 else scores[0]

    def score_files(
        self, paths: Iterable[str | PathLike[str]], *, max_megapixels: float = MAX_MEGAPIXELS
    ) -> Iterator[tuple[Path, Score | Exception]]:
        """Scores picture files one after the other; the next ones are read meanwhile.

        Args:
            paths: Paths of the files, as `find_pictures` finds them; there may be millions.
            max_megapixels: Millions of pixels that a file may have, as in `read_image`.

        Yields:
            Each path, in the given order, with its `Score`, or with the error that says why it has
            none: the others are scored all the same.
        """

        def read(path: str | PathLike[str]) -> tuple[Path, np.ndarray | Exception]:
            try:
                return Path(path), read_image(path, max_megapixels=max_megapixels)
            except Exception as error:  # whatever it is, it costs this picture alone
                return Path(path), error

        for path, image in map_ahead(read, paths, ahead=READ_AHEAD):
            if isinstance(image, Exception):
                yield path, image
                continue
            try:
                yield path, self.score(image)
            except Exception as error:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                yield path, ValueError(f"{str(path)!r}: {reason}")

    def report(self, picture: Any) -> Gallery:
        """Shows a picture, its predicted error map and its score.

        Args:
            picture: One picture that `score` takes.

        Returns:
            The gallery, below the score.

        Raises:
            FileNotFoundError: If the path leads nowhere.
            TypeError: If it is no picture.
            ValueError: If it cannot be scored, or is a batch.

        Chapter: notebooks/09-prediction.ipynb
        """
        pixels = _one_picture(picture)
        quality = self.score(pixels)
        gallery = show_overlay(pixels, self.predict_error_map(pixels))
        html = f"<div>quality {quality._repr_html_()}</div>\n{gallery.html}"
        return Gallery(html, (f"quality {quality!r}", *gallery.titles))

    def predict_error_map(self, picture: Any) -> np.ndarray:
        """Predicts where one picture differs from the original that nobody has.

        A large picture is looked at tile by tile, so that the memory that this takes beside the
        picture itself does not grow with it.

        Args:
            picture: One picture that `score` takes, but no batch, list or folder.

        Returns:
            float32 array (ceil(H / 4), ceil(W / 4)): the predicted error map, near 0..1.

        Raises:
            FileNotFoundError: If the path leads nowhere.
            TypeError: If it is no picture.
            ValueError: If the file is no picture or damaged, or the image is not one that `score`
                takes, or a batch.
        """
        pixels = _one_picture(picture)
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
        pooling = MeanAndDeviation() if card.get("deviations") else None
        score_model = build_score_model(pooling=pooling)
        return cls(score_model, build_error_map_model(), alpha=alpha, card=card)

    def _settings(self) -> dict[str, Any]:
        """What the card must hold so that `_from_card` can build the models."""
        deviations = any(isinstance(entry, MeanAndDeviation) for entry in self.score_model.layers)
        return {"alpha": self.alpha, "deviations": deviations}

    def _models(self) -> dict[str, keras.Model]:
        """The models whose weights are kept, by the name under which they are."""
        return {"score": self.score_model, "error-map": self.error_map_model}

    def _judged(self, batch: np.ndarray) -> Iterable[tuple[float, float, bool | None]]:
        """Quality, near 0..1, expected error and unusualness of each picture (N, H, W, 3).

        The interval reaches `half_width` expected errors to either side. DIQA expects the same
        error everywhere.
        """
        return ((quality, 1.0, None) for quality in self._quality(batch).numpy())

    def _score_entry(self, number: int, picture: Any) -> Any:
        try:
            return self.score(picture)
        except (TypeError, ValueError) as error:
            raise type(error)(f"Picture {number} of the list: {error}") from error

    def _score_folder(self, folder: str | PathLike[str]) -> dict[Path, Score]:
        found = find_pictures([checked_path(folder)])
        if not found.files:
            raise ValueError(no_pictures(folder, found))
        if found.skipped:
            warnings.warn(f"{str(folder)!r}: {found.skipped_in_words()}.", stacklevel=3)
        scores = {}
        for path, result in self.score_files(found.files):
            if isinstance(result, Exception):
                raise result
            scores[path] = result
        return scores

    def _scored(self, quality: float, error: float, unusual: bool | None) -> Score:
        quality = float(np.clip(quality, 0, 1))
        interval = self.card.get("interval")
        if interval is None:
            return Score(quality, unusual=unusual)
        half = float(interval["half_width"]) * error
        low, high = max(0.0, quality - half), min(1.0, quality + half)
        return Score(quality, low, high, float(interval["confidence"]), unusual)


class ExtendedPredictor(Predictor):
    """The extended score model, trained, together with the error-map model of step 1.

    A large picture is measured tile by tile, so that the memory that this takes beside the picture
    itself does not grow with it. The tiles give the score of the whole.

    A picture is unusual if its `unusualness` exceeds one of the limits that the card has under
    `usual`, which photographs set aside for calibration have set.

    Args:
        score_model: Trained model that `build_extended_score_model` made.
        error_map_model: Trained model that `build_error_map_model` made.
        card: Facts about the predictor, kept beside its weights, as those of a `Predictor` are.

    Chapter: notebooks/12-a-judge-for-any-photograph.ipynb
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

        def sums(pixels: tf.Tensor, *places: tf.Tensor) -> tf.Tensor:
            batch = to_unit_range(pixels[tf.newaxis], name="picture")
            return region_sums(batch, *(tuple(tf.unstack(place)) for place in places))

        self._sums = compiled(sums)

        def judge(sums: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            statistics = statistics_of_sums(sums, region_positions(*tf.unstack(size)))
            return score_model(statistics, training=False), unusualness(score_model, statistics)

        self._judge = compiled(judge)

    @classmethod
    def _from_card(cls, card: dict[str, Any]) -> Self:
        mean, deviation = (float(card["quality"][name]) for name in ("mean", "deviation"))
        if not abs(mean) < math.inf:
            raise ValueError(f"The mean quality {mean} is not finite.")
        score_model = build_extended_score_model(mean=mean, deviation=_positive(deviation))
        return cls(score_model, build_error_map_model(), card=card)

    def _settings(self) -> dict[str, Any]:
        rescaling = self.score_model.get_layer("quality")
        return {"quality": {"mean": rescaling.offset, "deviation": rescaling.scale}}

    def _judged(self, batch: np.ndarray) -> Iterable[tuple[float, float, bool | None]]:
        size = np.array(batch.shape[1:3])
        for picture in batch:
            sums = sum(
                self._sums(tile.pixels, *map(np.array, (tile.inside, tile.place[:2], size))).numpy()
                for tile in tiles(picture)
            )
            judgement, measured = self._judge(sums, size)
            quality, error = judgement.numpy()[0].tolist()
            yield quality, error, self._is_unusual(measured[0].numpy())

    def _is_unusual(self, measured: np.ndarray) -> bool | None:
        usual = self.card.get("usual")
        return None if usual is None else bool((measured > usual["limits"]).any())


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
            and on what. Or "diqa", the network of the paper, which learnt from the same ratings
            and agrees less well. Or "sample_iqa", the chapters' short run of DIQA on the sample
            database. It is taken from the cache, or trained first, which takes about a minute on
            two cores. It learnt from stand-in scores that no person gave, on ten photographs: it
            shows how the method works and says nothing reliable about your pictures.

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
        _check_calibration(card)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(file)!r} is not the card of a predictor, or is damaged: copy the folder anew; "
            "that of a training run is made again by `diqa resume`."
        ) from error
    load_weights(folder / WEIGHTS, predictor._models(), sha256=sha256)
    return predictor


def _one_picture(picture: Any) -> np.ndarray:
    """Reads or checks one picture: (H, W, 3)."""
    batch = _as_rgb(picture)
    if np.ndim(picture) == 4:
        raise ValueError(f"One image (H, W, C) is needed here, not shape {np.shape(picture)}.")
    return batch[0]


def _check_calibration(card: Mapping[str, Any]) -> None:
    """Raises what is wrong with the interval or with the limits of what is usual."""
    if (interval := card.get("interval")) is not None:
        half, confidence = (float(interval[name]) for name in ("half_width", "confidence"))
        if not (0 <= half < math.inf and 0 < confidence < 1):
            raise ValueError(f"{interval} is no interval.")
    if (usual := card.get("usual")) is not None and not (
        np.shape(usual["limits"]) == (2,) and np.isfinite(np.asarray(usual["limits"], float)).all()
    ):
        raise ValueError(f"{usual} has no two limits.")


def _positive(number: Any) -> float:
    """Returns a number of a card as it is used; raises a ValueError if it cannot be."""
    if not 0 < float(number) < math.inf:
        raise ValueError(f"{number} is not greater than zero and finite.")
    return float(number)


def _as_rgb(picture: Any) -> np.ndarray:
    """Reads or checks a picture, or a batch: (N, H, W, 3), of the type that it came in."""
    if isinstance(picture, np.ndarray | tf.Tensor) or not (
        isinstance(picture, ENCODED) or hasattr(picture, "read")
    ):
        image = _as_array(picture)
    else:
        image = read_image(picture)
    if (
        image.dtype == np.uint8
    ):  # never a second copy: TensorFlow does not survive too little memory
        check_shape(tf.TensorShape(image.shape), name="picture", channels=(1, 3))
        pixels = image if image.ndim == 4 else image[np.newaxis]
    else:
        batch = as_batch(image, name="picture", channels=(1, 3))
        check_pixels(batch, name="picture")
        pixels = batch.numpy()
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def _as_array(picture: Any) -> np.ndarray:
    """Returns an array or a tensor as an array; a grey one (H, W) gets its channel."""
    if not hasattr(picture, "__array__"):
        checked_path(picture)  # says what a picture may be
    array = np.asarray(picture)
    if array.dtype.kind not in "biufV":  # V: bfloat16
        raise TypeError(f"picture is an array of {array.dtype}; pixels must be numbers.")
    return array[..., np.newaxis] if array.ndim == 2 else array
