"""Scoring pictures, beside the tutorial's call of `predict`."""

from typing import Any

import keras
import numpy as np

from benchmarks import original_tutorial
from benchmarks.speed import pictures
from benchmarks.speed.timing import agree, in_turn, ratios, seconds
from diqa_utils.inference import load_pretrained
from diqa_utils.maps import hand_crafted_features
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.predictors import DiqaPredictor
from diqa_utils.preprocessing import normalize

ROUNDS = 15

#: How far a score may be from what the plain network says.
TOLERANCE = 1e-5


def diqa() -> DiqaPredictor:
    """Returns a predictor with weights as they are drawn: they do not matter for its speed."""
    keras.utils.set_random_seed(0)
    score_model = build_score_model()
    kernel, bias = score_model.get_layer("score").weights
    kernel.assign(0.05 * np.random.default_rng(0).standard_normal(kernel.shape))
    bias.assign([0.5])
    return DiqaPredictor(score_model, build_error_map_model())


def check_the_answer(predictor: DiqaPredictor, picture: np.ndarray) -> float:
    """Compares a score with what the network says when it is called plainly."""
    inputs = {
        "normalized": normalize(picture[None]),
        "hand_crafted": hand_crafted_features(picture[None]),
    }
    plain = np.clip(predictor.score_model(inputs, training=False)[0, 0], 0, 1)
    return agree("score", float(predictor.score(picture)), plain, tolerance=TOLERANCE)


def measure() -> dict[str, Any]:
    """Times one picture of the tutorial's size."""
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
    }
