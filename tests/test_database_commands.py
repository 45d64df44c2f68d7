"""The command line for databases: python -m diqa_utils.datasets."""

import made_up
import pytest
from typer.testing import CliRunner

from diqa_utils import datasets
from diqa_utils.datasets.__main__ import app
from diqa_utils.datasets.catalog import CATALOG


@pytest.fixture
def run():
    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def own(tmp_path):
    return made_up.own_folder(tmp_path / "mes images à moi")


def test_list_names_every_database(run, tmp_path):
    done = run("list", "--data-dir", tmp_path)
    assert done.exit_code == 0
    for name in CATALOG:
        assert name in done.output


def test_prepare_says_what_is_ready(run, own, tmp_path):
    settings = ("--manual-dir", own, "--data-dir", tmp_path, "--scale", 1, 5)
    done = run("prepare", "folder_iqa", *settings)
    assert done.exit_code == 0, done.output
    assert "folder_iqa is ready: 4 in 'train', 2 in 'test'." in done.output
    assert datasets.available(tmp_path)["folder_iqa"].built


def test_verify_finds_nothing_wrong(run, own):
    done = run("verify", "folder_iqa", "--manual-dir", own, "--scale", 1, 5)
    assert done.exit_code == 0, done.output
    assert "6 rows, 9 pictures read, no problem." in done.output


def test_verify_lists_all_that_is_wrong_and_exits_with_1(run, own):
    (own / "été 2024/bild 1.png").unlink()
    content = (own / "été 2024/bild 2.bmp").read_bytes()
    made_up.write(own, "été 2024/bild 2.bmp", content[:100])
    done = run("verify", "folder_iqa", "--manual-dir", own, "--lower-is-better")
    assert done.exit_code == 1
    assert "7 pictures read, 7 problems" in done.output
    assert "'été 2024/bild 1.png' is missing in" in done.output
    assert "'été 2024/bild 2.bmp' is damaged and cannot be decoded" in done.output
    assert "line 2 of 'scores.csv': the score 1" not in done.output
    assert "line 3 of 'scores.csv': the score 1.5 is outside of the scale, 0 to 1" in done.output


def test_a_mistake_gives_one_sentence_and_exit_code_1(run, tmp_path):
    for command in ("prepare", "verify"):
        done = run(command, "tid2014")
        assert done.exit_code == 1
        assert "Error: There is no database 'tid2014'; known: sample_iqa, live_iqa" in done.output
        assert "Traceback" not in done.output
        done = run(command, "csiq", "--data-dir", tmp_path)
        assert done.exit_code == 1
        assert CATALOG["csiq"].files in done.output
    done = run("verify", "sample_iqa")
    assert "Error: sample_iqa is made on this machine" in done.output
    done = run("prepare", "csiq", "--data-dir", tmp_path, "--download")
    assert "Error: csiq cannot be downloaded" in done.output
