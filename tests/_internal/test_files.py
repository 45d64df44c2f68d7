"""The cache folder, the fingerprint of sources, and writing files whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diqa_utils._internal import files


def test_the_environment_names_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "kept"), "kept"):  # a relative one is made absolute
        monkeypatch.setenv("DIQA_CACHE_DIR", name)
        assert files.cache_folder() == tmp_path / "kept"


def test_without_the_variable_it_is_the_users_cache(monkeypatch):
    monkeypatch.setenv("DIQA_CACHE_DIR", "")
    empty = files.cache_folder()
    monkeypatch.delenv("DIQA_CACHE_DIR")
    assert empty == files.cache_folder()
    assert empty.name == "diqa_utils"
    assert empty.is_relative_to(Path.home())


@pytest.mark.parametrize(
    "contents", [("three", "two"), ("one", "three"), ("two", "one"), ("onet", "wo")]
)
def test_a_fingerprint_changes_with_every_source_and_when_code_moves(
    contents, monkeypatch, tmp_path
):
    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    fingerprints = []
    for texts in (("one", "two"), ("one", "two"), contents):
        for name, text in zip(("a.py", "b.py"), texts, strict=True):
            (tmp_path / name).write_text(text)
        fingerprints.append(files.source_fingerprint("a.py", "b.py"))
    assert len(fingerprints[0]) == 12
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    def write_half(place):
        place.write_text("ha")
        raise OSError("No space left on device")

    path = tmp_path / "card.json"
    files.write_atomically(path, lambda place: place.write_text("old"))
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, write_half)
    assert path.read_text() == "old"
    files.write_atomically(path, lambda place: place.write_text("new"))
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_the_same_file_do_not_meet(tmp_path):
    path = tmp_path / "card.json"

    def write_while_another_does(place):
        place.write_text("mine")
        files.write_text(path, "another's")

    files.write_atomically(path, write_while_another_does)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_fingerprints_tell_arrays_types_and_orders_apart():
    array = np.arange(6, dtype=np.float32)
    facts = [
        {"a": array},
        {"a": array.astype(np.float64)},
        {"a": array.reshape(2, 3)},
        {"a": array[::-1]},
        {"b": array},
        {"a": [array, array]},
        {"a": None},
        {"a": "None"},
    ]
    names = [files.fingerprint(**one) for one in facts]
    assert len(set(names)) == len(names)
    assert names == [files.fingerprint(**one) for one in facts]


def test_a_folder_is_locked_for_others_and_not_for_oneself(tmp_path):
    code = "from diqa_utils._internal.files import *\nwith locked(Path({!r})): pass"
    other = [sys.executable, "-c", code.format(str(tmp_path))]
    with files.locked(tmp_path), files.locked(tmp_path):
        done = subprocess.run(other, capture_output=True, text=True)
    assert "Another process is at work in" in done.stderr.splitlines()[-1]
    assert subprocess.run(other).returncode == 0
