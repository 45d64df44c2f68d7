"""Scoring pictures, beside the tutorial's call of `predict`."""

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
from PIL import Image

from benchmarks import original_tutorial
from benchmarks.speed import pictures
from benchmarks.speed.timing import agree, in_turn, ratios, seconds
from diqa_utils.inference import Predictor, load_pretrained
from diqa_utils.maps import hand_crafted_features
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.preprocessing import normalize

ROUNDS = 15

#: Photographs in the folder that is scored.
FILES = 24

#: How far a score may be from what the plain network says.
TOLERANCE = 1e-5


def diqa() -> Predictor:
    """Returns a predictor with weights as they are drawn: they do not matter for its speed."""
    keras.utils.set_random_seed(0)
    score_model = build_score_model()
    kernel, bias = score_model.get_layer("score").weights
    kernel.assign(0.05 * np.random.default_rng(0).standard_normal(kernel.shape))
    bias.assign([0.5])
    return Predictor(score_model, build_error_map_model())


def check_the_answer(predictor: Predictor, picture: np.ndarray) -> float:
    """Compares a score with what the network says when it is called plainly."""
    inputs = {
        "normalized": normalize(picture[None]),
        "hand_crafted": hand_crafted_features(picture[None]),
    }
    plain = np.clip(predictor.score_model(inputs, training=False)[0, 0], 0, 1)
    return agree("score", float(predictor.score(picture)), plain, tolerance=TOLERANCE)


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


def measure() -> dict[str, Any]:
    """Times one picture of the tutorial's size, and a folder."""
    picture = pictures.pairs(1)[0, 1]
    _, tutorial = original_tutorial.build_models()
    predictors = {"extended": load_pretrained(), "diqa": diqa()}
    check_the_answer(predictors["diqa"], picture)
    ways: dict[str, Any] = {
        "baseline": lambda: tutorial.predict(
            original_tutorial.preprocess(picture[None].astype(np.float32)), verbose=0
        )
    }
    for name, predictor in predictors.items():
        ways[name] = lambda predictor=predictor: predictor.score(picture)
    times = in_turn(ways, rounds=ROUNDS, warm_up=2)
    return {
        **{
            name: {**ratios(times, "baseline", name), "s": seconds(times[name])}
            for name in predictors
        },
        "baseline_s": seconds(times["baseline"]),
        "folder": folder_throughput(predictors["extended"]),
    }
