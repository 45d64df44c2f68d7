"""The files of a release, in every form in which they lie on a disk."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import made_up
import pytest

from diqa_utils import datasets
from diqa_utils.datasets.files import DatabaseFiles


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return made_up.release("folder_iqa", tmp_path_factory.mktemp("own") / "release")


@pytest.mark.parametrize("form", ["zip", "zip itself", "in a folder", "read only"])
def test_a_release_is_read_as_it_lies_there(own, tmp_path, form):
    packed = tmp_path / "packed"
    packed.mkdir()
    if form.startswith("zip"):
        made_up.zipped(own, packed / "own.zip", inside="own/")
    else:
        shutil.copytree(own, packed / "download" / "own")
    if form == "read only":
        for path in [packed, *packed.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
    settings = {"split": "train", "scale": (1, 5), "data_dir": tmp_path}
    manual_dir = packed / "own.zip" if form == "zip itself" else packed
    table = datasets.read_table("folder_iqa", manual_dir=manual_dir, **settings)
    expected = datasets.read_table("folder_iqa", manual_dir=own, **settings)
    assert table.keys() == expected.keys()
    assert all((table[name] == expected[name]).all() for name in table)


def test_several_archives_make_one_database(tmp_path):
    release = made_up.release("csiq", tmp_path / "release")
    packed = tmp_path / "packed"
    packed.mkdir()
    made_up.zipped(release / "src_imgs", packed / "src_imgs.zip")
    made_up.zipped(release / "dst_imgs", packed / "dst_imgs.zip", inside="dst_imgs/")
    shutil.copy(release / "csiq.DMOS.xlsx", packed)
    report = datasets.verify("csiq", manual_dir=packed)
    assert (report.ok, report.rows, report.pictures) == (True, 866, 896)


def test_files_are_found_in_any_case_and_never_guessed(tmp_path):
    made_up.write(tmp_path, "A/Images/ONE.bmp", b"1")
    made_up.write(tmp_path, "A/images2/one.bmp", b"2")
    made_up.write(tmp_path, "C/größe.bmp", b"5")
    made_up.write(tmp_path, "D/a/images/three.bmp", b"6")
    made_up.write(tmp_path, "D/b/images/three.bmp", b"7")
    # What macOS adds to archives.
    made_up.write(tmp_path, "__MACOSX/images/one.bmp", b"noise")
    made_up.write(tmp_path, "A/images/._one.bmp", b"noise")
    with DatabaseFiles(tmp_path) as files:
        assert files.read("images/one.BMP") == b"1"
        assert files.read("gro\u0308ße.bmp") == b"5"  # o and a combining dieresis
        assert "images/._one.bmp" not in files
        with pytest.raises(FileNotFoundError, match=r"'images/four.bmp' is missing in '.*unpack"):
            files.read("images/four.bmp")
        with pytest.raises(ValueError, match=r"twice, as 'D/a/images/three.bmp' and as 'D/b"):
            files.read("images/three.bmp")


def test_what_is_unpacked_is_taken_before_its_archive(tmp_path):
    made_up.write(tmp_path, "one.txt", b"in the archive")
    made_up.zipped(tmp_path, tmp_path.parent / "one.zip").rename(tmp_path / "one.zip")
    made_up.write(tmp_path, "one.txt", b"unpacked")
    with DatabaseFiles(tmp_path) as files:
        assert files.read("one.txt") == b"unpacked"


def test_threads_may_read_one_archive_at_once(own, tmp_path):
    archive = made_up.zipped(own, tmp_path / "own.zip")
    names = [path.name for path in own.glob("*/*")] * 40
    with DatabaseFiles(archive) as files, ThreadPoolExecutor(8) as pool:
        for name, content in zip(names, pool.map(files.read, names), strict=True):
            [path] = own.glob(f"*/{name}")
            assert content == path.read_bytes()


def test_archives_that_cannot_be_read_are_named(own, tmp_path):
    content = made_up.zipped(own, tmp_path / "whole.zip").read_bytes()
    made_up.write(tmp_path, "half.zip", content[:-20])
    with pytest.raises(ValueError, match=r"archive '.*half.zip' is damaged or not whole"):
        datasets.verify("folder_iqa", manual_dir=tmp_path / "half.zip")
    made_up.flip_a_bit("whole.zip")(tmp_path)
    report = datasets.verify("folder_iqa", manual_dir=tmp_path / "whole.zip", scale=(1, 5))
    assert any("whole.zip' cannot be read" in problem for problem in report.problems), report
    # One bit of the flags of each file says that it is encrypted.
    protected = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for match in re.finditer(re.escape(signature), content):
            protected[match.start() + offset] |= 1
    made_up.write(tmp_path, "protected.zip", bytes(protected))
    with pytest.raises(ValueError, match=r"protected.zip' cannot be read: .*password.* Unpack"):
        datasets.verify("folder_iqa", manual_dir=tmp_path / "protected.zip")
    made_up.write(tmp_path, "tid2013.rar", b"packed")
    with pytest.raises(ValueError, match=r"rar' is neither a folder nor a zip archive: unpack it"):
        datasets.verify("tid2013", manual_dir=tmp_path / "tid2013.rar")
    with pytest.raises(FileNotFoundError, match=r"There is no folder '.*nowhere': check the path"):
        DatabaseFiles(tmp_path / "nowhere")
