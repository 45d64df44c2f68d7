"""BIQ2021's builder on made-up files in the layout of its repository, and its download."""

import gzip
import io
import shutil
import subprocess
from functools import cache
from pathlib import Path
from unittest import mock

import made_up
import made_up_case
import pytest
from PIL import Image

from diqa_utils import datasets
from diqa_utils.datasets.biq2021 import biq2021_dataset_builder as biq2021


def make(folder: Path, train: int = 10000, test: int = 2000) -> Path:
    """Names with blanks, one in another case, one MPO, one of another size."""
    numbers = range(1, train + test + 1)
    for number in numbers:
        suffix = "JPG" if number == 5 else "jpg"
        size = (10, 6) if number == 3 else made_up.SIZE
        content = mpo() if number == 4 else made_up.picture(number % 150, "jpg", size)
        made_up.write(folder, f"Images/ss01 ({number}).{suffix}", content)
    rows = [[f"ss01 ({number}).jpg", f"{number % 100 / 100:.4f}"] for number in numbers]
    lines = ["Image Name,MOS,,", *(f"{name},{mos},," for name, mos in rows[:train])]
    made_up.write(folder, "Train (Images and MOS).csv", "\r\n".join(lines) + "\r\n")
    lines = ["Image Name,MOS", *(f"{name},{mos}" for name, mos in rows[train:])]
    made_up.write(folder, "Test (Images and MOS).csv", "\r\n".join(lines) + "\r\n")
    return folder


@cache
def mpo() -> bytes:
    """A file with two frames, as stereo cameras and some telephones write."""
    first, second = (Image.open(io.BytesIO(made_up.picture(shade, "jpg"))) for shade in (40, 90))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    return buffer.getvalue()


def write_manifest(folder: Path, path: Path) -> Path:
    """Writes the manifest of what is in a folder."""
    lines = []
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        content = file.read_bytes()
        name = file.relative_to(folder).as_posix()
        lines.append(f"{biq2021.blob_hash(content)}\t{len(content)}\t{name}")
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


class Biq2021Test(made_up_case.MadeUpTestCase):
    """The official split, files in any case, and each file held against the manifest."""

    DATASET_CLASS = biq2021.Builder
    SPLITS = {"train": 10000, "test": 2000}
    ROWS = {
        "biq2021": {
            "ss01 (5)": {
                "reference_id": "ss01 (5)",
                "distortion": "authentic",
                "score": 0.05,
                "quality": 0.05,
            },
            "ss01 (10001)": {"score": 0.01},
        },
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        manifest = write_manifest(cls.EXAMPLE_DIR, cls.folder / "manifest.tsv.gz")
        patch = mock.patch.object(biq2021, "MANIFEST", manifest)
        patch.start()
        cls.addClassCleanup(patch.stop)


needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository on this machine in the place of the published one."""
    folder = make(tmp_path / "repository", train=30, test=10)
    monkeypatch.setattr(biq2021, "MANIFEST", write_manifest(folder, tmp_path / "manifest.tsv.gz"))

    def git(*arguments):
        person = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false")
        command = ["git", "-C", str(folder), *person, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "made up")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    monkeypatch.setattr(biq2021, "ADDRESS", folder.as_uri())
    monkeypatch.setattr(biq2021, "COMMIT", git("rev-parse", "HEAD"))
    return folder


@needs_git
def test_it_is_downloaded_once_and_built_and_held_against_its_hashes(
    repository, tmp_path, monkeypatch
):
    parts = datasets.load("biq2021", data_dir=tmp_path, download=True, partial=True)
    assert {name: len(part) for name, part in parts.items()} == {"train": 30, "test": 10}
    copy = tmp_path / "manual" / "biq2021"
    for path in repository.glob("[!.]*/*"):
        assert (copy / path.relative_to(repository)).read_bytes() == path.read_bytes()
    assert not (copy / ".git").exists()

    monkeypatch.setattr(biq2021, "ADDRESS", "nowhere")
    biq2021.Builder.download(copy)

    made_up.write(copy, "Images/ss01 (7).jpg", made_up.picture(8, "jpg"))
    made_up.write(copy, "Images/ss01 (9).jpg", b"half")
    problems = datasets.verify("biq2021", data_dir=tmp_path, partial=True).problems
    assert len(problems) == 2
    assert problems[0].startswith("'Images/ss01 (7).jpg' has another content than the published")
    with pytest.raises(ValueError, match=r"'Images/ss01 \([79]\).jpg' has"):
        datasets.load("biq2021", data_dir=tmp_path, partial=True)


@needs_git
@pytest.mark.parametrize(
    ("name", "value"), [("ADDRESS", "file:///nowhere"), ("COMMIT", "0" * 40), ("PATH", None)]
)
def test_what_cannot_be_fetched_is_named_and_nothing_is_kept(
    repository, tmp_path, monkeypatch, name, value
):
    if name == "PATH":
        monkeypatch.setenv("PATH", str(tmp_path))
        words = r"needs git, which is not on this machine: install"
    else:
        monkeypatch.setattr(biq2021, name, value)
        words = f"git could not fetch {biq2021.ADDRESS}: it says why in the lines above"
    with pytest.raises(OSError, match=words):
        biq2021.Builder.download(tmp_path / "copy")
    assert not list(tmp_path.glob("*copy"))


def test_the_manifest_is_that_of_the_repository():
    files = [entry.path for entry in biq2021.read_manifest(biq2021.MANIFEST).values()]
    pictures = [path for path in files if path.startswith("Images/")]
    assert len(pictures) == 12000
    assert set(files) - set(pictures) == set(biq2021.TABLES.values())
    assert [path for path in pictures if not path.endswith(".jpg")] == ["Images/ss02 (1014).JPG"]


def test_the_hash_is_git_s():
    # printf 'what is up, doc?' | git hash-object --stdin, from git's own book
    assert biq2021.blob_hash(b"what is up, doc?") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
