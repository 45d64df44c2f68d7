"""The command diqa; training and measuring with it is tested in test_runs.py."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import made_up
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import diqa_utils
from diqa_utils import datasets
from diqa_utils.cli import app, score_app
from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.inference import load_pretrained

ROOT = Path(__file__).parents[1]
COMMANDS = ["score", "train", "resume", "evaluate", "data list", "data prepare", "data verify"]


def run(*arguments, app=app, **environment):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def in_a_process(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture
def folder(photographs, tmp_path):
    """Two photographs, and notes."""
    place = tmp_path / "mes images à moi"
    place.mkdir()
    for name in ("coffee", "chelsea"):
        Image.fromarray(photographs[name]).save(place / f"{name}.png")
    (place / "notes.txt").write_text("no picture")
    return place


@pytest.fixture
def rated(tmp_path):
    return made_up.own_folder(tmp_path / "mes images à moi")


def test_the_module_is_the_command():
    assert in_a_process("-m", "diqa_utils", "--version").split() == [
        "diqa-utils",
        diqa_utils.__version__,
    ]


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys; from typer.testing import CliRunner; from diqa_utils.cli import app;"
        "print(CliRunner().invoke(app, ['--help']).stdout); print('tensorflow' in sys.modules)"
    )
    output = in_a_process("-c", code)
    assert "Score the quality of photographs" in output
    assert output.split()[-1] == "False"


@pytest.mark.parametrize("command", ["", "data", *COMMANDS])
def test_help_is_whole_sentences_in_80_columns(command):
    done = run(*command.split(), "--help", COLUMNS="80")
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    assert "..." not in done.output.partition("Commands:")[2], "a summary is cut off"


def test_both_entry_points_exist():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    loaded = {name: EntryPoint(name, value, "").load() for name, value in scripts.items()}
    assert loaded == {"diqa": app, "diqa-score": score_app}


@pytest.mark.parametrize("command", [("score",), ()], ids=["diqa score", "diqa-score"])
def test_csv_has_a_line_for_each_picture(folder, command):
    done = run(*command, folder, "--format", "csv", app=app if command else score_app)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "picture,quality,low,high"
    assert [Path(line.split(",")[0]).name for line in lines[1:]] == ["chelsea.png", "coffee.png"]
    quality, low, high = map(float, lines[2].split(",")[1:])
    expected = load_pretrained().score(folder / "coffee.png")
    assert quality == pytest.approx(expected, abs=1e-4)
    assert low <= quality <= high


def test_json_lines_can_be_read_one_by_one(folder):
    files = folder / "coffee.png", folder / "chelsea.png"
    done = run("score", *files, "--format", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["picture"]) for row in rows] == list(files)
    assert all(0 <= row["low"] <= row["quality"] <= row["high"] <= 1 for row in rows)


def test_a_table_shows_quality_and_interval(folder):
    done = run("score", folder)
    assert done.exit_code == 0, done.output
    quality = load_pretrained().score(folder / "coffee.png")
    assert f"{quality:.2f}" in done.stdout
    assert f"{quality.low:.2f} to {quality.high:.2f}" in done.stdout


def test_what_cannot_be_scored_is_reported_and_the_rest_is_scored(folder, tmp_path):
    (folder / "broken.jpg").write_text("no picture either")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("score", folder, tmp_path / "nowhere.png", empty, "--format", "csv")
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 3
    assert "broken.jpg' is not a picture file" in done.stderr
    assert "nowhere.png': check the path" in done.stderr
    assert "There is no picture in" in done.stderr
    assert "3 of 5 could not be scored" in done.stderr


def test_error_maps_are_written_as_pictures(folder, tmp_path):
    maps = tmp_path / "maps"
    done = run("score", folder / "coffee.png", "--error-maps", maps)
    assert done.exit_code == 0, done.output
    written = np.asarray(Image.open(maps / "coffee.png.png"))
    expected = load_pretrained().predict_error_map(folder / "coffee.png")
    np.testing.assert_allclose(written / 255, np.clip(expected, 0, 1), atol=0.003)


def test_an_unknown_predictor_and_a_wrong_folder_are_named(folder):
    done = run("score", folder, "--predictor", "nobody")
    assert done.exit_code == 1
    assert "There is no predictor 'nobody'" in done.stderr
    done = run("score", folder, "--error-maps", folder / "notes.txt")
    assert done.exit_code == 1
    assert done.stderr == f"Error: File exists: '{folder / 'notes.txt'}'\n"


def test_list_names_every_database(tmp_path):
    output = run("data", "list", "--data-dir", tmp_path).output
    assert [name for name in CATALOG if name not in output] == []


def test_prepare_says_what_is_ready(rated, tmp_path):
    settings = ("--manual-dir", rated, "--data-dir", tmp_path, "--scale", 1, 5)
    done = run("data", "prepare", "folder_iqa", *settings)
    assert done.exit_code == 0, done.output
    assert "folder_iqa is ready: 4 in 'train', 2 in 'test'." in done.output
    assert datasets.available(tmp_path)["folder_iqa"].built


def test_verify_finds_nothing_wrong(rated):
    done = run("data", "verify", "folder_iqa", "--manual-dir", rated, "--scale", 1, 5)
    assert done.exit_code == 0, done.output
    assert "6 rows, 9 pictures read, no problem." in done.output


def test_verify_lists_all_that_is_wrong_and_exits_with_1(rated):
    (rated / "été 2024/bild 1.png").unlink()
    content = (rated / "été 2024/bild 2.bmp").read_bytes()
    made_up.write(rated, "été 2024/bild 2.bmp", content[:100])
    done = run("data", "verify", "folder_iqa", "--manual-dir", rated, "--lower-is-better")
    assert done.exit_code == 1
    assert "7 pictures read, 7 problems" in done.output
    assert "'été 2024/bild 1.png' is missing in" in done.output
    assert "'été 2024/bild 2.bmp' is damaged and cannot be decoded" in done.output
    assert "line 2 of 'scores.csv': the score 1" not in done.output
    assert "line 3 of 'scores.csv': the score 1.5 is outside of the scale, 0 to 1" in done.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("prepare tid2014", "Error: There is no database 'tid2014'; known: sample_iqa, live_iqa"),
        ("verify tid2014", "Error: There is no database 'tid2014'; known: sample_iqa, live_iqa"),
        ("prepare csiq", CATALOG["csiq"].files),
        ("verify csiq", CATALOG["csiq"].files),
        ("prepare csiq --download", "Error: csiq cannot be downloaded"),
        ("verify sample_iqa", "Error: sample_iqa is made on this machine"),
    ],
)
def test_a_mistake_gives_one_sentence_and_exit_code_1(arguments, sentence, tmp_path):
    done = run("data", *arguments.split(), "--data-dir", tmp_path)
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.output
