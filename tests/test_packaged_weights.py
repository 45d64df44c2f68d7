"""The weights in the package: what they are, and that their score behaves."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from diqa_utils import notebook
from diqa_utils.datasets.sample_iqa import sample_iqa_dataset_builder as sample_iqa
from diqa_utils.distortions import FAMILIES, LEVELS, distort
from diqa_utils.inference import PACKAGED, load_pretrained
from diqa_utils.predictors import ExtendedPredictor

FOLDER = PACKAGED / "biq2021"

#: Largest change of a score when a picture is mirrored.
MIRRORED = 0.1


@pytest.fixture(scope="module")
def predictor():
    return load_pretrained()


@pytest.fixture(scope="module")
def held_out():
    """The photographs of the sample database, none of which the predictor has seen."""
    pictures = (read() for read in sample_iqa.PHOTOGRAPHS.values())
    return [np.ascontiguousarray(image[:384, :384]) for image in pictures if image.ndim == 3]


@pytest.fixture(scope="module")
def card():
    return json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))


def test_they_are_small_and_no_pickle(card):
    content = (FOLDER / "weights.npz").read_bytes()
    assert len(content) <= 2_000_000
    assert hashlib.sha256(content).hexdigest() == card["sha256"]
    with np.load(FOLDER / "weights.npz", allow_pickle=False) as arrays:
        assert {str(array.dtype) for array in arrays.values()} == {"float16", "float32"}


def test_they_are_those_of_the_measured_run(card, predictor):
    assert isinstance(predictor, ExtendedPredictor)
    assert card["recipe"]["seed"] == 0
    measured = notebook.results("human_ratings")["extended"]
    agreement = card["validation"]["agreement"]
    for metric in ("srcc", "plcc", "krcc", "rmse"):
        expected = measured["seeds"][metric]["values"][0]
        assert agreement[metric]["value"] == pytest.approx(expected, abs=1e-4)
    assert card["parameters"] == measured["parameters"] <= 600_000
    assert card["pictures"] == {"train": 4500, "validation": 500, "calibration": 500}


def test_intervals_keep_their_promise_on_pictures_they_were_not_calibrated_on(card):
    assert card["interval"]["confidence"] == 0.9
    assert 0.88 <= card["validation"]["inside_interval"] <= 0.92


@pytest.mark.parametrize("family", ["blur", "compression", "noise"])
def test_the_mean_score_never_rises_when_pictures_get_worse(family, predictor, held_out):
    for kind in FAMILIES[family]:
        means = [
            np.mean([predictor.score(distort(image, kind, level)) for image in held_out])
            for level in LEVELS
        ]
        means.insert(0, np.mean(predictor.score(held_out)))
        assert np.diff(means).max() <= 0, f"{kind}: {np.round(means, 3)}"


def test_a_mirrored_picture_has_nearly_the_same_score(predictor, held_out):
    mirrored = [image[:, ::-1] for image in held_out]
    changes = np.abs(np.subtract(predictor.score(held_out), predictor.score(mirrored)))
    assert changes.max() <= MIRRORED
    assert changes.mean() <= MIRRORED / 4


def test_a_large_picture_takes_little_memory_beside_itself():
    code = """
import resource
import numpy as np
from diqa_utils.inference import load_pretrained
predictor = load_pretrained()
small = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
predictor.score(small)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
large = np.tile(small, (5, 4, 1))
predictor.score(large)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / large.nbytes)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert float(done.stdout.split()[-1]) < 5


# DIQA


@pytest.fixture(scope="module")
def diqa():
    return load_pretrained("diqa")


def test_diqa_is_small_and_of_the_measured_run(diqa):
    content = (PACKAGED / "diqa" / "weights.npz").read_bytes()
    assert len(content) <= 2_000_000
    measured = notebook.results("diqa_variants")["packaged"]
    for metric, value in measured.items():
        agreement = diqa.card["validation"]["agreement"][metric]
        assert agreement["value"] == pytest.approx(value, abs=1e-4)
    assert diqa.card["parameters"] == 414_481


def test_diqa_scores_a_picture_with_an_interval(diqa, held_out):
    score = diqa.score(held_out[0])
    assert 0 <= score.low < score < score.high <= 1
    assert score.confidence == 0.9
    assert diqa.card["validation"]["inside_interval"] >= 0.88


@pytest.mark.parametrize("kind", ["white_noise", "jpeg", "gaussian_blur"])
def test_the_error_map_of_diqa_answers_to_damage(kind, diqa, held_out):
    damaged = [distort(image, kind, 5) for image in held_out]
    before, after = (
        np.mean([diqa.predict_error_map(image).mean() for image in images])
        for images in (held_out, damaged)
    )
    assert after > before + 0.02


def test_hardly_any_photograph_is_called_unusual_by_the_limits_of_the_card(card):
    measured = notebook.results("unusual")
    assert card["usual"]["limits"] == pytest.approx(measured["limits"], abs=1e-3)
    assert max(measured["photographs"][part] for part in ("validation", "training")) <= 0.01
    assert min(measured["made"].values()) >= 0.99
