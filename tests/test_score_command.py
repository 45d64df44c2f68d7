"""The command diqa-score, for people with a folder of photographs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from diqa_utils.inference import load_pretrained
from diqa_utils.score_command import app


@pytest.fixture
def folder(photographs, tmp_path):
    """Two photographs, a text that calls itself one, and notes."""
    place = tmp_path / "mes images à moi"
    place.mkdir()
    for name in ("coffee", "chelsea"):
        Image.fromarray(photographs[name]).save(place / f"{name}.png")
    (place / "notes.txt").write_text("no picture")
    return place


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_csv_has_a_line_for_each_picture(folder):
    done = run(folder, "--format", "csv")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "picture,quality,low,high"
    assert [Path(line.split(",")[0]).name for line in lines[1:]] == ["chelsea.png", "coffee.png"]
    quality, low, high = map(float, lines[2].split(",")[1:])
    expected = load_pretrained().score(folder / "coffee.png")
    assert quality == pytest.approx(expected, abs=1e-4)
    assert low <= quality <= high


def test_json_lines_can_be_read_one_by_one(folder):
    done = run(folder / "coffee.png", folder / "chelsea.png", "--format", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["picture"]).name for row in rows] == ["coffee.png", "chelsea.png"]
    assert all(0 <= row["low"] <= row["quality"] <= row["high"] <= 1 for row in rows)


def test_a_table_shows_quality_and_interval(folder):
    done = run(folder)
    assert done.exit_code == 0, done.output
    assert "quality" in done.stdout
    assert " to " in done.stdout


def test_what_cannot_be_scored_is_reported_and_the_rest_is_scored(folder, tmp_path):
    (folder / "broken.jpg").write_text("no picture either")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run(folder, tmp_path / "nowhere.png", empty, "--format", "csv")
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 3
    assert "broken.jpg' is not a picture file" in done.stderr
    assert "nowhere.png': check the path" in done.stderr
    assert "There is no picture in" in done.stderr
    assert "3 of 5 could not be scored" in done.stderr


def test_error_maps_are_written_as_pictures(folder, tmp_path):
    maps = tmp_path / "maps"
    done = run(folder / "coffee.png", "--error-maps", maps)
    assert done.exit_code == 0, done.output
    written = np.asarray(Image.open(maps / "coffee.png.png"))
    expected = load_pretrained().predict_error_map(folder / "coffee.png")
    np.testing.assert_allclose(written / 255, np.clip(expected, 0, 1), atol=0.003)


def test_an_unknown_predictor_is_named(folder):
    done = run(folder, "--predictor", "nobody")
    assert done.exit_code == 2
    assert "There is no predictor 'nobody'" in done.stderr


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys; from typer.testing import CliRunner;"
        "from diqa_utils.score_command import app;"
        "print(CliRunner().invoke(app, ['--help']).stdout); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Score the quality of photographs" in done.stdout
    assert done.stdout.split()[-1] == "False"
