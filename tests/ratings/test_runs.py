"""Whole runs: parts, intervals, and the command line from a database to a predictor."""

import io
import json
import math

import made_up
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from diqa_utils.cli import app
from diqa_utils.inference import load_predictor
from diqa_utils.ratings.runs import conformal_half_width, deal_out, load_run

RECIPE = {
    "error_maps": {"epochs": 0},
    "statistics": {"epochs": 3, "batch_size": 8, "falling_pictures": 2, "falling_batch_size": 2},
    "features": {"epochs": 1, "batch_size": 4, "crop_size": 48},
}


@pytest.fixture
def run(tmp_path):
    """Calls the command line in a folder where `recipe.json` lies."""
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Sixty pictures, the rougher the better, rated from 1 to 5; without references."""
    folder = tmp_path_factory.mktemp("mes images à moi")
    rng = np.random.default_rng(0)
    rows = [["image", "score"]]
    for number in range(60):
        roughness = number * 7 % 60 / 59
        texture = 128 + rng.normal(0, 4 + 40 * roughness, (56, 64, 3))
        picture = Image.fromarray(np.clip(texture, 0, 255).astype(np.uint8))
        picture.save(folder / f"p{number}.png")
        rows.append([f"p{number}.png", f"{1 + 4 * roughness:.3f}"])
    made_up.write_csv(folder, "scores.csv", rows)
    return folder


@pytest.fixture
def settings(own, tmp_path):
    place = ("--manual-dir", own, "--data-dir", tmp_path / "built", "--scale", 1, 5)
    return ("--database", "folder_iqa", *place)


def sentence(done):
    assert done.exit_code == 1, done.output
    assert "Traceback" not in done.output
    return done.output


# Parts


def table(ids, references=None):
    ids = np.array(ids)
    return {"image_id": ids, "reference_id": ids if references is None else np.array(references)}


def test_pictures_without_references_are_set_aside_by_a_fixed_rule():
    parts = deal_out(table([f"p{number}" for number in range(5500)]))
    assert {name: len(ids) for name, ids in parts.items()} == {
        "train": 4500,
        "validation": 500,
        "calibration": 500,
    }
    few = deal_out(table([f"p{number}" for number in range(40)]))
    assert [len(few[name]) for name in ("train", "validation", "calibration")] == [32, 4, 4]


def test_pictures_with_references_are_dealt_by_reference():
    references = [f"r{number % 20}" for number in range(100)]
    parts = deal_out(table([f"p{number}" for number in range(100)], references))
    assert [len(parts[name]) for name in ("train", "validation", "calibration")] == [80, 10, 10]
    of = dict(zip([f"p{number}" for number in range(100)], references, strict=True))
    seen = [{of[name] for name in ids} for ids in parts.values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 20


# Intervals


def test_the_interval_is_the_kth_smallest_error():
    predicted, quality = np.zeros(19), np.arange(1, 20) / 100
    assert conformal_half_width(predicted, quality, 0.9) == pytest.approx(0.18)
    assert conformal_half_width(predicted[::-1], -quality[::-1], 0.5) == pytest.approx(0.10)


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        errors = rng.standard_t(4, size=700)
        half = conformal_half_width(np.zeros(500), errors[:500], 0.9)
        shares.append(np.mean(np.abs(errors[500:]) <= half))
    assert np.mean(shares) == pytest.approx(0.9, abs=0.005)


def test_impossible_intervals_are_refused():
    with pytest.raises(ValueError, match=r"8 picture\(s\) are too few"):
        conformal_half_width(np.zeros(8), np.ones(8), 0.9)
    with pytest.raises(ValueError, match=r"confidence 1\.0 is not between"):
        conformal_half_width(np.zeros(9), np.ones(9), 1.0)


# The command line


@pytest.fixture
def patient(monkeypatch):
    """Six pictures are too few for an interval of 90 %."""
    monkeypatch.setattr("diqa_utils.ratings.runs.CONFIDENCE", 0.7)


@pytest.mark.usefixtures("patient")
def test_train_resume_and_evaluate(run, settings, own, tmp_path):
    folder = tmp_path / "run"
    trained = run("train", tmp_path / "recipe.json", *settings, "--folder", folder)
    assert trained.exit_code == 0, trained.output
    assert "270,088 parameters" in trained.output
    card = load_predictor(folder / "predictor").card
    assert card["pictures"] == {"train": 48, "validation": 6, "calibration": 6}
    assert card["recipe"]["statistics"]["epochs"] == 3
    assert f"SRCC {card['validation']['agreement']['srcc']['value']:.4f}" in trained.output

    weights = (folder / "predictor" / "weights.npz").read_bytes()
    resumed = run("resume", folder)
    assert resumed.exit_code == 0, resumed.output
    assert (folder / "predictor" / "weights.npz").read_bytes() == weights
    other = run("train", tmp_path / "recipe.json", "--database", "sample_iqa", "--folder", folder)
    assert "belongs to another run, which differs in database ('folder_iqa' there" in sentence(
        other
    )
    loaded, recipe = load_run(folder)
    assert loaded.part.options == {"scale": [1.0, 5.0]}
    assert recipe.statistics.falling_pictures == 2

    output = tmp_path / "tables" / "own"
    done = run("evaluate", *settings, "--predictor", folder, "--output", output)
    assert done.exit_code == 0, done.output
    measured = json.loads(output.with_suffix(".json").read_text())["measured"][0]
    assert measured["method"] == "extended, trained on folder_iqa, some of these pictures too"
    assert measured["rows"][0]["images"] == 60
    assert output.with_suffix(".md").read_text().strip() in done.output

    predictor = load_predictor(folder / "predictor")
    score = predictor.score(own / "p3.png")
    assert score.low <= score <= score.high
    assert math.isclose(score.confidence, 0.7)


@pytest.mark.usefixtures("patient")
def test_a_run_that_was_stopped_while_preparing_can_go_on(run, settings, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("diqa_utils.ratings.runs.prepare_pictures", stopped)
        done = run("train", tmp_path / "recipe.json", *settings, "--folder", folder)
    assert done.exit_code != 0
    resumed = run("resume", folder)
    assert resumed.exit_code == 0, resumed.output
    assert (folder / "predictor" / "weights.npz").exists()


@pytest.fixture
def small(monkeypatch):
    """Two convolutions in place of eight."""
    monkeypatch.setattr("diqa_utils.models.CONVOLUTIONS", ((8, 2), (128, 2)))


@pytest.mark.parametrize("predictor", ["extended", "diqa"])
@pytest.mark.usefixtures("small")
def test_the_protocol_trains_and_tests_several_times(predictor, run, tmp_path):
    own = made_up_references(tmp_path / "own")
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE | {"predictor": predictor}))
    place = ("--manual-dir", own, "--data-dir", tmp_path / "built")
    done = run(
        *("evaluate", "--database", "folder_iqa", *place, "--repeats", 2),
        *("--recipe", tmp_path / "recipe.json", "--folder", tmp_path / "protocol"),
        *("--output", tmp_path / "table"),
    )
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "table.json").read_text())["measured"]
    assert [result["method"] for result in results] == [predictor, "PSNR", "SSIM"]
    assert results[1]["rows"][0]["srcc"]["value"] > 0.9  # noise is easy to see for PSNR
    kept = tmp_path / "protocol" / "repeats"
    assert [path.name for path in sorted(kept.iterdir())] == ["repeat-001.json", "repeat-002.json"]


def made_up_references(folder):
    """Six textures, each at six levels of noise."""
    rng = np.random.default_rng(0)
    rows = [["image", "score", "reference", "distortion", "level"]]
    for number in range(6):
        clean = np.kron(rng.integers(60, 200, (8, 8, 3)), np.ones((8, 8, 1)))
        made_up.write(folder, f"r{number}.png", encoded(clean))
        for level in range(6):
            name = f"r{number}-{level}.png"
            noisy = clean + rng.normal(0, 2 + 6 * level, clean.shape)
            made_up.write(folder, name, encoded(noisy))
            rows.append([name, f"{1 - level / 5:.2f}", f"r{number}.png", "noise", level])
    made_up.write_csv(folder, "scores.csv", rows)
    return folder


def encoded(values):
    file = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(file, "png")
    return file.getvalue()


def test_mistakes_are_said_in_a_sentence(run, settings, tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"epochs": 3}')
    folder = ("--folder", tmp_path / "run")
    cases = {
        "'recipe.jsn' is neither one of diqa, extended nor a file": (
            *("train", "recipe.jsn", *settings, *folder),
        ),
        "has no setting 'epochs'": ("train", wrong, *settings, *folder),
        "There is no training run in": ("resume", tmp_path / "nothing"),
        "There is no predictor 'nothing'": (*("evaluate", *settings, "--predictor", "nothing"),),
        "has no split 'test'": ("evaluate", *settings, "--split", "test"),
        "--repeats needs --folder": ("evaluate", *settings, "--repeats", 2),
    }
    for message, arguments in cases.items():
        assert message in sentence(run(*arguments)), arguments


def test_a_damaged_run_is_named(run, tmp_path):
    (tmp_path / "run.json").write_text('{"folder": "x"}')
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run\.json' is damaged: delete it and start the same"):
        load_run(tmp_path)
