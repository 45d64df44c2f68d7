"""The same predictors in four runtimes: how far apart their numbers are, and what each costs.

    python -m benchmarks.runtimes

Both packaged predictors are exported in every format. Each file judges twenty pictures, and what it
says is compared with what the library says in TensorFlow. A few minutes on two cores.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

from benchmarks import results
from benchmarks.speed import pictures as speed_pictures
from benchmarks.speed.timing import in_turn, seconds
from diqa_utils.datasets.sample_iqa.sample_iqa_dataset_builder import PHOTOGRAPHS
from diqa_utils.export import export
from diqa_utils.inference import load_pretrained

NAME = "runtimes"
PREDICTORS = ("biq2021", "diqa")
ENDINGS = {"onnx": "onnx", "litert": "tflite", "keras": "keras"}

#: Heights and widths, odd and even, from the smallest picture that is accepted on.
SIZES = [(48 + round(432 * n / 19), 48 + round(592 * n / 19)) for n in range(20)]

ROUNDS = 7

#: What a predictor says of a picture, by name.
Judged = Mapping[str, Any]


def pictures() -> list[np.ndarray]:
    """Cuts a picture of each size from the sample photographs, from one after the other."""
    photographs = [photograph for read in PHOTOGRAPHS.values() if (photograph := read()).ndim == 3]
    cut = []
    for number, (height, width) in enumerate(SIZES):
        large = [one for one in photographs if one.shape[0] >= height and one.shape[1] >= width]
        photograph = large[number % len(large)]
        cut.append(np.ascontiguousarray(photograph[-height:, -width:]))
    return cut


def in_library(name: str) -> Callable[[np.ndarray], Judged]:
    """The library's own answers, in TensorFlow."""
    predictor = load_pretrained(name)

    def judge(picture: np.ndarray) -> Judged:
        score = predictor.score(picture)
        of_score = {"quality": float(score), "low": score.low, "high": score.high}
        return {**of_score, "error_map": predictor.predict_error_map(picture)}

    return judge


def in_onnx(path: Path) -> Callable[[np.ndarray], Judged]:
    """An exported file in ONNX Runtime."""
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return lambda picture: dict(zip(names, session.run(names, {"pixels": picture}), strict=True))


def in_litert(path: Path) -> Callable[[np.ndarray], Judged]:
    """An exported file in the interpreter of LiteRT."""
    run = Interpreter(str(path)).get_signature_runner()
    return lambda picture: run(pixels=picture)


def in_keras(path: Path) -> Callable[[np.ndarray], Judged]:
    """An exported file in Keras."""
    model = keras.models.load_model(path)
    return lambda picture: {name: np.array(each[0]) for name, each in model(picture[None]).items()}


RUNTIMES = {"onnx": in_onnx, "litert": in_litert, "keras": in_keras}


def largest_differences(found: Sequence[Judged], expected: Sequence[Judged]) -> dict[str, float]:
    """How far apart two runtimes are at most, in millionths: quality, interval, error map."""
    groups = {"quality": ["quality"], "interval": ["low", "high"], "error_map": ["error_map"]}
    return {
        group: 1e6
        * max(
            float(np.max(np.abs(np.subtract(one[name], other[name], dtype=np.float64))))
            for one, other in zip(found, expected, strict=True)
            for name in names
        )
        for group, names in groups.items()
    }


def compare(name: str, folder: Path) -> dict[str, Any]:
    """Exports a predictor in each format, and measures the files."""
    cut = pictures()
    library = in_library(name)
    expected = [library(picture) for picture in cut]
    measured: dict[str, Any] = {"tensorflow": {}}
    judges = {"tensorflow": library}
    for format_, ending in ENDINGS.items():
        start = time.perf_counter()
        path = export(load_pretrained(name), folder / f"{name}.{ending}", format=format_, name=name)
        taken = time.perf_counter() - start
        judges[format_] = RUNTIMES[format_](path)
        found = [judges[format_](picture) for picture in cut]
        measured[format_] = {
            "megabytes": path.stat().st_size / 1e6,
            "conversion_s": taken,
            "difference": largest_differences(found, expected),
        }
    picture = speed_pictures.pairs(1)[0, 1]
    ways = {runtime: partial(judge, picture) for runtime, judge in judges.items()}
    for runtime, times in in_turn(ways, rounds=ROUNDS).items():
        measured[runtime]["picture_s"] = seconds(times)
    return measured


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        measured = {name: compare(name, Path(folder)) for name in PREDICTORS}
    results.write(NAME, {"pictures": len(SIZES), **measured})


if __name__ == "__main__":
    main()
