"""The baselines: BRISQUE is computed as it should be, and the machine learns from its features."""

import io
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import data

from benchmarks import no_reference_baselines as baselines
from diqa_utils import notebook
from diqa_utils.metrics import srcc


def needs_brisque(test):
    """Skips a test where BRISQUE's packages are not there; nothing but the benchmark needs them."""
    # `brisque` imports SciPy's filters from where they used to be.
    test = pytest.mark.filterwarnings("ignore::DeprecationWarning")(test)
    there = find_spec("brisque") and find_spec("cv2")
    return pytest.mark.skipif(not there, reason='pip install -e ".[benchmark]"')(test)


def compressed(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def blurred(image, deviation):
    return ndimage.gaussian_filter(image, (deviation, deviation, 0))


@needs_brisque
@pytest.mark.parametrize(
    ("spoil", "levels"), [(compressed, (30, 15, 5)), (blurred, (1, 2, 4))], ids=["jpeg", "blur"]
)
def test_the_score_rises_with_damage(spoil, levels):
    score = baselines.brisque_score()
    image = data.coffee()
    scores = [score(image), *(score(spoil(image, level)) for level in levels)]
    assert np.all(np.diff(scores) > 0), scores


@needs_brisque
def test_two_packages_compute_nearly_the_same_features():
    import brisque
    import cv2

    image = data.coffee()
    # OpenCV's grey: whole levels, as the authors of BRISQUE have them too. What still differs is
    # the border, which OpenCV repeats and the package takes for black.
    gray = np.round(image @ np.array([0.299, 0.587, 0.114])) / 255
    package = brisque.BRISQUE(url=False)
    half = cv2.resize(gray, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
    expected = np.concatenate([package.calculate_brisque_features(g) for g in (gray, half)])
    expected = np.array([np.asarray(number).item() for number in expected])
    features = baselines.brisque_features(image)
    assert features.shape == (36,)
    np.testing.assert_allclose(features, expected, rtol=0.06, atol=0.01)


@needs_brisque
def test_an_image_of_one_colour_has_no_features():
    assert np.isnan(baselines.brisque_features(np.full((64, 64, 3), 128, np.uint8))).all()


def test_the_machine_learns_and_takes_a_picture_without_features(rng, monkeypatch):
    monkeypatch.setattr(baselines, "GRID", {"svr__C": [1], "svr__gamma": [0.03, 0.1]})
    features = rng.normal(size=(200, 4))
    quality = 0.5 + 0.1 * features[:, 0]
    features[7] = np.nan
    machine = baselines.fitted_svr(features[:150], quality[:150])
    assert srcc(machine.predict(features[150:]), quality[150:]) > 0.9
    assert np.isfinite(machine.predict(features[7:8])).all()


def test_results_are_those_of_pictures_that_were_set_aside():
    committed = notebook.results("no_reference_baselines")
    assert committed["pictures"] == {"train": 4500, "validation": 500, "calibration": 500}
    for name in ("brisque_score", "brisque_svr"):
        assert committed[name]["images"] == 500
        for metric in ("srcc", "plcc", "krcc"):
            assert 0 < committed[name][metric]["low"] < committed[name][metric]["value"] < 1
        assert committed[name]["rmse"]["value"] < committed["constant"]["rmse"]["value"]
