"""Scoring pictures: in which form they come makes no difference."""

import hashlib
import json

import keras
import numpy as np
import pytest
from PIL import Image

from diqa_utils import inference
from diqa_utils._internal import tiles as tile_cutter
from diqa_utils.extended import build_extended_score_model
from diqa_utils.image_statistics import image_statistics
from diqa_utils.inference import (
    ExtendedPredictor,
    Predictor,
    Score,
    load_predictor,
    load_pretrained,
    score,
)
from diqa_utils.maps import hand_crafted_features
from diqa_utils.models import build_error_map_model, build_score_model
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
    return Predictor(*models, precision="float32")


def extended():
    model = build_extended_score_model()
    # What the statistics of photographs have about them.
    model.get_layer("standardized").adapt(
        np.random.default_rng(0).normal(0, 2, (500, 198)).astype(np.float32)
    )
    return ExtendedPredictor(model, awake(build_error_map_model()), precision="float32")


@pytest.fixture(scope="module", params=[diqa, extended])
def predictor(request):
    keras.utils.set_random_seed(0)
    return request.param()


@pytest.fixture(scope="module")
def diqa_predictor():
    keras.utils.set_random_seed(0)
    return diqa()


@pytest.fixture(scope="module")
def extended_predictor():
    keras.utils.set_random_seed(0)
    return extended()


@pytest.fixture
def pictures(photographs):
    return [photographs[name][:97, :61] for name in sorted(photographs)]


# Scores


def test_the_score_is_the_score_models_answer(diqa_predictor, pictures):
    predictor = diqa_predictor
    inputs = {
        "normalized": normalize(pictures[0])[None],
        "hand_crafted": hand_crafted_features(pictures[0])[None],
    }
    expected = float(predictor.score_model(inputs)[0, 0])
    assert 0 < expected < 1
    found = predictor.score(pictures[0])
    assert isinstance(found, float)
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_extended_score_is_the_score_models_answer(extended_predictor, pictures):
    statistics = image_statistics(pictures[0])[None]
    expected = float(extended_predictor.score_model(statistics)[0, 0])
    assert 0 < expected < 1
    assert extended_predictor.score(pictures[0]) == pytest.approx(expected, abs=1e-5)


def test_tiles_give_the_score_and_the_map_of_the_whole(predictor, photographs, monkeypatch):
    picture = np.tile(photographs["coffee"], (3, 3, 1))[:423, :541]
    expected = predictor.score(picture), predictor.predict_error_map(picture)
    monkeypatch.setattr(tile_cutter, "SIDE", 128)
    assert len(list(tile_cutter.tiles(picture))) == 12
    assert predictor.score(picture) == pytest.approx(expected[0], abs=1e-4)
    found = predictor.predict_error_map(picture)
    assert expected[1].std() > 1e-4
    np.testing.assert_allclose(found, expected[1], atol=1e-5)


def test_an_interval_comes_with_the_score(pictures):
    models = build_extended_score_model(), build_error_map_model()
    card = {"interval": {"half_width": 0.25, "confidence": 0.9}}
    found = ExtendedPredictor(*models, card=card).score(pictures[0])
    assert (found.low, found.high) == (max(0, found - 0.25), min(1, found + 0.25))
    assert found.confidence == 0.9
    assert f"{found:.2f}" == f"{float(found):.2f}"
    uncalibrated = ExtendedPredictor(*models).score(pictures[0])
    assert np.isnan([uncalibrated.low, uncalibrated.high]).all()


def test_an_interval_stays_in_0_to_1(pictures):
    models = build_extended_score_model(mean=0.05, deviation=1e-6), build_error_map_model()
    card = {"interval": {"half_width": 0.2, "confidence": 0.9}}
    found = ExtendedPredictor(*models, card=card).score(pictures[0])
    assert found.low == 0
    assert found.high == pytest.approx(0.25, abs=1e-4)


def test_a_folder_gives_the_score_of_each_picture(predictor, pictures, tmp_path):
    for name, picture in zip(("b.png", "a.PNG"), pictures, strict=False):
        Image.fromarray(picture).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    found = predictor.score(tmp_path)
    assert [path.name for path in found] == ["a.PNG", "b.png"]
    assert list(found.values()) == predictor.score([pictures[1], pictures[0]])


def test_files_are_scored_in_order_whatever_fails(predictor, pictures, tmp_path):
    for number, picture in enumerate(pictures * 2):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    (tmp_path / "text.png").write_text("none")
    Image.fromarray(pictures[0][:40]).save(tmp_path / "small.png")
    names = ["0.png", "text.png", "1.png", "gone.png", "small.png", "2.png", "0.png"]
    found = list(predictor.score_files(str(tmp_path / name) for name in names))
    assert [path.name for path, _ in found] == names
    for index, number in ((0, 0), (2, 1), (5, 2), (6, 0)):
        assert found[index][1] == predictor.score((pictures * 2)[number])
    assert [type(found[index][1]) for index in (1, 3, 4)] == [
        ValueError,
        FileNotFoundError,
        ValueError,
    ]
    assert "small.png" in str(found[4][1])
    with pytest.raises(ValueError, match=r"small\.png.*48 x 48"):
        predictor.score(tmp_path / "small.png")


def test_reading_ahead_keeps_few_pictures_in_memory(monkeypatch, tmp_path):
    read = []
    monkeypatch.setattr(inference, "read_image", lambda path: read.append(path) or path)
    ahead = inference._read_ahead([tmp_path / str(number) for number in range(20)])
    next(ahead)
    assert len(read) <= inference.READ_AHEAD + 1
    assert [path.name for path, _ in ahead] == [str(number) for number in range(1, 20)]


def test_a_folder_without_pictures_is_named(predictor, tmp_path):
    with pytest.raises(ValueError, match="no picture in"):
        predictor.score(tmp_path)


def test_different_pictures_get_different_scores(predictor, pictures):
    assert len(set(predictor.score(pictures))) == 3


def test_alpha_reaches_the_score(diqa_predictor, pictures):
    predictor = diqa_predictor
    other = Predictor(predictor.score_model, predictor.error_map_model, alpha=1.0)
    assert other.score(pictures[0]) != pytest.approx(predictor.score(pictures[0]), abs=1e-6)


def test_path_text_and_array_give_the_same(predictor, pictures, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(pictures[0]).save(path)
    expected = predictor.score(pictures[0])
    assert predictor.score(path) == expected
    assert predictor.score(str(path)) == expected


def test_float_and_uint8_give_the_same(predictor, pictures):
    expected = predictor.score(pictures[0])
    for dtype in (np.float32, np.float64):
        image = pictures[0].astype(dtype) / 255
        assert predictor.score(image) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("container", [list, tuple])
def test_a_list_gives_a_list(container, predictor, pictures, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(pictures[0]).save(path)
    mixed = container([path, pictures[1], pictures[2][:50, :49]])
    scores = predictor.score(mixed)
    assert scores == [predictor.score(picture) for picture in mixed]
    assert predictor.score(container()) == []


def test_a_batch_gives_what_its_pictures_give(predictor, pictures):
    scores = predictor.score(np.stack(pictures))
    assert [type(one) for one in scores] == [Score] * 3
    np.testing.assert_allclose(scores, predictor.score(pictures), atol=1e-5)


def test_grey_is_like_three_equal_channels(predictor, pictures):
    grey = pictures[0][..., :1]
    expected = predictor.score(np.repeat(grey, 3, axis=-1))
    assert predictor.score(grey) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("size", [(48, 48), (49, 51), (53, 96), (112, 63)])
def test_any_size_from_48_pixels(size, predictor, rng):
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    assert 0 <= predictor.score(image) <= 1
    assert predictor.predict_error_map(image).shape == tuple(-(-side // 4) for side in size)


@pytest.mark.parametrize(("bias", "expected"), [(50.0, 1.0), (-50.0, 0.0)])
def test_scores_stay_in_0_to_1(bias, expected, pictures):
    model = build_score_model()
    model.get_layer("score").bias.assign([bias])
    assert Predictor(model, build_error_map_model()).score(pictures[0]) == expected


def test_a_flat_picture_has_a_score(predictor):
    assert 0 <= predictor.score(np.full((48, 48, 3), 128, np.uint8)) <= 1


# Error maps


def test_the_error_map_is_the_error_map_models_answer(predictor, pictures):
    # Sides that are no multiples of four are continued by mirroring.
    found = predictor.predict_error_map(pictures[0])
    whole = np.pad(pictures[0], [(0, 3), (0, 3), (0, 0)], mode="symmetric")
    expected = predictor.error_map_model(normalize(whole)[None])[0, ..., 0]
    assert (found.shape, found.dtype) == ((25, 16), np.float32)
    assert found.std() > 1e-4
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_every_precision_gives_nearly_the_same(precision, predictor, pictures):
    other = type(predictor)(predictor.score_model, predictor.error_map_model, precision=precision)
    for picture in pictures:
        assert other.score(picture) == pytest.approx(predictor.score(picture), abs=0.01)
        maps = [one.predict_error_map(picture) for one in (other, predictor)]
        np.testing.assert_allclose(*maps, atol=0.02)


def test_an_unknown_precision_is_refused(predictor):
    with pytest.raises(ValueError, match=r"precision must be one of .*, not 'float16'"):
        type(predictor)(predictor.score_model, predictor.error_map_model, precision="float16")


def test_the_error_map_of_a_file(predictor, pictures, tmp_path):
    Image.fromarray(pictures[0]).save(tmp_path / "picture.png")
    np.testing.assert_array_equal(
        predictor.predict_error_map(tmp_path / "picture.png"),
        predictor.predict_error_map(pictures[0]),
    )


def test_the_error_map_of_a_batch_is_refused(predictor, pictures):
    with pytest.raises(ValueError, match=r"one image \(H, W, C\), not shape \(3, 97, 61, 3\)"):
        predictor.predict_error_map(np.stack(pictures))


# Bad input


METHODS = ["score", "predict_error_map"]


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_file_is_named(method, predictor, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        getattr(predictor, method)(tmp_path / "nowhere.png")


@pytest.mark.parametrize("method", METHODS)
def test_a_file_that_is_no_picture_is_named(method, predictor, tmp_path):
    (tmp_path / "text.png").write_text("This is no picture.")
    with pytest.raises(ValueError, match=r"text\.png"):
        getattr(predictor, method)(tmp_path / "text.png")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((47, 60, 3), np.uint8), "48 x 48"),
        (np.zeros((60, 60, 4), np.uint8), "channel"),
        (np.zeros((60, 60), np.uint8), "shape"),
        (np.zeros((60, 60, 3), np.int32), "uint8"),
        (np.full((60, 60, 3), 200.0), "0..1"),
        (np.full((60, 60, 3), np.nan), "NaN"),
    ],
    ids=["small", "four channels", "no channels", "int32", "range", "NaN"],
)
def test_unfit_images_are_refused(method, image, message, predictor):
    with pytest.raises(ValueError, match=message):
        getattr(predictor, method)(image)


# Files


def test_a_saved_predictor_scores_nearly_the_same(predictor, pictures, tmp_path):
    folder = tmp_path / "new" / "predictor"
    predictor.card["note"] = "kept"
    predictor.save(folder)
    loaded = load_predictor(str(folder))
    loaded.precision = "float32"
    assert type(loaded) is type(predictor)
    assert loaded.card["note"] == "kept"
    # Weights are kept in half precision.
    np.testing.assert_allclose(loaded.score(pictures), predictor.score(pictures), atol=2e-3)
    maps = [one.predict_error_map(pictures[0]) for one in (loaded, predictor)]
    np.testing.assert_allclose(*maps, atol=2e-3)


def test_what_was_loaded_is_saved_as_it_was(predictor, pictures, tmp_path):
    predictor.save(tmp_path / "first")
    loaded = load_predictor(tmp_path / "first")
    loaded.save(tmp_path / "second")
    weights = [(tmp_path / name / "weights.npz").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]
    assert load_predictor(tmp_path / "second").score(pictures) == loaded.score(pictures)


def test_alpha_is_kept(diqa_predictor, tmp_path):
    models = diqa_predictor.score_model, diqa_predictor.error_map_model
    Predictor(*models, alpha=3.0).save(tmp_path)
    assert load_predictor(tmp_path).alpha == 3.0


def test_an_empty_folder_is_no_predictor(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"card\.json is missing"):
        load_predictor(tmp_path)


def test_missing_weights_are_named(predictor, tmp_path):
    predictor.save(tmp_path)
    (tmp_path / "weights.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"weights\.npz"):
        load_predictor(tmp_path)


def test_damaged_weights_are_refused(predictor, tmp_path):
    predictor.save(tmp_path)
    content = bytearray((tmp_path / "weights.npz").read_bytes())
    content[5000] ^= 1
    (tmp_path / "weights.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.npz' is damaged .* SHA-256"):
        load_predictor(tmp_path)


def test_the_other_kind_is_refused(predictor, tmp_path):
    predictor.save(tmp_path)
    other = ExtendedPredictor if isinstance(predictor, Predictor) else Predictor
    with pytest.raises(ValueError, match=rf"card of a predictor of the kind '{other.kind}'"):
        other.load(tmp_path)


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"predictor": "extended"}'])
def test_a_damaged_card_is_refused(text, tmp_path):
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(ValueError, match=r"card\.json' is not the card"):
        load_predictor(tmp_path)


def test_weights_of_another_model_are_refused(diqa_predictor, extended_predictor, tmp_path):
    diqa_predictor.save(tmp_path / "diqa")
    extended_predictor.save(tmp_path / "extended")
    card = json.loads((tmp_path / "extended" / "card.json").read_text())
    weights = (tmp_path / "diqa" / "weights.npz").read_bytes()
    (tmp_path / "extended" / "weights.npz").write_bytes(weights)
    card["sha256"] = hashlib.sha256(weights).hexdigest()
    (tmp_path / "extended" / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="does not hold the weights of a 'extended_score_model'"):
        load_predictor(tmp_path / "extended")


# Pretrained


@pytest.fixture
def trainings(monkeypatch):
    """Stands in for training, and counts it."""
    calls = []

    def stand_in(build):
        def trained(recipe):
            calls.append(build.__name__)
            return awake(build()), {"loss": []}

        return trained

    monkeypatch.setattr(inference, "trained_score_model", stand_in(build_score_model))
    monkeypatch.setattr(inference, "trained_error_map_model", stand_in(build_error_map_model))
    inference._sample_iqa_predictor.cache_clear()
    yield calls
    inference._sample_iqa_predictor.cache_clear()


def test_the_pretrained_predictor_is_loaded_once(trainings, pictures):
    first = load_pretrained("sample_iqa")
    assert load_pretrained(name="sample_iqa") is first
    assert score(pictures[0], name="sample_iqa") == first.score(pictures[0])
    assert sorted(trainings) == ["build_error_map_model", "build_score_model"]
    assert first.alpha == inference.Recipe().alpha


@pytest.mark.parametrize("ask", [load_pretrained, lambda name: score("a.png", name=name)])
def test_an_unknown_predictor_is_named(ask, trainings):
    with pytest.raises(ValueError, match=r"no predictor 'live'; known: .*sample_iqa"):
        ask("live")
    assert trainings == []
