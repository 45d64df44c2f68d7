"""Predictors as files for other runtimes, and scores without TensorFlow."""

import json
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from diqa_utils import __version__
from diqa_utils._internal import tiles as tile_cutter
from diqa_utils.export import export, to_onnx, write_graphs
from diqa_utils.inference import PACKAGED, load_predictor, load_pretrained, score
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.predictors import DiqaPredictor

NAMES = ("biq2021", "diqa")

#: Heights and widths of every remainder by eight, in different pairs.
SIZES = [(48 + 7 * number, 48 + 5 * (number * 3 % 8)) for number in range(8)]

#: How far a runtime may be off: of quality and interval, and of the error map.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pictures(photographs):
    whole = [np.tile(photograph, (2, 2, 1)) for photograph in photographs.values()]
    return [whole[n % len(whole)][50 : 50 + h, 70 : 70 + w] for n, (h, w) in enumerate(SIZES)]


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def expected(name, pictures):
    predictor = load_pretrained(name)
    scores = predictor.score(pictures)
    return [
        {"quality": float(s), "low": s.low, "high": s.high, "unusual": s.unusual}
        | {"error_map": predictor.predict_error_map(picture)}
        for s, picture in zip(scores, pictures, strict=True)
    ]


def onnx(path):
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return lambda picture: dict(zip(names, session.run(None, {"pixels": picture}), strict=True))


def litert(path):
    run = Interpreter(str(path)).get_signature_runner()
    return lambda picture: run(pixels=picture)


def in_keras(path):
    model = keras.models.load_model(path)
    return lambda picture: {name: value[0] for name, value in model(picture[None]).items()}


@pytest.fixture(scope="module")
def files(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp(name)
    endings = {"onnx": "onnx", "litert": "tflite", "keras": "keras"}
    return {
        kind: export(load_pretrained(name), folder / f"judge.{ending}", format=kind, name=name)
        for kind, ending in endings.items()
    }


@pytest.mark.parametrize(("kind", "run"), [("onnx", onnx), ("litert", litert), ("keras", in_keras)])
def test_a_file_gives_what_the_library_gives_at_every_size(kind, run, files, pictures, expected):
    judge = run(files[kind])
    for picture, wanted in zip(pictures, expected, strict=True):
        found = judge(picture)
        assert set(found) == {key for key, value in wanted.items() if value is not None}
        for key in found:
            np.testing.assert_allclose(
                found[key], wanted[key], atol=TOLERANCE, err_msg=f"{key} of {picture.shape}"
            )


def test_a_flat_picture_may_differ_a_little_in_litert_and_nowhere_else(name, files):
    flat = np.full((60, 64, 3), 130, np.uint8)
    expected = load_pretrained(name).score(flat)
    assert onnx(files["onnx"])(flat)["quality"] == pytest.approx(expected, abs=TOLERANCE)
    assert litert(files["litert"])(flat)["quality"] == pytest.approx(expected, abs=0.05)


def test_a_file_says_what_it_is(name, files):
    facts = onnxruntime.InferenceSession(files["onnx"]).get_modelmeta().custom_metadata_map
    facts = {key: json.loads(value) for key, value in facts.items()}
    with zipfile.ZipFile(files["litert"]) as archive:
        assert json.loads(archive.read("card.json")) == facts
    card = load_pretrained(name).card
    assert (facts["name"], facts["version"], facts["license"]) == (name, __version__, "MIT")
    assert facts["interval"] == card["interval"]
    assert facts["sha256"] == card["sha256"]


def test_what_a_reader_trained_is_exported_with_its_settings(tmp_path, pictures):
    model = build_score_model()
    kernel = model.get_layer("score").kernel
    kernel.assign(np.random.default_rng(0).normal(0, 0.05, kernel.shape))
    own = DiqaPredictor(model, build_error_map_model(), alpha=3.0)
    found = onnx(export(own, tmp_path / "own.onnx"))(pictures[3])
    assert found["quality"] == pytest.approx(own.score(pictures[3]), abs=TOLERANCE)
    assert np.isnan(found["low"])
    assert own.score(pictures[3]) != pytest.approx(0.5, abs=1e-3)
    again = in_keras(export(own, tmp_path / "own.keras", format="keras"))(pictures[3])
    assert float(again["quality"]) == pytest.approx(own.score(pictures[3]), abs=TOLERANCE)


def test_a_part_of_what_a_predictor_says_is_a_graph_of_its_own(tmp_path, pictures):
    predictor = load_predictor("diqa")

    def quality(pixels):
        return {"quality": predictor.judge(pixels[None])["quality"][0]}

    to_onnx(quality, tmp_path / "quality.onnx")
    found = onnx(tmp_path / "quality.onnx")(pictures[0])
    assert found == {"quality": pytest.approx(predictor.score(pictures[0]), abs=TOLERANCE)}


def test_what_cannot_be_exported_is_said(tmp_path):
    with pytest.raises(ValueError, match="no format 'pdf'; known: onnx, litert, keras"):
        export(load_pretrained(), tmp_path / "judge.pdf", format="pdf")
    with pytest.raises(TypeError, match="Only a predictor that TensorFlow runs"):
        export(load_pretrained(runtime="onnx"), tmp_path / "judge.onnx")
    with pytest.raises(ValueError, match="is no ordinary file: name another one"):
        export(load_pretrained(), tmp_path)
    with pytest.raises(ValueError, match=r"judge\.h5' must end in \.keras"):
        export(load_pretrained(), tmp_path / "judge.h5", format="keras")


# Scores without TensorFlow


def test_onnx_runtime_gives_the_same_scores_and_maps(name, pictures, expected):
    predictor = load_pretrained(name, runtime="onnx")
    for picture, wanted in zip(pictures, expected, strict=True):
        found = predictor.score(picture)
        assert [found, found.low, found.high] == pytest.approx(
            [wanted["quality"], wanted["low"], wanted["high"]], abs=TOLERANCE
        )
        assert found.unusual == wanted["unusual"]
        error_map = predictor.predict_error_map(picture)
        np.testing.assert_allclose(error_map, wanted["error_map"], atol=TOLERANCE)


def test_onnx_runtime_gives_the_same_for_pictures_in_tiles(name, photographs, monkeypatch):
    picture = np.tile(photographs["coffee"], (3, 3, 1))[:423, :541]
    expected = load_pretrained(name).score(picture)
    monkeypatch.setattr(tile_cutter, "SIDE", 128)
    predictor = load_pretrained(name, runtime="onnx")
    assert predictor.score(picture) == pytest.approx(expected, abs=TOLERANCE)
    in_floats = (picture / 255).astype(np.float32)
    assert predictor.score(in_floats) == pytest.approx(expected, abs=TOLERANCE)


def test_plain_python_prints_the_score_alone_and_without_tensorflow(tmp_path, photographs):
    Image.fromarray(photographs["coffee"]).save(tmp_path / "picture.png")
    code = (
        "import sys, diqa_utils\n"
        f"print(repr(diqa_utils.score({str(tmp_path / 'picture.png')!r})))\n"
        "print(*[name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [repr(score(photographs["coffee"])), ""]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A predictor that was saved, with its graphs, and its folder."""
    predictor = DiqaPredictor(build_score_model(), build_error_map_model(), alpha=2.0)
    folder = tmp_path_factory.mktemp("own")
    predictor.save(folder)
    write_graphs(predictor, folder)
    return predictor, folder


@pytest.fixture
def copied(own, tmp_path):
    """A copy of its folder, to spoil."""
    return shutil.copytree(own[1], tmp_path, dirs_exist_ok=True)


def test_graphs_that_are_written_are_used_until_weights_are_saved(own, copied, pictures):
    predictor = own[0]
    loaded = load_predictor(copied, runtime="auto")
    assert type(loaded) is not DiqaPredictor
    assert loaded.score(pictures[0]) == pytest.approx(predictor.score(pictures[0]), abs=TOLERANCE)
    # Weights that are saved anew make the graphs those of other weights.
    predictor.save(copied)
    assert isinstance(load_predictor(copied, runtime="auto"), DiqaPredictor)
    with pytest.raises(FileNotFoundError, match="has no graphs for ONNX Runtime"):
        load_predictor(copied, runtime="onnx")


def test_a_graph_that_does_not_belong_there_is_refused(copied, tmp_path):
    content = bytearray((tmp_path / "score.onnx").read_bytes())
    content[-1] ^= 1
    (tmp_path / "score.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"score\.onnx' is damaged .* SHA-256"):
        load_predictor(tmp_path, runtime="onnx")
    (tmp_path / "score.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"no graph at .*score\.onnx"):
        load_predictor(tmp_path, runtime="onnx")


def test_a_card_that_names_other_graphs_is_refused(copied, tmp_path):
    card = json.loads((tmp_path / "card.json").read_text())
    for graphs in (
        {"../score.onnx": "0"},
        {"score.onnx": "0"},
        {**card["graphs"], "sums.onnx": "0"},
    ):
        (tmp_path / "card.json").write_text(json.dumps(card | {"graphs": graphs}))
        with pytest.raises(ValueError, match=r"card\.json' is not the card of a predictor"):
            load_predictor(tmp_path, runtime="auto")


def test_a_runtime_that_cannot_be_loaded_is_passed_over(copied, tmp_path, monkeypatch):
    broken = tmp_path / "packages" / "onnxruntime"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no libonnxruntime')")
    monkeypatch.syspath_prepend(broken.parent)
    monkeypatch.delitem(sys.modules, "onnxruntime")
    assert isinstance(load_predictor(tmp_path, runtime="auto"), DiqaPredictor)
    with pytest.raises(ImportError, match="installed and cannot be loaded: no libonnxruntime"):
        load_predictor(tmp_path, runtime="onnx")


def test_runtimes_that_are_not_there_are_named(monkeypatch):
    with pytest.raises(ValueError, match="no runtime 'gpu'; known: auto, onnx, tensorflow"):
        load_pretrained(runtime="gpu")
    with pytest.raises(FileNotFoundError, match="'sample_iqa' has no graphs"):
        load_pretrained("sample_iqa", runtime="onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"not installed: .*diqa-utils\[fast\]"):
        load_predictor(PACKAGED / "biq2021", runtime="onnx")
