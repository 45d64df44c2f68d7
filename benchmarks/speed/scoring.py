"""Scoring pictures, beside the tutorial's call of `predict`."""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
from PIL import Image

from benchmarks import original_tutorial
from benchmarks.speed import machine, pictures
from benchmarks.speed.timing import agree, in_turn, ratios, seconds
from diqa_utils.inference import Predictor, load_pretrained
from diqa_utils.maps import hand_crafted_features
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.preprocessing import normalize

ROUNDS = 15

#: Photographs in the folder that is scored.
FILES = 24

#: How far scores may be from those that the plain network gives in float32.
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}


def diqa(precision: str) -> Predictor:
    """Returns a predictor with weights as they are drawn: they do not matter for its speed."""
    keras.utils.set_random_seed(0)
    score_model = build_score_model()
    kernel, bias = score_model.get_layer("score").weights
    kernel.assign(0.05 * np.random.default_rng(0).standard_normal(kernel.shape))
    bias.assign([0.5])
    return Predictor(score_model, build_error_map_model(), precision=precision)


def check_the_answer(predictor: Predictor, picture: np.ndarray) -> float:
    """Compares a score with what the network says when it is called plainly, in float32."""
    inputs = {
        "normalized": normalize(picture[None]),
        "hand_crafted": hand_crafted_features(picture[None]),
    }
    plain = np.clip(predictor.score_model(inputs, training=False)[0, 0], 0, 1)
    precision = predictor.precision
    score = float(predictor.score(picture))
    return agree(f"{precision} score", score, plain, tolerance=TOLERANCE[precision])


def folder_throughput(predictor: Any) -> dict[str, float]:
    """Times a folder of JPEG files against the same pictures, decoded before."""
    references = pictures.pairs(4)[:, 0]
    with tempfile.TemporaryDirectory() as name:
        for number in range(FILES):
            file = Path(name) / f"{number:03}.jpg"
            Image.fromarray(references[number % len(references)]).save(file, quality=90)
        decoded = [np.asarray(Image.open(file)) for file in sorted(Path(name).iterdir())]
        times = in_turn(
            {"arrays": lambda: predictor.score(decoded), "folder": lambda: predictor.score(name)},
            rounds=5,
        )
        found, expected = list(predictor.score(name).values()), predictor.score(decoded)
    agree("scores of a folder", found, expected, tolerance=1e-6)
    return {
        "files_per_s": FILES / median(times["folder"]),
        "share_of_network": ratios(times, "arrays", "folder")["ratio"],
    }


def large_picture(predictor: Any) -> dict[str, float]:
    """Scores a photograph of 12 megapixels; the memory that it takes is measured by `memory`."""
    large = np.tile(pictures.pairs(1)[0, 0], (6, 6, 1))[:3000, :4000]
    start = time.perf_counter()
    predictor.score(large)
    return {"megapixels": large.shape[0] * large.shape[1] / 1e6, "s": time.perf_counter() - start}


def measure() -> dict[str, Any]:
    """Times one picture of the tutorial's size, a folder, and a large photograph."""
    picture = pictures.pairs(1)[0, 1]
    _, tutorial = original_tutorial.build_models()
    extended = load_pretrained()
    predictors = {precision: diqa(precision) for precision in machine.precisions()}
    for predictor in predictors.values():
        check_the_answer(predictor, picture)
    ways: dict[str, Any] = {
        "baseline": lambda: tutorial.predict(
            original_tutorial.preprocess(picture[None].astype(np.float32)), verbose=0
        )
    }
    for name, predictor in {"extended": extended, **predictors}.items():
        ways[name] = lambda predictor=predictor: predictor.score(picture)
    times = in_turn(ways, rounds=ROUNDS, warm_up=2)
    return {
        **{
            name: {**ratios(times, "baseline", name), "s": seconds(times[name])}
            for name in ("extended", *predictors)
        },
        "baseline_s": seconds(times["baseline"]),
        "folder": folder_throughput(extended),
        "large_picture": large_picture(extended),
    }
