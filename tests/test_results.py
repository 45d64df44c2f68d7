"""The numbers that benchmarks measured: written by them, read by the chapters."""

import pytest

from benchmarks import results
from diqa_utils import notebook


def test_the_chapters_read_what_the_benchmarks_wrote():
    names = {path.stem for path in results.FOLDER.glob("*.json")}
    assert {"speed", "ablations", "pretraining", "human_ratings"} <= names
    for name in names:
        assert notebook.results(name)


def test_the_lab_scores_in_half_a_second_and_maps_in_five():
    measured = notebook.results("lab")
    assert measured["score"]["median"] <= 0.5
    assert measured["error_map"]["median"] <= 5


def test_results_that_nobody_measured_are_refused():
    with pytest.raises(ValueError, match=r"no results 'tea': name one of ablations, .*speed"):
        notebook.results("tea")


def test_a_file_of_results_is_sorted_and_ends_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    path = results.write("made_up", {"b": 1, "a": {"é": 0.5}})
    expected = '{\n  "a": {\n    "é": 0.5\n  },\n  "b": 1\n}\n'
    assert path.read_text(encoding="utf-8") == expected


def test_numbers_are_rounded_wherever_they_stand_and_what_is_not_defined_is_null():
    measured = {"list": [0.123456, 2], "inner": {"none": float("nan"), "name": "DIQA"}}
    expected = {"list": [0.1235, 2], "inner": {"none": None, "name": "DIQA"}}
    assert results.rounded(measured, 4) == expected
