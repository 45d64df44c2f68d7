"""The command diqa; training and measuring with it is tested in test_runs.py."""

import csv
import errno
import io
import json
import os
import re
import shlex
import signal
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
from diqa_utils import datasets, inference, picture_files
from diqa_utils.cli import app, score_app
from diqa_utils.cli.common import Signals, Stopped
from diqa_utils.cli.score_rows import COLUMNS, DIGITS, Printed, ScoreFile
from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.inference import PACKAGED, load_predictor, load_pretrained, score
from diqa_utils.predictors import ExtendedPredictor

ROOT = Path(__file__).parents[1]
COMMANDS = [
    *("score", "train", "resume", "search", "evaluate", "export", "export-weights"),
    *("data list", "data prepare", "data verify"),
]


def run(*arguments, app=app, **environment):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def in_a_process(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def rows_in(done):
    return rows_of(done.stdout)


def rows_of(text):
    return [json.loads(line) for line in text.split("\n")[:-1]]


def names_in(rows):
    return [Path(row["picture"]).name for row in rows]


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
    return made_up.release("folder_iqa", tmp_path / "mes images à moi")


def test_the_module_is_the_command():
    version = in_a_process("-m", "diqa_utils", "--version").split()
    assert version == ["diqa-utils", diqa_utils.__version__]


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
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert names_in(rows) == ["chelsea.png", "coffee.png"]
    expected = load_pretrained().score(folder / "coffee.png")
    numbers = [float(rows[1][name]) for name in ("quality", "low", "high")]
    assert numbers == pytest.approx([expected, expected.low, expected.high], abs=1e-4)
    assert int(rows[1]["bytes"]) == (folder / "coffee.png").stat().st_size


def test_what_is_not_known_is_null(folder, tmp_path):
    uncalibrated = load_predictor("biq2021")
    ExtendedPredictor(uncalibrated.score_model, uncalibrated.error_map_model).save(tmp_path / "own")
    (folder / "broken.jpg").write_text("no picture")
    done = run("score", folder, "--format", "jsonl", "--predictor", tmp_path / "own")
    broken, chelsea, _ = rows_in(done)
    assert broken["quality"] is broken["low"] is broken["unusual"] is None
    assert "broken.jpg' is not a picture file" in broken["error"]
    assert 0 <= chelsea["quality"] <= 1
    assert chelsea["low"] is chelsea["high"] is chelsea["error"] is None


def test_a_table_shows_quality_and_interval(folder):
    done = run("score", folder)
    assert done.exit_code == 0, done.output
    quality = score(folder / "coffee.png")
    low, high = round(quality.low, DIGITS), round(quality.high, DIGITS)
    assert f"{quality:.2f}" in done.stdout
    assert f"{low:.2f} to {high:.2f}" in done.stdout
    assert done.stderr == "2 scored, 0 failed, 1 skipped: 1 .txt file.\n"


def test_the_runtime_that_is_named_is_the_one_that_runs(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    judge = ("--predictor", PACKAGED / "biq2021", "--runtime")  # a folder is loaded anew
    assert run("score", folder, *judge, "tensorflow").exit_code == 0
    done = run("score", folder, *judge, "onnx")
    assert done.exit_code == 1
    assert "ONNX Runtime is not installed" in done.stderr


def test_a_predictor_is_exported_by_its_name(tmp_path):
    done = run("export", "diqa", tmp_path / "judge.keras", "--format", "keras")
    assert done.exit_code == 0, done.output
    assert f"{(tmp_path / 'judge.keras').stat().st_size:,} bytes" in done.stdout
    done = run("export", "diqa", tmp_path / "judge.pdf", "--format", "pdf")
    assert done.exit_code == 1
    assert "no format 'pdf'" in done.stderr


def test_weights_are_handed_on_without_graphs_where_nothing_can_make_them(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "score.onnx").touch()  # of weights from before
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    done = run("export-weights", PACKAGED / "biq2021", tmp_path / "mine")
    assert done.exit_code == 0, done.output
    assert "Without graphs for ONNX Runtime" in done.stderr
    names = sorted(path.name for path in (tmp_path / "mine").iterdir())
    assert names == ["README.md", "card.json", "weights.npz"]
    assert "graphs" not in load_predictor(tmp_path / "mine").card


def test_the_best_come_first_if_asked_for(folder):
    (folder / "broken.jpg").write_text("no picture")
    done = run("score", folder, "--sort", "quality", "--format", "jsonl")
    qualities = [row["quality"] for row in rows_in(done)]
    assert qualities[0] > qualities[1]
    assert qualities[2] is None


def test_what_cannot_be_scored_is_reported_and_the_rest_is_scored(folder, tmp_path):
    (folder / "broken.jpg").write_text("no picture either")
    done = run("score", folder, tmp_path / "nowhere.png", "--format", "csv")
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 5
    assert "broken.jpg' is not a picture file" in done.stderr
    assert "nowhere.png': check the path" in done.stderr
    assert done.stderr.endswith("2 scored, 2 failed, 1 skipped: 1 .txt file.\n")


@pytest.mark.parametrize("error", [RuntimeError("odd"), MemoryError(), KeyError("odd")])
def test_whatever_happens_to_one_picture_the_others_are_scored(folder, monkeypatch, error):
    read = inference.read_image

    def odd(path, **options):
        if path.name == "chelsea.png":
            raise error
        return read(path, **options)

    monkeypatch.setattr(inference, "read_image", odd)
    done = run("score", folder, "--format", "jsonl")
    rows = rows_in(done)
    assert [row["quality"] is None for row in rows] == [True, False]
    assert done.stderr.endswith("1 scored, 1 failed, 1 skipped: 1 .txt file.\n")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "names no picture"),
        ("https://example.org/a.jpg", "is an address"),
        ("{empty}", "There is no picture: name files, or a folder that has some"),
    ],
)
def test_what_names_no_picture_is_reported(name, sentence, tmp_path):
    done = run("score", name.format(empty=tmp_path))
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.output


def test_a_name_that_is_no_path_costs_its_own_row_only(folder):
    done = run("score", "https://example.org/a.jpg", folder / "coffee.png", "--format", "jsonl")
    assert done.exit_code == 1
    rows = rows_in(done)
    assert [row["quality"] is None for row in rows] == [True, False]
    assert done.stderr.endswith("1 scored, 1 failed, 0 skipped.\n")


def test_what_a_folder_holds_beside_pictures_is_counted_by_kind(folder, monkeypatch):
    monkeypatch.setattr(picture_files, "can_read_heic", lambda: False)
    for name in ("a.HEIC", "b.heic", "c.NEF", "d.mpg", "._e.jpg", "Thumbs.db", ".DS_Store"):
        (folder / name).write_bytes(b"")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "sub").mkdir()
    (folder / "coffee.png").rename(folder / "sub" / "coffee.png")
    (folder / "sub" / "back").symlink_to(folder)
    kinds = "1 .mpg file, 1 .txt file, 1 broken link, {}2 HEIC picture (install pillow-heif), 1 raw"
    done = run("score", folder)
    assert kinds.format("") not in done.stderr
    sub = "1 folder (take it along with --recursive), "
    for part in (*kinds.format("").split(", ")[:3], "2 HEIC picture (install pillow-heif)", sub):
        assert part.strip(", ") in done.stderr
    assert "1 scored, 0 failed, 7 skipped" in done.stderr
    done = run("score", folder, "--recursive", "--format", "jsonl")
    assert names_in(rows_in(done)) == ["chelsea.png", "coffee.png"]
    assert "2 scored, 0 failed, 6 skipped" in done.stderr


def test_names_are_read_from_standard_input(folder):
    names = [str(folder / name) for name in ("coffee.png", "chelsea.png")]
    for text in ("\n".join(names) + "\n", "\0".join(names) + "\0"):
        done = CliRunner().invoke(app, ["score", "-", "--format", "jsonl"], input=text)
        assert [row["picture"] for row in rows_in(done)] == names


def test_error_maps_are_written_in_a_tree_like_that_of_the_pictures(folder, tmp_path):
    maps = tmp_path / "maps"
    done = run("score", folder / "coffee.png", "--error-maps", maps)
    assert done.exit_code == 0, done.output
    written = np.asarray(Image.open(maps / "coffee.png.png"))
    expected = load_pretrained().predict_error_map(folder / "coffee.png")
    np.testing.assert_allclose(written / 255, np.clip(expected, 0, 1), atol=0.003)

    (folder / "x" / "y").mkdir(parents=True)
    Image.open(folder / "chelsea.png").save(folder / "x" / "y" / "coffee.png")
    done = run("score", folder, "--recursive", "--error-maps", maps)
    found = sorted(str(path.relative_to(maps)) for path in maps.rglob("*.png"))
    assert found == ["chelsea.png.png", "coffee.png.png", "x/y/coffee.png.png"]
    same, other = (np.asarray(Image.open(maps / name)) for name in (found[0], found[2]))
    np.testing.assert_array_equal(same, other)


NAMES = ["three[x].png", "été 😀.png", "=1+1.png", "cr\rhere.png", "esc\x1b[31m.png", "a, b.png"]
NAMES += [os.fsdecode(b"caf\xe9.png"), "x" * 150 + ".png", ":smile: [red].png", "\u2028.png"]


@pytest.fixture
def odd_names(tmp_path, photographs, monkeypatch):
    """A folder, which is the working directory, of pictures of names that are hard to print."""
    place = tmp_path / "names"
    place.mkdir()
    for name in NAMES:
        Image.fromarray(photographs["coffee"][:60, :60]).save(place / "a.png")
        (place / "a.png").rename(place / name)
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(
    ("format_", "encoding"),
    [("csv", "cp1252"), ("jsonl", "cp1252"), ("table", "cp1252"), ("table", "utf-8:strict")],
)
def test_names_are_data(odd_names, format_, encoding):
    command = [sys.executable, "-m", "diqa_utils", "score", *NAMES, "--format", format_]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("utf-8")
    if format_ == "jsonl":
        assert [row["picture"] for row in rows_of(text)] == NAMES
        return
    escaped = {"caf\udce9.png": "caf\\udce9.png"}
    if format_ == "csv":
        shown = [row["picture"] for row in csv.DictReader(io.StringIO(text, newline=""))]
        escaped |= {"=1+1.png": "./=1+1.png"}
    else:
        shown = [line.split("  ")[-1].lstrip() for line in text.split("\n")[1:-1]]
        escaped |= {"cr\rhere.png": "cr\\rhere.png", "esc\x1b[31m.png": "esc\\x1b[31m.png"}
        escaped |= {"\u2028.png": "\\u2028.png"}
    assert shown == [escaped.get(name, name) for name in NAMES]


# Scores in a file


@pytest.fixture
def counted(monkeypatch):
    """The names of the pictures that were read."""
    names, read = [], inference.read_image

    def counting(path, **options):
        names.append(path.name)
        return read(path, **options)

    monkeypatch.setattr(inference, "read_image", counting)
    return names


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_of_scores_is_gone_on_with(folder, tmp_path, counted, ending):
    file = tmp_path / f"scores.{ending}"
    assert run("score", folder, "--output", file).exit_code == 0
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b"coffee.png") + 20])  # killed in the middle of a row
    counted.clear()
    done = run("score", folder, "--output", file)
    assert done.stderr.startswith("1 scored, 1 scored before, 0 failed")
    assert (file.read_bytes(), counted) == (whole, ["coffee.png"])
    done = run("score", folder, "--output", file)
    assert done.exit_code == 0
    assert done.stderr.startswith("0 scored, 2 scored before")
    assert (file.read_bytes(), counted) == (whole, ["coffee.png"])


def test_a_picture_that_has_changed_is_scored_again_and_keeps_its_place(folder, tmp_path, counted):
    file = tmp_path / "scores.jsonl"
    (folder / "broken.jpg").write_text("no picture")
    run("score", folder, "--output", file)
    before = rows_of(file.read_text())
    os.utime(folder / "chelsea.png", (1, 1))
    Image.open(folder / "coffee.png").save(folder / "broken.jpg")  # mended
    counted.clear()
    done = run("score", folder, "--output", file)
    assert done.exit_code == 0
    assert sorted(counted) == ["broken.jpg", "chelsea.png"]
    after = rows_of(file.read_text())
    assert [row["picture"] for row in after] == [row["picture"] for row in before]
    assert [row["quality"] is None for row in before] == [True, False, False]
    assert after[0]["quality"] is not None
    assert after[1]["modified"] == 1e9
    assert after[2] == before[2]


def test_a_picture_that_changes_while_it_is_scored_is_scored_again(folder, tmp_path, monkeypatch):
    read = inference.read_image

    def changes(path, **options):
        pixels = read(path, **options)
        os.utime(path, (1, 1))
        return pixels

    monkeypatch.setattr(inference, "read_image", changes)
    file = tmp_path / "scores.jsonl"
    run("score", folder, "--output", file)
    done = run("score", folder, "--output", file)
    assert done.stderr.startswith("2 scored, 0 failed")
    assert run("score", folder, "--output", file).stderr.startswith("0 scored, 2 scored before")


def test_rows_of_other_pictures_are_kept_and_a_missing_map_is_made(folder, tmp_path, counted):
    file, maps = tmp_path / "scores.jsonl", tmp_path / "maps"
    run("score", folder / "coffee.png", "--output", file)
    run("score", folder / "chelsea.png", "--output", file)
    assert names_in(rows_of(file.read_text())) == ["chelsea.png", "coffee.png"]
    counted.clear()
    done = run("score", folder, "--output", file, "--error-maps", maps)
    assert done.stderr.startswith("2 scored, 0 failed")
    assert len(list(maps.iterdir())) == 2


def test_a_file_of_something_else_is_left_as_it_is(folder, tmp_path):
    for name, text in {"a.csv": "image,score\n", "b.jsonl": '{"a": 1}\n', "c.csv": "\0\n"}.items():
        (tmp_path / name).write_text(text)
        done = run("score", folder, "--output", tmp_path / name)
        assert done.exit_code == 1
        assert f"{name}' is there and is no table of scores" in done.stderr
        assert (tmp_path / name).read_text() == text


def test_a_file_of_scores_is_no_table_for_people_and_its_folder_is_made(folder, tmp_path):
    file = tmp_path / "new" / "scores.csv"
    done = run("score", folder, "--output", file, "--format", "table")
    assert done.exit_code == 1
    assert "write --output as csv or jsonl" in done.stderr
    assert run("score", folder, "--output", file).exit_code == 0
    assert len(file.read_text().splitlines()) == 3


def test_who_reads_the_first_rows_only_gets_no_error(folder):
    command = f"{sys.executable} -m diqa_utils score {shlex.quote(str(folder))} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=300)
    assert done.stdout == "quality  interval               picture\n"
    assert "Error" not in done.stderr


def test_scores_of_another_predictor_are_not_mixed_in(folder, tmp_path):
    file = tmp_path / "scores.csv"
    load_pretrained().save(tmp_path / "own")
    run("score", folder, "--output", file)
    done = run("score", folder, "--output", file, "--predictor", tmp_path / "own")
    assert done.exit_code in (0, 1)
    assert re.search(r"holds scores of 'biq2021@\w+', not of 'own@\w+'", done.stderr)


def test_a_file_is_written_by_one_process_at_a_time(folder, tmp_path):
    file = ScoreFile(tmp_path / "scores.csv", "csv", "biq2021")
    with file.opened([]):
        done = run("score", folder, "--output", tmp_path / "scores.csv")
    assert done.exit_code == 1
    assert "scores.csv' is being written by another process" in done.stderr


def test_a_full_disk_ends_with_a_sentence_and_what_is_known(folder, tmp_path, monkeypatch):
    written = ScoreFile.write

    def full(self, row):
        if "coffee" in row["picture"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        written(self, row)

    monkeypatch.setattr(ScoreFile, "write", full)
    done = run("score", folder, "--output", tmp_path / "scores.jsonl")
    assert done.exit_code == 1
    assert "Error: No space left on device: '" in done.stderr
    assert names_in(rows_of((tmp_path / "scores.jsonl").read_text())) == ["chelsea.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_what_is_known(photographs, tmp_path, number):
    for index in range(400):
        picture = np.roll(photographs["coffee"], index, axis=1)
        Image.fromarray(picture).save(tmp_path / f"{index:03}.bmp")
    command = [sys.executable, "-m", "diqa_utils", "score", tmp_path, "--format", "jsonl"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    process.send_signal(number)
    scored = rows_of(first + process.stdout.read())
    words = process.communicate(timeout=300)[1]
    assert 1 <= len(scored) < 400
    assert all(row["quality"] is not None for row in scored)
    assert f"{len(scored)} scored, 0 failed, 0 skipped." in words
    assert process.returncode == 128 + number
    assert "Traceback" not in words


def test_a_row_that_is_written_when_a_signal_comes_is_counted(folder, monkeypatch):
    written = Printed.write

    def stopped(self, row):
        written(self, row)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Printed, "write", stopped)
    done = run("score", folder, "--format", "jsonl")
    assert len(rows_in(done)) == 1
    assert done.exit_code == 128 + signal.SIGINT
    assert "1 scored, 0 failed, " in done.stderr


def test_a_second_signal_does_not_wait():
    signals = Signals()
    signals.holding = True
    signals(signal.SIGINT, None)
    with pytest.raises(Stopped):
        signals(signal.SIGINT, None)


def test_an_unknown_predictor_and_a_wrong_folder_are_named(folder):
    done = run("score", folder, "--predictor", "nobody")
    assert done.exit_code == 1
    assert "There is no predictor 'nobody'" in done.stderr
    done = run("score", folder, "--error-maps", folder / "notes.txt")
    assert done.exit_code == 1
    assert done.stderr == f"Error: File exists: '{folder / 'notes.txt'}'\n"


def test_prepare_says_what_is_ready(rated, tmp_path):
    settings = ("--manual-dir", rated, "--data-dir", tmp_path, "--scale", 1, 5)
    done = run("data", "prepare", "folder_iqa", *settings)
    assert done.exit_code == 0, done.output
    assert "folder_iqa is ready: 4 in 'train', 2 in 'test'." in done.output
    assert datasets.available(tmp_path)["folder_iqa"].built
    output = run("data", "list", "--data-dir", tmp_path).output
    assert [name for name in CATALOG if name not in output] == []


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
