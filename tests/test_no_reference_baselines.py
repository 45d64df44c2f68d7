"""The baselines: BRISQUE is computed as it should be, and the machine learns from its features."""

from importlib.util import find_spec

import numpy as np
import pytest
from skimage import data

from benchmarks import no_reference_baselines as baselines
from diqa_utils import distort, notebook


def needs_brisque(test):
    """Skips a test where BRISQUE's packages are not there; nothing but the benchmark needs them."""
    # `brisque` imports SciPy's filters from where they used to be.
    test = pytest.mark.filterwarnings("ignore::DeprecationWarning")(test)
    there = find_spec("brisque") and find_spec("cv2")
    return pytest.mark.skipif(not there, reason='pip install -e ".[benchmark]"')(test)


@needs_brisque
@pytest.mark.parametrize("kind", ["jpeg", "gaussian_blur"])
def test_the_score_rises_with_damage(kind):
    score = baselines.brisque_score()
    image = data.coffee()
    scores = [score(image), *(score(distort(image, kind, level)) for level in (2, 4, 5))]
    assert np.all(np.diff(scores) > 0), scores


@needs_brisque
def test_an_image_of_one_colour_has_no_features():
    assert np.isnan(baselines.brisque_features(np.full((64, 64, 3), 128, np.uint8))).all()


def test_results_are_those_of_pictures_that_were_set_aside():
    committed = notebook.results("no_reference_baselines")
    assert committed["pictures"] == {"train": 4500, "validation": 500, "calibration": 500}
    for name in ("brisque_score", "brisque_svr"):
        assert committed[name]["images"] == 500
        for metric in ("srcc", "plcc", "krcc"):
            assert 0 < committed[name][metric]["low"] < committed[name][metric]["value"] < 1
        assert committed[name]["rmse"]["value"] < committed["constant"]["rmse"]["value"]
