"""Fetching a database from a git repository on this machine."""

import shutil
import subprocess

import made_up
import pytest

from diqa_utils import datasets
from diqa_utils.datasets import download
from diqa_utils.datasets.biq2021 import biq2021_dataset_builder as biq2021

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def release(tmp_path):
    return made_up.biq(tmp_path / "release", train=30, test=10)


@pytest.fixture
def manifest(release):
    return made_up.manifest(release)


@pytest.fixture
def repository(release, manifest, tmp_path):
    """The address and the commit of a repository that holds the release."""
    folder = made_up.copied(release, tmp_path / "repository")

    def git(*arguments):
        person = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false")
        command = ["git", "-C", str(folder), *person, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "made up")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    return folder.as_uri(), git("rev-parse", "HEAD")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_biq2021_is_downloaded_and_built_in_one_call(
    repository, release, manifest, tmp_path, monkeypatch
):
    biq2021._by_lower_name.cache_clear()
    monkeypatch.setattr(biq2021, "manifest", lambda: manifest)
    monkeypatch.setattr(biq2021, "ADDRESS", repository[0])
    monkeypatch.setattr(biq2021, "COMMIT", repository[1])
    parts = datasets.load("biq2021", data_dir=tmp_path, download=True, partial=True)
    biq2021._by_lower_name.cache_clear()
    assert {name: len(part) for name, part in parts.items()} == {"train": 30, "test": 10}
    assert contents(tmp_path / "manual" / "biq2021") == contents(release)
    assert not list(tmp_path.rglob("incomplete*"))


def test_a_whole_copy_is_not_fetched_again_and_a_damaged_one_is_named(release, manifest, tmp_path):
    download.download(manifest, "nowhere", "0" * 40, release)
    made_up.write(release, "Images/ss01 (1).jpg", b"half")
    words = r"'Images/ss01 \(1\).jpg' has 4 bytes and should have .* Move '.*release' away"
    with pytest.raises(ValueError, match=words):
        download.download(manifest, "nowhere", "0" * 40, release)


def test_a_repository_that_cannot_be_had_is_named(repository, manifest, tmp_path, monkeypatch):
    address, commit = repository
    with pytest.raises(ConnectionError, match=r"git could not fetch file:///nowhere: fatal: .*"):
        download.download(manifest, "file:///nowhere", commit, tmp_path / "copy")
    with pytest.raises(ConnectionError, match=rf"git could not fetch {address}: "):
        download.download(manifest, address, "0" * 40, tmp_path / "copy")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"needs git, which is not on this machine: inst"):
        download.download(manifest, address, commit, tmp_path / "copy")
    assert not list(tmp_path.glob("*copy"))


def test_files_that_are_not_the_published_ones_are_not_kept(repository, manifest, tmp_path):
    changed = download.ManifestEntry("0" * 40, manifest["Images/ss01 (7).jpg"].size, "another")
    for path, entry, words in [
        ("Images/ss01 (7).jpg", changed, r"From file.*'another' has another content than the"),
        ("Images/none.jpg", changed, r"From file.*'Images/none.jpg' is missing in"),
    ]:
        with pytest.raises(ValueError, match=words):
            download.download(manifest | {path: entry}, *repository, tmp_path / "copy")
    assert not list(tmp_path.glob("*copy"))


def test_a_database_that_its_owners_hand_out_is_not_downloaded(tmp_path):
    with pytest.raises(ValueError, match=r"csiq cannot be downloaded: its owners hand it out"):
        datasets.load("csiq", data_dir=tmp_path, download=True)


def test_the_manifest_is_that_of_the_repository():
    manifest = biq2021.manifest()
    pictures = [path for path in manifest if path.startswith("Images/")]
    assert len(pictures) == 12000
    assert set(manifest) - set(pictures) == set(biq2021.TABLES.values())
    assert [path for path in pictures if not path.endswith(".jpg")] == ["Images/ss02 (1014).JPG"]
    assert all(len(entry.blob) == 40 and entry.size > 0 for entry in manifest.values())


def test_the_hash_is_git_s():
    # printf 'what is up, doc?' | git hash-object --stdin, from git's own book
    assert download.blob_hash(b"what is up, doc?") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
