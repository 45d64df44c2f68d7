"""The cache folder and the fingerprint of sources."""

from pathlib import Path

import pytest

from diqa_utils._internal import files as cache_files


def test_the_environment_names_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("DIQA_CACHE_DIR", str(tmp_path / "kept"))
    assert cache_files.cache_folder() == tmp_path / "kept"


def test_a_relative_cache_folder_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIQA_CACHE_DIR", "kept")
    assert cache_files.cache_folder() == tmp_path / "kept"


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_it_is_the_users_cache(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("DIQA_CACHE_DIR", raising=False)
    else:
        monkeypatch.setenv("DIQA_CACHE_DIR", value)
    folder = cache_files.cache_folder()
    assert folder.name == "diqa_utils"
    assert folder.is_relative_to(Path.home())


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A made-up package of two files."""
    monkeypatch.setattr(cache_files, "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text("one")
    (tmp_path / "b.py").write_text("two")
    return tmp_path


def test_a_fingerprint_is_short_and_stays_the_same(package):
    fingerprint = cache_files.source_fingerprint("a.py", "b.py")
    assert fingerprint == cache_files.source_fingerprint("a.py", "b.py")
    assert len(fingerprint) == 12
    assert fingerprint.isalnum()


@pytest.mark.parametrize("changed", ["a.py", "b.py"])
def test_a_fingerprint_changes_with_every_source(package, changed):
    before = cache_files.source_fingerprint("a.py", "b.py")
    (package / changed).write_text("three")
    assert cache_files.source_fingerprint("a.py", "b.py") != before


@pytest.mark.parametrize("contents", [("two", "one"), ("onet", "wo")])
def test_a_fingerprint_changes_when_code_moves_between_sources(package, contents):
    before = cache_files.source_fingerprint("a.py", "b.py")
    for name, content in zip(("a.py", "b.py"), contents, strict=True):
        (package / name).write_text(content)
    assert cache_files.source_fingerprint("a.py", "b.py") != before


def test_a_source_that_is_not_there_is_an_error(package):
    with pytest.raises(FileNotFoundError, match=r"c\.py"):
        cache_files.source_fingerprint("c.py")
