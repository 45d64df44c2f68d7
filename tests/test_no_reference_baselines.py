"""The baselines: what is not defined is not a number, and BRISQUE is computed as it should be."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import data

from benchmarks import no_reference_baselines as baselines
from benchmarks import results
from diqa_utils import notebook
from diqa_utils.metrics import srcc


def needs_brisque(test):
    """Skips a test where BRISQUE's packages are not there; nothing but the benchmark needs them."""
    # `brisque` imports SciPy's filters from where they used to be.
    test = pytest.mark.filterwarnings("ignore::DeprecationWarning")(test)
    return pytest.mark.skipif(bool(baselines.missing()), reason=baselines.missing())(test)


@pytest.fixture(scope="module")
def committed():
    return notebook.results(baselines.NAME)


def compressed(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def blurred(image, deviation):
    return ndimage.gaussian_filter(image, (deviation, deviation, 0))


def noisy(image, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


# BRISQUE


@needs_brisque
@pytest.mark.parametrize("spoil", [compressed, blurred, noisy])
@pytest.mark.parametrize("photograph", ["astronaut", "coffee"])
def test_the_score_rises_with_damage(spoil, photograph):
    levels = {compressed: (30, 15, 5), blurred: (1, 2, 4), noisy: (10, 20, 40)}[spoil]
    score = baselines.brisque_score()
    image = getattr(data, photograph)()
    scores = [score(image), *(score(spoil(image, level)) for level in levels)]
    assert np.all(np.diff(scores) > 0), scores


@needs_brisque
@pytest.mark.parametrize("spoil", [lambda image: image, lambda image: blurred(image, 2)])
def test_two_packages_compute_nearly_the_same_features(spoil):
    import brisque
    import cv2

    image = spoil(data.coffee())
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
def test_features_of_a_mirrored_image_swap_the_diagonals():
    image = data.coffee()[:, :512]
    features = baselines.brisque_features(image).reshape(2, 18)
    mirrored = baselines.brisque_features(image[:, ::-1]).reshape(2, 18)
    # Shape and spread of the pixels, then four numbers for each of four kinds of pairs.
    swapped = [*range(10), *range(14, 18), *range(10, 14)]
    np.testing.assert_allclose(mirrored, features[:, swapped], atol=5e-3)


@needs_brisque
def test_an_image_of_one_colour_has_no_features():
    assert np.isnan(baselines.brisque_features(np.full((64, 64, 3), 128, np.uint8))).all()


@pytest.fixture
def counted(monkeypatch):
    """A database of four pictures, and the names of those that were decoded."""
    decoded = []

    class Pictures(list):
        def as_numpy_iterator(self):
            return iter(self)

    def load(name, *, split, references):
        decoded.extend(references)
        return Pictures(
            {"image_id": name.encode(), "distorted_image": np.full((2, 2, 3), ord(name), np.uint8)}
            for name in sorted(references)
        )

    monkeypatch.setattr(baselines.datasets, "load", load)
    return decoded


def test_pictures_are_measured_in_the_order_of_their_ids(counted, tmp_path):
    found = baselines.measured(np.array(["c", "a"]), tmp_path / "new", np.mean, {})
    assert found.tolist() == [ord("c"), ord("a")]


def test_a_stopped_run_goes_on_where_it_was(counted, tmp_path):
    def stops_at_c(image):
        if image[0, 0, 0] == ord("c"):
            raise KeyboardInterrupt
        return image.mean()

    ids = np.array(["d", "c", "b", "a"])
    with pytest.raises(KeyboardInterrupt):
        baselines.measured(ids, tmp_path, stops_at_c, {})
    counted.clear()
    assert baselines.measured(ids, tmp_path, np.mean, {}).tolist() == [100, 99, 98, 97]
    assert counted == ["d", "c"]
    counted.clear()
    baselines.measured(ids, tmp_path, np.mean, {})
    assert counted == []


def test_what_is_missing_is_said_in_a_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(baselines, "find_spec", lambda name: None)
    monkeypatch.setattr(baselines.real_data, "folder", lambda: tmp_path)
    baselines.main()
    assert capsys.readouterr().out == (
        'Install BRISQUE with `python -m pip install -e ".[benchmark]"`: '
        "no_reference_baselines.json stays as it is.\n"
    )


# Predictors


def test_a_constant_has_an_error_and_no_correlation():
    row = baselines.constant(0.5, np.array([0.2, 0.4, 0.6, 0.8]))
    assert row.rmse.value == pytest.approx(math.sqrt(0.05))
    assert row.rmse.low <= row.rmse.value <= row.rmse.high
    assert math.isnan(row.srcc.value + row.plcc.value + row.krcc.value)
    kept = results.rounded(row.to_dict(), baselines.DIGITS)
    assert kept["srcc"] == {"value": None, "low": None, "high": None}
    assert kept["rmse"]["value"] == 0.2236


def test_samples_share_no_picture_and_are_three_at_most():
    assert baselines.samples(9, 2) == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert baselines.samples(5, 2) == [slice(0, 2), slice(2, 4)]
    assert baselines.samples(2, 2) == [slice(0, 2)]


def test_the_machine_learns_and_takes_a_picture_without_features(rng, monkeypatch):
    monkeypatch.setattr(baselines, "GRID", {"svr__C": [1], "svr__gamma": [0.03, 0.1]})
    features = rng.normal(size=(200, 4))
    quality = 0.5 + 0.1 * features[:, 0]
    features[7] = np.nan
    machine = baselines.fitted_svr(features[:150], quality[:150])
    assert srcc(machine.predict(features[150:]), quality[150:]) > 0.9
    assert np.isfinite(machine.predict(features[7:8])).all()


# Results


def test_results_are_those_of_pictures_that_were_set_aside(committed):
    assert committed["pictures"] == {"train": 4500, "validation": 500, "calibration": 500}
    for name in ("constant", "brisque_score", "brisque_svr"):
        assert (committed[name]["group"], committed[name]["images"]) == (name, 500)
    assert list(committed["brisque_svr_by_training_pictures"]) == ["1000", "2000", "250", "500"]


def test_results_keep_what_is_not_defined_as_null(committed):
    assert committed["constant"]["srcc"]["value"] is None
    assert committed["constant"]["rmse"]["value"] > committed["brisque_svr"]["rmse"]["value"] > 0


def test_a_good_predictor_has_a_positive_correlation_in_the_results(committed):
    for name in ("brisque_score", "brisque_svr"):
        for metric in ("srcc", "plcc", "krcc"):
            assert 0 < committed[name][metric]["low"] < committed[name][metric]["value"] < 1
