"""MATLAB files, which another process reads."""

import io

import numpy as np
import pytest
import scipy.io

from diqa_utils.datasets import matlab


def saved(**settings):
    file = io.BytesIO()
    names = np.empty((1, 3), object)
    names[0] = ["one.bmp", "größe.bmp", "three.bmp"]
    contents = {"dmos": np.array([[1.5, np.nan, 3]]), "names": names, "text": "word"}
    if settings.get("format") == "4":
        del contents["names"]
    scipy.io.savemat(file, contents | {"table": np.ones((2, 3), np.uint8)}, **settings)
    return file.getvalue()


@pytest.mark.parametrize("settings", [{}, {"do_compression": True}, {"format": "4"}])
def test_variables_come_as_lists_of_numbers_and_texts(settings):
    variables = ("dmos", "table") if "format" in settings else ("dmos", "table", "names", "text")
    answer = matlab.read_variables(saved(**settings), "a.mat", variables)
    assert tuple(answer) == variables
    assert answer["table"] == [1] * 6
    np.testing.assert_array_equal(answer["dmos"], [1.5, np.nan, 3])
    assert answer.get("names", ["one.bmp", "größe.bmp", "three.bmp"])[1] == "größe.bmp"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os; os.abort()", r"'a.mat' is damaged or no MATLAB file: SciPy cannot read it"),
        ("import time; time.sleep(60)", r"'a.mat' is damaged .*: SciPy cannot read it; fetch it a"),
        ("print('no JSON')", r"'a.mat' is damaged or no MATLAB file: SciPy cannot read it"),
    ],
)
def test_a_reader_that_dies_or_hangs_takes_nobody_with_it(tmp_path, monkeypatch, script, words):
    (tmp_path / "reader.py").write_text(script)
    monkeypatch.setattr(matlab, "__file__", str(tmp_path / "reader.py"))
    monkeypatch.setattr(matlab, "TIME_LIMIT", 2)
    with pytest.raises(ValueError, match=words):
        matlab.read_variables(saved(), "a.mat", ("dmos",))
