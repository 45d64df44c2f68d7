"""The benchmark of scoring: what it measures, and what the committed results say."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import scoring
from diqa_utils import notebook

HERE = [sys.executable]


def size_of(*packages: str, command: Sequence[str] = ()) -> scoring.Way:
    """A way that takes no time: the score of a picture is the size of its file."""
    program = "import os\nscore = os.path.getsize\n"
    return scoring.Way(HERE, packages, program, command)


def test_a_command_that_fails_stops_the_benchmark():
    with pytest.raises(RuntimeError, match="no score today"):
        scoring.cost([*HERE, "-c", "raise SystemExit('no score today')"])


def test_what_is_not_installed_gets_no_number(monkeypatch):
    monkeypatch.setattr(scoring, "write_pictures", lambda *_: [Path(__file__)])
    ways = {"there": size_of("numpy"), "missing": size_of("numpy", "no-such-package")}
    measured = scoring.measure(ways, rounds=1, folder_rounds=1, number=1)
    assert measured["picture"]["missing"] == "not installed"
    assert set(measured["picture"]["there"]) == {"cold_s", "cold_mib", "warm_s"}
    assert measured["versions"].keys() == {"numpy"}


def test_the_results_are_of_all_ways_and_the_library_is_ahead_of_the_others():
    committed = notebook.results(scoring.NAME)
    picture = committed["picture"]
    assert picture.keys() == scoring.all_ways(HERE).keys()
    ours, *others = (picture.pop(name) for name in ("onnx", *sorted(picture.keys() - {"onnx"})))
    for other in others:
        for measure in ("cold_s", "cold_mib", "warm_s"):
            assert ours[measure]["median"] < other[measure]["median"]
    assert ours["cold_s"]["median"] <= 1.0
    assert ours["cold_mib"]["median"] <= 250
    assert committed["folder"]["pictures"] == scoring.FOLDER
    for runtime in ("onnx", "tensorflow"):
        times = committed["folder"][runtime]
        assert times["cores_2_s"]["median"] < times["cores_1_s"]["median"]
