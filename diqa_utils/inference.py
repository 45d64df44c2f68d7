"""Scoring pictures with a trained predictor, and seeing where it expects errors.

A predictor is a few functions of pixels and a card of facts. ONNX Runtime runs the functions and
starts at once. TensorFlow runs them too, and holds the models, so that they can be trained and
saved: see `predictors`.

Sources:
    Kim, Nguyen, Lee: Deep CNN-Based Blind Image Quality Predictor. IEEE TNNLS 30(1), 2019.
        https://doi.org/10.1109/TNNLS.2018.2829819
    Lei, G'Sell, Rinaldo, Tibshirani, Wasserman: Distribution-Free Predictive Inference for
        Regression. J. American Statistical Association 113(523), 2018.
        https://doi.org/10.1080/01621459.2017.1307116
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diqa_utils._internal import arrays
from diqa_utils._internal.files import read_json
from diqa_utils._internal.onnx_graphs import load_functions, why_not
from diqa_utils._internal.startup import start_tensorflow_quietly
from diqa_utils._internal.threads import cores, map_ahead
from diqa_utils._internal.tiles import cells, tiles
from diqa_utils.images import ENCODED, MAX_MEGAPIXELS, checked_path, read_image
from diqa_utils.picture_files import find_pictures, no_pictures, picture_files

if TYPE_CHECKING:
    from diqa_utils.plotting import Gallery

__all__ = [
    "Predictor",
    "Score",
    "load_predictor",
    "load_pretrained",
    "picture_files",
    "score",
]

#: What a predictor's folder holds, beside its graphs.
CARD, WEIGHTS = "card.json", "weights.npz"

#: The folder of the predictor within that of a training run.
RUN_PREDICTOR = "predictor"

#: Predictors whose weights come with the package, one folder each.
PACKAGED = Path(__file__).parent / "weights"

#: The predictor that `score` and `load_pretrained` take if nobody says which.
DEFAULT_NAME = "biq2021"

#: What runs a predictor; "auto" takes ONNX Runtime where it is installed and the predictor has
#: graphs.
RUNTIMES = ("auto", "onnx", "tensorflow")

#: Pictures that are scored at a time, at most: a large one takes much memory.
AT_ONCE = 8

#: What is said of a picture that is unlike those that the predictor was calibrated on.
UNUSUAL = (
    "This picture is unlike the photographs that the predictor was calibrated on: neither the "
    "score nor its interval can be relied on."
)

#: The functions of each kind of predictor.
FUNCTIONS = {"diqa": ("error_map", "score"), "extended": ("error_map", "score", "sums")}

#: A function of a predictor, of arrays to arrays.
Function = Callable[..., Any]


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
    """A trained judge of pictures.

    Large pictures are looked at tile by tile, so that the memory that this takes beside the picture
    itself does not grow with it; only the score of DIQA looks at all of a picture at once.

    Args:
        functions: Functions of arrays, by name. Pixels are float32 (H, W, 3) in 0..1.
            `error_map`: of pixels, to the predicted error map (ceil(H / 4), ceil(W / 4)).
            DIQA's `score`: of pixels, to the quality. That of the extended predictor: of sums over
            the picture and of its size (height, width), to the quality, its expected error and
            `unusualness` (2,); its `sums`: of the pixels of a tile, of the boxes that `region_sums`
            takes and of the size of the picture, to the tile's part of the sums.
        card: Facts about the predictor, kept beside its weights. `interval` holds `half_width` and
            `confidence`, if it has been calibrated; `usual` has the `limits` of `unusualness`.
    """

    def __init__(
        self, functions: Mapping[str, Function], *, card: Mapping[str, Any] | None = None
    ) -> None:
        self.functions = dict(functions)
        self.card = dict(card or {})

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
        scores = [self._scored(*self._judged(pixels)) for pixels in _as_rgb(picture)]
        return scores if np.ndim(picture) == 4 else scores[0]

    def score_files(
        self, paths: Iterable[str | PathLike[str]], *, max_megapixels: float = MAX_MEGAPIXELS
    ) -> Iterator[tuple[Path, Score | Exception]]:
        """Scores picture files, as many at a time as there are cores, but at most eight.

        Args:
            paths: Paths of the files, as `find_pictures` finds them; there may be millions.
            max_megapixels: Millions of pixels that a file may have, as in `read_image`.

        Yields:
            Each path, in the given order, with its `Score`, or with the error that says why it has
            none: the others are scored all the same.
        """

        def scored(path: str | PathLike[str]) -> tuple[Path, Score | Exception]:
            read = partial(read_image, path, max_megapixels=max_megapixels)
            return Path(path), self.score_or_error(str(path), read)

        yield from map_ahead(scored, paths, ahead=min(AT_ONCE, cores()))

    def score_or_error(self, name: str, read: Callable[[], np.ndarray]) -> Score | Exception:
        """Scores a picture that may be none.

        Args:
            name: Its name, for messages.
            read: Function that returns its pixels, or raises.

        Returns:
            Its `Score`, or the error that says why it has none.
        """
        try:
            image = read()
        except Exception as error:  # whatever it is, it costs this picture alone
            return error
        try:
            return self.score(image)
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            return ValueError(f"{name!r}: {reason}")

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
        from diqa_utils.plotting import Gallery, show_overlay

        pixels = _one_picture(picture)
        quality = self.score(pixels)
        gallery = show_overlay(pixels, self.predict_error_map(pixels))
        html = f"<div>quality {quality._repr_html_()}</div>\n{gallery.html}"
        return Gallery(html, (f"quality {quality!r}", *gallery.titles))

    def predict_error_map(self, picture: Any) -> np.ndarray:
        """Predicts where one picture differs from the original that nobody has.

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
        margins = [(0, -side % arrays.OUTPUT_STRIDE) for side in pixels.shape[:2]]
        padded = np.pad(pixels, [*margins, (0, 0)], mode="symmetric")
        error_map = np.empty(
            [side // arrays.OUTPUT_STRIDE for side in padded.shape[:2]], np.float32
        )
        for tile in tiles(padded):
            predicted = self.functions["error_map"](_in_unit_range(tile.pixels))
            error_map[cells(tile.place, arrays.OUTPUT_STRIDE)] = predicted[
                cells(tile.inside, arrays.OUTPUT_STRIDE)
            ]
        return error_map

    def _judged(self, pixels: np.ndarray) -> tuple[float, float, bool | None]:
        """Quality, near 0..1, expected error, and whether a picture is unusual; None if unknown.

        The interval reaches `half_width` expected errors to either side. DIQA expects the same
        error everywhere, and cannot tell whether a picture is unusual.
        """
        judge = self.functions["score"]
        if "sums" not in self.functions:
            return float(judge(_in_unit_range(pixels))), 1.0, None
        size = _integers(pixels.shape[:2])
        sums = sum(
            self.functions["sums"](
                _in_unit_range(tile.pixels), _integers(tile.inside), _integers(tile.place[:2]), size
            )
            for tile in tiles(pixels)
        )
        quality, error, measured = judge(sums, size)
        if (usual := self.card.get("usual")) is None:
            return float(quality), float(error), None
        unusual = (measured > np.asarray(usual["limits"], float)).any()
        return float(quality), float(error), bool(unusual)

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


def load_predictor(source: str | PathLike[str], *, runtime: str = "tensorflow") -> Predictor:
    """Loads a predictor of the kind that its card states.

    Args:
        source: Folder of a saved predictor, or of the training run that made it; or a name that
            `load_pretrained` takes.
        runtime: What runs it: "tensorflow"; "onnx", which is ONNX Runtime; or "auto", which takes
            ONNX Runtime where it is installed and the folder has graphs (`diqa export-weights`
            writes them), and TensorFlow otherwise. Threads of each are as many as cores, or as the
            environment variable `TF_NUM_INTRAOP_THREADS` says.

    Returns:
        With TensorFlow a `DiqaPredictor` or an `ExtendedPredictor`, which hold their models. With
        ONNX Runtime a plain `Predictor`, which gives the same scores.

    Raises:
        FileNotFoundError: If the folder holds no predictor, or its weights or graphs are missing.
        ImportError: If ONNX Runtime is asked for and not installed.
        ValueError: If the weights are damaged or another model's, the card is no predictor's, or
            there is neither a folder nor a predictor of that name.

    Chapter: notebooks/09-prediction.ipynb
    """
    for folder in (Path(source, RUN_PREDICTOR), Path(source)):
        if (folder / CARD).exists():
            return _load(folder, runtime)
    if Path(source).is_dir() and str(source) not in _names():
        raise FileNotFoundError(f"There is no predictor in {str(source)!r}: {CARD} is missing.")
    return load_pretrained(str(source), runtime=runtime)


def load_pretrained(name: str = DEFAULT_NAME, *, runtime: str = "tensorflow") -> Predictor:
    """Loads a trained predictor by its name.

    Args:
        name: "biq2021", the extended predictor, which learnt from the ratings of photographs and
            whose weights come with the package; its `card` says how well it agrees with people,
            and on what. Or "diqa", the network of the paper, which learnt from the same ratings
            and agrees less well. Or "sample_iqa", the chapters' short run of DIQA on the sample
            database. It is taken from the cache, or trained first, which takes about a minute on
            two cores. It learnt from stand-in scores that no person gave, on ten photographs: it
            shows how the method works and says nothing reliable about your pictures.
        runtime: What runs it, as in `load_predictor`.

    Returns:
        What `load_predictor` returns; the same object each time.

    Raises:
        ImportError: If ONNX Runtime is asked for and not installed.
        ValueError: If there is no predictor of that name, or its file of weights is damaged.

    Chapter: notebooks/09-prediction.ipynb
    """
    if name not in _names():
        raise ValueError(f"There is no predictor {name!r}; known: {', '.join(_names())}.")
    return _pretrained(name, _chosen(runtime, has_graphs=name != "sample_iqa"))


def score(picture: Any, *, name: str = DEFAULT_NAME, runtime: str = "auto") -> Any:
    """Scores pictures without a reference.

    Args:
        picture: Path, image, list of them, or folder: all that `Predictor.score` takes.
        name: Name of the predictor, one that `load_pretrained` knows.
        runtime: What runs it, as in `load_predictor`. Scores of photographs are the same to within
            1e-4; those of pictures that are flat, black or white nearly everywhere may differ more.

    Returns:
        Quality in 0..1, higher is better, as `Predictor.score` returns it: a `Score` with its
        interval for one picture, a list for a list or a batch, a dictionary for a folder.

    Raises:
        FileNotFoundError: If a path leads nowhere.
        ImportError: If ONNX Runtime is asked for and not installed.
        ValueError: If a picture cannot be scored, or there is no predictor of that name.

    Chapter: notebooks/09-prediction.ipynb
    """
    return load_pretrained(name, runtime=runtime).score(picture)


def _names() -> list[str]:
    """The names that `load_pretrained` takes."""
    return [*sorted(card.parent.name for card in PACKAGED.glob(f"*/{CARD}")), "sample_iqa"]


@cache
def _pretrained(name: str, runtime: str) -> Predictor:
    if name != "sample_iqa":
        return _load(PACKAGED / name, runtime)
    if runtime == "onnx":
        raise FileNotFoundError(
            "The predictor 'sample_iqa' has no graphs for ONNX Runtime: run it with TensorFlow."
        )
    return _with_tensorflow().sample_predictor()


def _load(folder: Path, runtime: str) -> Predictor:
    """Loads what `save` and `export.write_graphs` wrote."""
    with _card_in_words(folder / CARD):
        card = read_json(folder / CARD, "")
        _check_calibration(card)
        graphs, sha256 = dict(card.get("graphs", {})), str(card["sha256"])
        if graphs and set(graphs) != {f"{name}.onnx" for name in FUNCTIONS[card["predictor"]]}:
            raise ValueError(f"{graphs} are not the graphs of this kind of predictor.")
    if _chosen(runtime, has_graphs=bool(graphs)) == "onnx":
        return Predictor(load_functions(folder, graphs), card=card)
    predictors = _with_tensorflow()
    with _card_in_words(folder / CARD):
        predictor = predictors.from_card(card)
    predictor.load_weights(folder / WEIGHTS, sha256=sha256)
    return predictor


def _chosen(runtime: str, *, has_graphs: bool) -> str:
    """Returns the runtime that is meant: "onnx" or "tensorflow"."""
    if runtime not in RUNTIMES:
        raise ValueError(f"There is no runtime {runtime!r}; known: {', '.join(RUNTIMES)}.")
    if runtime != "auto":
        return runtime
    return "onnx" if has_graphs and not why_not() else "tensorflow"


def _with_tensorflow() -> Any:
    """The module of predictors that TensorFlow runs."""
    start_tensorflow_quietly()
    from diqa_utils import predictors

    return predictors


@contextmanager
def _card_in_words(file: Path) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(file)!r} is not the card of a predictor, or is damaged: copy the folder anew; "
            "that of a training run is made again by `diqa resume`."
        ) from error


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


def _one_picture(picture: Any) -> np.ndarray:
    """Reads or checks one picture: (H, W, 3)."""
    batch = _as_rgb(picture)
    if np.ndim(picture) == 4:
        raise ValueError(f"One image (H, W, C) is needed here, not shape {np.shape(picture)}.")
    return batch[0]


def _as_rgb(picture: Any) -> np.ndarray:
    """Reads or checks a picture, or a batch: (N, H, W, 3), of the type that it came in."""
    if isinstance(picture, ENCODED) or hasattr(picture, "read"):
        return read_image(picture)[np.newaxis]
    image = _as_array(picture)
    arrays.check_shape(image.shape, name="picture", channels=(1, 3))
    if image.dtype != np.uint8:
        if not image.dtype.name.startswith(("float", "bfloat", "longdouble")):
            raise arrays.not_pixels("picture", image.dtype)
        arrays.check_finite(image, name="picture")
        arrays.check_unit_range(image, name="picture")
    batch = image if image.ndim == 4 else image[np.newaxis]
    return np.repeat(batch, 3, axis=-1) if batch.shape[-1] == 1 else batch


def _as_array(picture: Any) -> np.ndarray:
    """Returns an array or a tensor as an array; a grey one (H, W) gets its channel."""
    if not hasattr(picture, "__array__"):
        checked_path(picture)  # says what a picture may be
    array = np.asarray(picture)
    if array.dtype.kind not in "biufV":
        raise TypeError(f"picture is an array of {array.dtype}; pixels must be numbers.")
    return array[..., np.newaxis] if array.ndim == 2 else array


def _in_unit_range(pixels: np.ndarray) -> np.ndarray:
    """Returns checked pixels as float32 in 0..1."""
    if pixels.dtype == np.uint8:
        return pixels / np.float32(255)
    return pixels.astype(np.float32)


def _integers(numbers: Iterable[int]) -> np.ndarray:
    return np.array(tuple(numbers), np.int32)
