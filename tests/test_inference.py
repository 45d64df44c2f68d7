"""Scoring pictures: in which form they come makes no difference."""

import hashlib
import io
import json
import multiprocessing
import warnings
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from diqa_utils import inference
from diqa_utils import predictors as predictors_module
from diqa_utils._internal import tiles as tile_cutter
from diqa_utils.extended import build_extended_score_model
from diqa_utils.image_statistics import STATISTICS, image_statistics
from diqa_utils.inference import (
    Score,
    load_predictor,
    load_pretrained,
    score,
)
from diqa_utils.maps import hand_crafted_features
from diqa_utils.models import MeanAndDeviation, build_error_map_model, build_score_model
from diqa_utils.plotting import show_overlay
from diqa_utils.predictors import DiqaPredictor, ExtendedPredictor
from diqa_utils.preprocessing import normalize


def awake(model):
    """`model` with a head that answers differently to different pictures."""
    kernel, bias = model.layers[-1].weights
    values = np.random.default_rng(1).normal(0, 0.05, kernel.shape)
    kernel.assign(values.astype(np.float32))
    bias.assign([0.5])
    return model


def diqa():
    models = awake(build_score_model()), awake(build_error_map_model())
    return DiqaPredictor(*models)


def extended():
    model = build_extended_score_model()
    # What the statistics of photographs have about them.
    model.get_layer("standardized").adapt(
        np.random.default_rng(0).normal(0, 2, (500, len(STATISTICS))).astype(np.float32)
    )
    return ExtendedPredictor(model, awake(build_error_map_model()))


@pytest.fixture(scope="module")
def predictors():
    keras.utils.set_random_seed(0)
    return {"diqa": diqa(), "extended": extended()}


@pytest.fixture(scope="module", params=["diqa", "extended"])
def predictor(request, predictors):
    return predictors[request.param]


@pytest.fixture
def pictures(photographs):
    return [photographs[name][:97, :61] for name in sorted(photographs)]


@pytest.fixture
def folder(pictures, tmp_path):
    """The pictures as files, and one file that is none."""
    place = tmp_path / "pictures"
    place.mkdir()
    for name, picture in zip(("b.png", "a.PNG", "c.tif"), pictures, strict=True):
        Image.fromarray(picture).save(place / name)
    (place / "notes.txt").write_text("no picture")
    return place


# Scores


def test_the_score_is_the_score_models_answer(predictor, pictures):
    if predictor.kind == "diqa":
        inputs = {
            "normalized": normalize(pictures[0])[None],
            "hand_crafted": hand_crafted_features(pictures[0])[None],
        }
    else:
        inputs = image_statistics(pictures[0])[None]
    expected = float(predictor.score_model(inputs)[0, 0])
    assert 0 < expected < 1
    assert predictor.score(pictures[0]) == pytest.approx(expected, abs=1e-5)


def test_alpha_reaches_the_score(predictors, pictures):
    models = predictors["diqa"].score_model, predictors["diqa"].error_map_model
    changed = DiqaPredictor(*models, alpha=1.0).score(pictures[0])
    assert changed != pytest.approx(predictors["diqa"].score(pictures[0]), abs=1e-6)


def test_tiles_give_the_score_and_the_map_of_the_whole(predictor, photographs, monkeypatch):
    picture = np.tile(photographs["coffee"], (3, 3, 1))[:423, :541]
    expected = predictor.score(picture), predictor.predict_error_map(picture)
    monkeypatch.setattr(tile_cutter, "SIDE", 128)
    assert len(list(tile_cutter.tiles(picture))) == 12
    assert predictor.score(picture) == pytest.approx(expected[0], abs=1e-4)
    assert expected[1].std() > 1e-4
    np.testing.assert_allclose(predictor.predict_error_map(picture), expected[1], atol=1e-5)


def test_an_interval_comes_with_the_score_and_stays_in_0_to_1(pictures):
    models = build_extended_score_model(mean=0.1, deviation=1e-6), build_error_map_model()
    _, error = models[0](image_statistics(pictures[0])[None])[0].numpy()
    card = {"interval": {"half_width": 0.25 / error, "confidence": 0.9}}
    quality = ExtendedPredictor(*models, card=card).score(pictures[0])
    assert isinstance(quality, float)
    assert (quality, quality.low, quality.high) == pytest.approx((0.1, 0, 0.35), abs=1e-4)
    assert quality.confidence == 0.9
    uncalibrated = ExtendedPredictor(*models).score(pictures[0])
    assert np.isnan([uncalibrated.low, uncalibrated.high]).all()


@pytest.mark.parametrize(("bias", "expected"), [(50.0, 1.0), (-50.0, 0.0)])
def test_scores_stay_in_0_to_1(bias, expected, pictures):
    model = build_score_model()
    model.get_layer("score").bias.assign([bias])
    assert DiqaPredictor(model, build_error_map_model()).score(pictures[0]) == expected


# Forms of input


class Wrapped:
    """What other libraries have for arrays."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


def test_all_that_hold_one_picture_give_one_score(predictor, pictures, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(pictures[0])))
    turned.save(tmp_path / "turned.png", exif=exif)
    content = (tmp_path / "turned.png").read_bytes()
    path = tmp_path / "turned.png"
    forms = [path, str(path), content, io.BytesIO(content), Image.open(io.BytesIO(content))]
    forms += [Image.fromarray(pictures[0]), tf.constant(pictures[0]), Wrapped(pictures[0])]
    forms.append(pictures[0][::-1][::-1])  # a view with strides
    expected = predictor.score(pictures[0])
    assert [predictor.score(form) for form in forms] == [expected] * len(forms)
    expected = predictor.predict_error_map(pictures[0])
    for form in forms:
        np.testing.assert_array_equal(predictor.predict_error_map(form), expected)


def test_a_grey_picture_needs_no_channel_and_is_like_three_equal_ones(predictor, pictures):
    grey = pictures[0][..., 0]
    forms = [grey, grey[..., None], Image.fromarray(grey), tf.constant(grey)]
    [quality] = {predictor.score(form) for form in forms}
    expected = predictor.score(np.repeat(grey[..., None], 3, axis=-1))
    assert quality == pytest.approx(expected, abs=1e-4)


def test_what_is_wrong_in_a_list_is_said_with_its_place(predictor, pictures):
    for entry, error in ((float("nan"), TypeError), (pictures[0][:40], ValueError)):
        with pytest.raises(error, match=r"Picture 1 of the list: "):
            predictor.score([pictures[0], entry])


def test_threads_give_what_one_thread_gives(predictor, pictures):
    expected = [predictor.predict_error_map(picture) for picture in pictures]
    scores = predictor.score(pictures)

    def both(number):
        picture = pictures[number % len(pictures)]
        return predictor.predict_error_map(picture), predictor.score(picture)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(both, range(48)))
    for number, (error_map, quality) in enumerate(results):
        np.testing.assert_array_equal(error_map, expected[number % len(pictures)])
        assert quality == scores[number % len(pictures)]


def test_spawned_processes_give_what_this_one_gives(photographs):
    picture = photographs["coffee"]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        qualities = pool.map(score, [picture] * 2)
    assert qualities == [score(picture)] * 2


def test_no_option_of_the_process_is_changed(predictor, pictures):
    before = tf.config.optimizer.get_experimental_options(), list(warnings.filters)
    predictor.score(pictures[0])
    predictor.predict_error_map(pictures[0])
    assert (tf.config.optimizer.get_experimental_options(), list(warnings.filters)) == before


# What a score says of itself


def test_a_score_shows_its_interval():
    assert repr(Score(0.774, 0.581, 0.949, 0.9)) == "0.77 (0.58 to 0.95)"
    assert str(Score(0.774)) == "0.77"
    assert f"{Score(0.774, 0.581, 0.949):.3f}" == "0.774"


def test_a_notebook_shows_a_bar():
    html = Score(0.774, 0.581, 0.949, 0.9, False)._repr_html_()
    assert '<rect x="116" width="74"' in html
    assert "0.77 (0.58 to 0.95)" in html
    assert inference.UNUSUAL not in html
    assert inference.UNUSUAL in Score(0.774, 0.581, 0.949, 0.9, True)._repr_html_()


def test_a_report_shows_picture_map_and_score(predictor, pictures, folder):
    report = predictor.report(folder / "b.png")
    quality = f"quality {predictor.score(pictures[0])!r}"
    assert report.titles == (quality, "picture", "error map", "map over picture")
    assert quality in report.html
    assert show_overlay(pictures[0], predictor.predict_error_map(pictures[0])).html in report.html


def enlarged(photograph):
    piece = Image.fromarray(photograph[:99, :99])
    return np.asarray(piece.resize((396, 396), Image.Resampling.BILINEAR))


def drawing():
    page = np.full((200, 200, 3), 255, np.uint8)
    page[20:180:8, 20:180] = 0
    return page


@pytest.mark.parametrize(
    ("picture", "unusual"),
    [
        (lambda photograph: photograph, False),
        (lambda photograph: np.zeros_like(photograph), True),
        (lambda photograph: np.full_like(photograph, (90, 120, 30)), True),
        (lambda photograph: drawing(), True),
        (enlarged, True),
    ],
    ids=["photograph", "black", "flat", "drawing", "enlarged"],
)
def test_a_picture_unlike_photographs_is_flagged(picture, unusual, photographs):
    quality = load_pretrained().score(picture(photographs["coffee"]))
    assert quality.unusual is unusual
    assert bool(quality.note) is unusual


def test_a_predictor_that_cannot_tell_says_so(predictor, pictures):
    assert predictor.score(pictures[0]).unusual is None
    assert predictor.score(pictures[0]).note == ""


def test_a_folder_gives_the_score_of_each_picture(predictor, pictures, folder):
    with pytest.warns(UserWarning, match=r"pictures': 1 skipped: 1 \.txt file"):
        scores = predictor.score(folder)
    assert [path.name for path in scores] == ["a.PNG", "b.png", "c.tif"]
    assert list(scores.values()) == [predictor.score(pictures[number]) for number in (1, 0, 2)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_and_uint8_give_the_same(dtype, predictor, pictures):
    expected = predictor.score(pictures[0])
    assert predictor.score(pictures[0].astype(dtype) / 255) == pytest.approx(expected, abs=1e-5)


def test_a_list_gives_a_list(predictor, pictures, folder):
    mixed = [folder / "b.png", pictures[1], pictures[2][:50, :49]]
    expected = [predictor.score(picture) for picture in mixed]
    assert predictor.score(mixed) == predictor.score(tuple(mixed)) == expected
    assert predictor.score([]) == []


def test_a_batch_gives_what_its_pictures_give(predictor, pictures):
    scores = predictor.score(np.stack(pictures))
    assert [type(quality) for quality in scores] == [Score] * 3
    np.testing.assert_allclose(scores, predictor.score(pictures), atol=1e-5)


@pytest.mark.parametrize("size", [(48, 48), (49, 51), (112, 63)])
def test_any_size_from_48_pixels(size, predictor, rng):
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    assert 0 <= predictor.score(image) <= 1
    assert 0 <= predictor.score(np.full_like(image, 128)) <= 1
    assert predictor.predict_error_map(image).shape == tuple(-(-side // 4) for side in size)


def test_files_are_scored_in_order_whatever_fails(predictor, pictures, folder):
    Image.fromarray(pictures[0][:40]).save(folder / "small.png")
    names = ["b.png", "notes.txt", "a.PNG", "gone.png", "small.png", "c.tif", "b.png"]
    scored = list(predictor.score_files(str(folder / name) for name in names))
    assert [path.name for path, _ in scored] == names
    results = [result for _, result in scored]
    assert [results[index] for index in (0, 2, 5, 6)] == predictor.score([*pictures, pictures[0]])
    errors = [results[index] for index in (1, 3, 4)]
    assert [type(error) for error in errors] == [ValueError, FileNotFoundError, ValueError]
    assert "small.png" in str(errors[2])


def test_an_error_of_tensorflow_costs_one_picture_and_one_line(predictor, folder, monkeypatch):
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore lines")
    monkeypatch.setattr(predictor, "_judged", lambda pixels: (_ for _ in ()).throw(error))
    [(_, result)] = predictor.score_files([folder / "b.png"])
    assert isinstance(result, ValueError)
    assert str(result) == f"{str(folder / 'b.png')!r}: OOM when allocating"


def test_a_long_list_of_files_keeps_few_pictures_in_memory(monkeypatch, predictors, pictures):
    read = []
    monkeypatch.setattr(inference, "read_image", lambda path, **_: read.append(path) or pictures[0])
    scored = predictors["extended"].score_files(map(str, range(20)))
    next(scored)
    assert len(read) <= inference.AT_ONCE + 1
    assert [path.name for path, _ in scored] == [str(number) for number in range(1, 20)]


# Error maps


def test_the_error_map_is_the_error_map_models_answer(predictor, pictures):
    # Sides that are no multiples of four are continued by mirroring.
    error_map = predictor.predict_error_map(pictures[0])
    whole = np.pad(pictures[0], [(0, 3), (0, 3), (0, 0)], mode="symmetric")
    expected = predictor.error_map_model(normalize(whole)[None])[0, ..., 0]
    assert (error_map.shape, error_map.dtype) == ((25, 16), np.float32)
    assert error_map.std() > 1e-4
    np.testing.assert_allclose(error_map, expected, atol=1e-5)


# Bad input


@pytest.mark.parametrize("method", ["score", "predict_error_map"])
@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        ("nowhere.png", FileNotFoundError, r"nowhere\.png"),
        ("notes.txt", ValueError, r"notes\.txt"),
        (np.zeros((47, 60, 3), np.uint8), ValueError, "48 x 48"),
        (np.zeros((60, 60, 4), np.uint8), ValueError, "channel"),
        (np.zeros(60, np.uint8), ValueError, "shape"),
        (np.zeros((60, 60, 3), np.int32), ValueError, "uint8"),
        (np.full((60, 60, 3), 200.0), ValueError, "0..1"),
        (np.full((60, 60, 3), np.nan), ValueError, "NaN"),
        ("", ValueError, "names no picture"),
        ("https://example.org/a.jpg", ValueError, "is an address"),
        (None, TypeError, "None is no picture: pass a path"),
        (float("nan"), TypeError, "nan is no picture"),
        ({"a.png"}, TypeError, "is no picture"),
        (np.array(["a.png"]), TypeError, "pixels must be numbers"),
        (np.array([None]), TypeError, "pixels must be numbers"),
    ],
)
def test_what_is_no_picture_is_refused(method, picture, error, message, predictor, folder):
    is_name = isinstance(picture, str) and picture and "://" not in picture
    picture = folder / picture if is_name else picture
    with pytest.raises(error, match=message):
        getattr(predictor, method)(picture)


def test_what_only_one_method_refuses(predictor, pictures, tmp_path):
    with pytest.raises(ValueError, match="no picture in"):
        predictor.score(tmp_path)
    with pytest.raises(ValueError, match=r"One image \(H, W, C\) is needed.*\(3, 97, 61, 3\)"):
        predictor.predict_error_map(np.stack(pictures))


# Files


def test_a_saved_predictor_scores_nearly_the_same(predictor, pictures, tmp_path):
    predictor.card["note"] = "kept"
    predictor.save(tmp_path / "run" / "predictor")
    loaded = load_predictor(str(tmp_path / "run"))
    assert type(loaded) is type(predictor)
    assert loaded.card["note"] == "kept"
    # Weights are kept in half precision.
    np.testing.assert_allclose(loaded.score(pictures), predictor.score(pictures), atol=2e-3)
    maps = [each.predict_error_map(pictures[0]) for each in (loaded, predictor)]
    np.testing.assert_allclose(*maps, atol=2e-3)
    # What was loaded is saved as it was.
    loaded.save(tmp_path / "again")
    weights = [tmp_path / name / "weights.npz" for name in ("run/predictor", "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_alpha_and_what_is_pooled_are_kept(predictors, pictures, tmp_path):
    score_model = awake(build_score_model(pooling=MeanAndDeviation()))
    predictor = DiqaPredictor(score_model, predictors["diqa"].error_map_model, alpha=3.0)
    predictor.save(tmp_path)
    loaded = load_predictor(tmp_path)
    assert loaded.alpha == 3.0
    np.testing.assert_allclose(loaded.score(pictures), predictor.score(pictures), atol=2e-3)


def test_a_card_from_before_there_were_deviations_is_one_of_means(predictors, pictures, tmp_path):
    predictors["diqa"].save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    del card["deviations"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    expected = predictors["diqa"].score(pictures)
    np.testing.assert_allclose(load_predictor(tmp_path).score(pictures), expected, atol=2e-3)


def without_weights(folder):
    (folder / "weights.npz").unlink()


def with_damaged_weights(folder):
    content = bytearray((folder / "weights.npz").read_bytes())
    content[5000] ^= 1
    (folder / "weights.npz").write_bytes(content)


def with_card(text):
    return lambda folder: (folder / "card.json").write_text(text)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda folder: (folder / "card.json").unlink(), FileNotFoundError, "is missing"),
        (with_card("no JSON"), ValueError, r"card\.json' is not the card of a predictor"),
        (with_card("[]"), ValueError, r"card\.json' is not the card"),
        (with_card('{"predictor": "extended"}'), ValueError, r"card\.json' is not the card"),
        (with_card('{"predictor": "brisque"}'), ValueError, r"card\.json' is not the card"),
        (without_weights, FileNotFoundError, r"weights\.npz"),
        (with_damaged_weights, ValueError, r"weights\.npz' is damaged .* SHA-256"),
    ],
)
def test_a_damaged_predictor_is_refused(damage, error, message, predictor, tmp_path):
    predictor.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(error, match=message):
        load_predictor(tmp_path)


def test_weights_of_another_model_are_refused(predictors, tmp_path):
    for kind, predictor in predictors.items():
        predictor.save(tmp_path / kind)
    weights = (tmp_path / "diqa" / "weights.npz").read_bytes()
    (tmp_path / "extended" / "weights.npz").write_bytes(weights)
    card = json.loads((tmp_path / "extended" / "card.json").read_text())
    card["sha256"] = hashlib.sha256(weights).hexdigest()
    (tmp_path / "extended" / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="does not hold the weights of a 'extended_score_model'"):
        load_predictor(tmp_path / "extended")


# Names


@pytest.fixture
def trainings(monkeypatch):
    """Stands in for training, and counts it."""
    calls = []

    def stand_in(build):
        def trained(recipe):
            calls.append(build.__name__)
            return awake(build()), {"loss": []}

        return trained

    monkeypatch.setattr(predictors_module, "trained_score_model", stand_in(build_score_model))
    monkeypatch.setattr(
        predictors_module, "trained_error_map_model", stand_in(build_error_map_model)
    )
    inference._pretrained.cache_clear()
    yield calls
    inference._pretrained.cache_clear()


def test_the_pretrained_predictor_is_loaded_once(trainings, pictures):
    first = load_pretrained("sample_iqa")
    assert load_pretrained(name="sample_iqa") is load_predictor("sample_iqa") is first
    assert score(pictures[0], name="sample_iqa") == first.score(pictures[0])
    assert sorted(trainings) == ["build_error_map_model", "build_score_model"]
    assert first.alpha == predictors_module.Recipe().alpha


def test_a_folder_called_as_a_predictor_is_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "biq2021").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_predictor("biq2021") is load_pretrained("biq2021")


@pytest.mark.parametrize(
    "ask", [load_pretrained, load_predictor, lambda name: score("a.png", name=name)]
)
def test_an_unknown_predictor_is_named(ask):
    with pytest.raises(ValueError, match=r"no predictor 'live'; known: biq2021, diqa, sample_iqa"):
        ask("live")
