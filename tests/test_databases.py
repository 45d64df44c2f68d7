"""The rated databases, each from made-up files in the exact layout of its official release."""

import errno
import hashlib
import io
import itertools
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import made_up
import numpy as np
import openpyxl
import pytest
import scipy.io
import tensorflow as tf
from PIL import Image

from diqa_utils import datasets, read_image
from diqa_utils.datasets import builder as shared_builder
from diqa_utils.datasets import catalog, storage
from diqa_utils.datasets import files as database_files
from diqa_utils.datasets.biq2021 import biq2021_dataset_builder as biq2021
from diqa_utils.datasets.csiq import csiq_dataset_builder as csiq_builder
from diqa_utils.datasets.kadid10k import kadid10k_dataset_builder as kadid_builder
from diqa_utils.datasets.live_iqa import live_iqa_dataset_builder as live_builder
from diqa_utils.datasets.rows import Row, count_problems
from diqa_utils.datasets.tid2013 import tid2013_dataset_builder as tid2013_builder

MAKERS = {
    "live_iqa": made_up.live,
    "live_iqa/raw": made_up.live,
    "tid2008": made_up.tid2008,
    "tid2013": made_up.tid2013,
    "csiq": made_up.csiq,
    "kadid10k": made_up.kadid,
    "biq2021": made_up.biq,
}
HEIGHT, WIDTH = made_up.SIZE


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """The folder of a release, made when it is first asked for."""
    made = {}

    def release(name):
        maker = MAKERS[name]
        if maker not in made:
            made[maker] = maker(tmp_path_factory.mktemp(name.partition("/")[0]) / "release")
        return made[maker]

    return release


@pytest.fixture(scope="module")
def own_manifest(releases):
    """BIQ2021's manifest, for made-up files."""
    biq2021._by_lower_name.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        entries = made_up.manifest(releases("biq2021"))
        patch.setattr(biq2021, "manifest", lambda: entries)
        yield entries
    biq2021._by_lower_name.cache_clear()


@pytest.fixture(scope="module")
def installed(releases, own_manifest, tmp_path_factory):
    """A folder of built databases; builds one when it is first asked for."""
    root = tmp_path_factory.mktemp("built")
    done = set()

    def install(name):
        if name not in done:
            datasets.load(name, data_dir=root, manual_dir=releases(name))
            done.add(name)
        return root

    return install


def rows_by_id(name, root, split="rated"):
    columns = datasets.read_table(name, split=split, data_dir=root)
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return {row["image_id"]: row for row in rows}


# Whole tables


@pytest.mark.parametrize(
    ("name", "split", "rows", "references", "distortions", "levels"),
    [
        ("live_iqa", "rated", 779, 29, 5, {0}),
        ("live_iqa", "pristine", 203, 29, 5, {0}),
        ("live_iqa/raw", "rated", 779, 29, 5, {0}),
        ("tid2008", "rated", 1700, 25, 17, {1, 2, 3, 4}),
        ("tid2013", "rated", 2880, 24, 24, {1, 2, 3, 4, 5}),
        ("tid2013", "synthetic", 120, 1, 24, {1, 2, 3, 4, 5}),
        ("tid2013", "rated+synthetic", 3000, 25, 24, {1, 2, 3, 4, 5}),
        ("csiq", "rated", 866, 30, 6, {1, 2, 3, 4, 5}),
        ("kadid10k", "rated", 10125, 81, 25, {1, 2, 3, 4, 5}),
        ("biq2021", "train", 10000, 10000, 1, {0}),
        ("biq2021", "test", 2000, 2000, 1, {0}),
    ],
)
def test_a_database_has_the_counts_of_its_release(
    installed, name, split, rows, references, distortions, levels
):
    table = datasets.read_table(name, split=split, data_dir=installed(name))
    assert len(set(table["image_id"])) == len(table["image_id"]) == rows
    assert len(set(table["reference_id"])) == references
    assert len(set(table["distortion"])) == distortions
    assert set(table["level"]) == levels
    assert np.all((table["quality"] >= 0) & (table["quality"] <= 1))


@pytest.mark.parametrize(
    ("name", "split", "image_id", "expected"),
    [
        # made_up.live: the entry 59 of jpeg is row 227 + 58 of the score files
        (
            "live_iqa",
            "rated",
            "jpeg/img59",
            {
                "reference_id": "scene00",
                "distortion": "jpeg",
                "level": 0,
                "score": -2.5 + 285 % 114,
                "quality": (112 - (-2.5 + 285 % 114)) / 115,
                "score_std": 1.5,
                "pristine": False,
            },
        ),
        ("live_iqa", "pristine", "wn/img1", {"score": 45, "pristine": True}),
        ("live_iqa/raw", "rated", "jpeg/img59", {"score": 20 + 285 % 60, "pristine": False}),
        ("live_iqa/raw", "pristine", "wn/img1", {"score": 0, "pristine": True}),
        (
            "tid2008",
            "rated",
            "i25_17_4",
            {
                "reference_id": "I25",
                "distortion": "contrast_change",
                "level": 4,
                "score": 8 - 4 - 0.17,
                "quality": (8 - 4 - 0.17) / 9,
                "score_std": 0.14,
            },
        ),
        (
            "tid2013",
            "rated",
            "i01_11_1",
            {
                "reference_id": "I01",
                "distortion": "jpeg2000",
                "score": 6.89,
                "score_std": 0.11,
                "synthetic": False,
            },
        ),
        ("tid2013", "synthetic", "i25_24_5", {"distortion": "sparse_sampling", "synthetic": True}),
        (
            "csiq",
            "rated",
            "1600.AWGN.2",
            {
                "reference_id": "1600",
                "distortion": "white_noise",
                "level": 2,
                "score": 0.39,
                "quality": 0.61,
                "score_std": 0.05,
            },
        ),
        (
            "csiq",
            "rated",
            "scene28.jpeg2000.5",
            {"reference_id": "scene28", "distortion": "jpeg2000", "score": 0.97},
        ),
        (
            "kadid10k",
            "rated",
            "I81_09_05",
            {
                "reference_id": "I81",
                "distortion": "jpeg2000",
                "level": 5,
                "score": 1.25,
                "quality": 0.0625,
                "score_std": 0.8,
            },
        ),
        (
            "biq2021",
            "train",
            "ss01 (5)",
            {
                "reference_id": "ss01 (5)",
                "distortion": "authentic",
                "score": 0.05,
                "quality": 0.05,
            },
        ),
        ("biq2021", "test", "ss01 (10001)", {"score": 0.01}),
    ],
)
def test_a_named_row_says_what_its_release_says(installed, name, split, image_id, expected):
    row = rows_by_id(name, installed(name), split)[image_id]
    for key, value in expected.items():
        if isinstance(value, float):
            assert row[key] == pytest.approx(value, abs=1e-4), key
        else:
            assert row[key] == value, key


@pytest.mark.parametrize("name", MAKERS)
def test_pictures_are_those_of_the_files_and_fit_the_table(installed, releases, name):
    root = installed(name)
    split = "train" if name == "biq2021" else "rated"
    table = datasets.read_table(name, split=split, data_dir=root)
    loaded = datasets.load(name, split=f"{split}[:40]", data_dir=root)
    assert len(loaded) == 40
    for index, example in enumerate(loaded.as_numpy_iterator()):
        image_id = example["image_id"].decode()
        assert image_id == table["image_id"][index]
        assert example["score"] == np.float32(table["score"][index])
        found = [
            path
            for path in releases(name).rglob("*")
            if f"{path.parent.name}/{path.stem}".lower().endswith(image_id.lower())
            and path.is_file()
        ]
        assert len(found) == 1
        np.testing.assert_array_equal(example["distorted_image"], read_image(found[0]))
        if name == "biq2021":
            assert "reference_image" not in example
        else:
            assert example["reference_image"].shape == example["distorted_image"].shape


def test_the_schema_is_one(installed):
    picture = tf.TensorSpec((None, None, 3), tf.uint8)
    text, number = tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.float32)
    common = {"distorted_image": picture, "image_id": text, "reference_id": text}
    common |= {"distortion": text, "level": tf.TensorSpec((), tf.int32)}
    common |= {"score": number, "quality": number}
    flag = tf.TensorSpec((), tf.bool)
    extra = {
        "live_iqa": {"reference_image": picture, "score_std": number, "pristine": flag},
        "live_iqa/raw": {"reference_image": picture, "pristine": flag},
        "tid2008": {"reference_image": picture, "score_std": number},
        "tid2013": {"reference_image": picture, "score_std": number, "synthetic": flag},
        "csiq": {"reference_image": picture, "score_std": number},
        "kadid10k": {"reference_image": picture, "score_std": number},
        "biq2021": {},
    }
    for name, more in extra.items():
        split = "test" if name == "biq2021" else "rated"
        loaded = datasets.load(name, split=split, data_dir=installed(name))
        assert loaded.element_spec == common | more, name


def test_what_is_flagged_is_left_out_unless_asked_for(installed):
    live = datasets.load("live_iqa", data_dir=installed("live_iqa"))
    assert {part: len(dataset) for part, dataset in live.items()} == {"rated": 779}
    tid = datasets.load("tid2013", data_dir=installed("tid2013"))
    assert {part: len(dataset) for part, dataset in tid.items()} == {"rated": 2880}
    both = datasets.load("live_iqa", split="rated+pristine", data_dir=installed("live_iqa"))
    assert len(both) == 982


@pytest.mark.parametrize("name", MAKERS)
def test_higher_quality_is_better_in_every_database(installed, name):
    scale = catalog.CATALOG[name].scale
    best, worst = scale.highest, scale.lowest
    if name in {"live_iqa", "live_iqa/raw", "csiq"}:  # DMOS
        best, worst = worst, best
    assert (scale.quality(best), scale.quality(worst)) == (1, 0)
    assert scale.quality((best + worst) / 2) == pytest.approx(0.5)


# Forms in which a release lies on the disk


@pytest.fixture(scope="module")
def small_kadid(tmp_path_factory):
    """A part of KADID-10k: two references, 250 pictures."""
    folder = tmp_path_factory.mktemp("small") / "kadid10k"
    whole = made_up.kadid(tmp_path_factory.mktemp("whole"))
    lines = (whole / "dmos.csv").read_text().splitlines()
    kept = [lines[0], *(line for line in lines[1:] if line[:3] in {"I01", "I02"})]
    for path in itertools.chain(*(whole.glob(f"images/I0{number}*") for number in (1, 2))):
        made_up.write(folder, f"images/{path.name}", path.read_bytes())
    made_up.write(folder, "dmos.csv", "\n".join(kept))
    return folder


def small_ids(root, manual_dir):
    table = datasets.read_table(
        "kadid10k", split="rated", data_dir=root, manual_dir=manual_dir, partial=True
    )
    return sorted(table["image_id"])


@pytest.mark.parametrize("form", ["zip", "zip itself", "in a folder"])
def test_archives_are_read_as_they_are(small_kadid, tmp_path, form):
    packed = tmp_path / "packed"
    packed.mkdir()
    if form.startswith("zip"):
        made_up.zipped(small_kadid, packed / "kadid10k.zip", inside="kadid10k/")
    else:
        made_up.copied(small_kadid, packed / "download" / "KADID-10k")
    manual_dir = packed / "kadid10k.zip" if form == "zip itself" else packed
    assert small_ids(tmp_path / "built", manual_dir) == small_ids(tmp_path / "again", small_kadid)
    assert len(small_ids(tmp_path / "built", manual_dir)) == 250


def test_several_archives_make_one_database(releases, tmp_path):
    release = releases("csiq")
    made_up.zipped(release / "src_imgs", tmp_path / "src_imgs.zip")
    made_up.zipped(release / "dst_imgs", tmp_path / "dst_imgs.zip", inside="dst_imgs/")
    shutil.copy(release / "csiq.DMOS.xlsx", tmp_path)
    assert datasets.verify("csiq", manual_dir=tmp_path).rows == 866


def test_what_is_unpacked_is_taken_before_its_archive(small_kadid, tmp_path):
    folder = made_up.copied(small_kadid, tmp_path / "both")
    made_up.zipped(small_kadid, folder / "kadid10k.zip")
    with database_files.DatabaseFiles(folder) as files:
        assert files.archive_of("images/I01.png") is None
        assert files.read("images/i01.PNG") == (small_kadid / "images/I01.png").read_bytes()


def test_what_macos_adds_to_archives_is_passed_over(small_kadid, tmp_path):
    folder = made_up.copied(small_kadid, tmp_path / "from a mac")
    made_up.write(folder, "__MACOSX/images/._I01.png", b"noise")
    made_up.write(folder, "__MACOSX/images/I01.png", b"noise")
    made_up.write(folder, "images/._I01.png", b"noise")
    with database_files.DatabaseFiles(folder) as files:
        assert len(files) == 253
        assert files.read("images/I01.png") == made_up.picture(5, "png")


@pytest.mark.parametrize("name", ["tid2013.rar", "tid2013.7z", "TID2013.TAR.GZ"])
def test_an_archive_that_a_person_has_to_unpack_is_named(tmp_path, name):
    made_up.write(tmp_path, name, b"packed")
    [problem] = datasets.verify("tid2013", manual_dir=tmp_path).problems
    assert problem.endswith(f"unpack {name!r} into this folder first.")
    with pytest.raises(ValueError, match=rf"Unpack '.*{name}' into a folder, and name that"):
        datasets.verify("tid2013", manual_dir=tmp_path / name)


def test_files_are_found_in_any_case_and_never_guessed(tmp_path):
    made_up.write(tmp_path, "A/Images/ONE.bmp", b"1")
    made_up.write(tmp_path, "A/images2/one.bmp", b"2")
    made_up.write(tmp_path, "B/other/two.bmp", b"3")
    made_up.write(tmp_path, "B/other/TWO.BMP", b"4")
    made_up.write(tmp_path, "C/größe.bmp", b"5")
    made_up.write(tmp_path, "D/a/images/three.bmp", b"6")
    made_up.write(tmp_path, "D/b/images/three.bmp", b"7")
    with database_files.DatabaseFiles(tmp_path) as files:
        assert files.read("images/one.BMP") == b"1"
        assert files.read("other/two.bmp") == b"3"
        assert files.read("other/TWO.BMP") == b"4"
        assert files.read("gro\u0308ße.bmp") == b"5"  # o and a combining dieresis
        assert "images/four.bmp" not in files
        with pytest.raises(FileNotFoundError, match=r"'images/four.bmp' is missing in '"):
            files.read("images/four.bmp")
        with pytest.raises(ValueError, match=r"twice, as 'D/a/images/three.bmp' and as 'D/b"):
            files.read("images/three.bmp")


# The mirrors of the original tutorial


@pytest.mark.parametrize(
    ("name", "make", "module"),
    [
        ("live_iqa", made_up.live_mirror, live_builder),
        ("live_iqa/raw", made_up.live_mirror, live_builder),
        ("tid2013", made_up.tid2013_mirror, tid2013_builder),
    ],
)
def test_an_old_mirror_holds_the_database_of_its_owners(
    installed, tmp_path, monkeypatch, name, make, module
):
    folder = make(tmp_path / "unpacked")
    archive = made_up.zipped(folder, tmp_path / "mirror.zip")
    with pytest.raises(ValueError, match=r"mirror.zip' has [\d,]+ bytes and should have [17]"):
        datasets.load(name, manual_dir=archive, data_dir=tmp_path)

    monkeypatch.setattr(module, "MIRROR_SIZE", archive.stat().st_size)
    with pytest.raises(ValueError, match=r"mirror.zip' has the SHA-256 \w{64} and should have"):
        datasets.load(name, manual_dir=archive, data_dir=tmp_path)

    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "MIRROR_SHA256", digest)
    for split in installed_parts(installed, name):
        official = rows_by_id(name, installed(name), split)
        datasets.load(name, manual_dir=archive, data_dir=tmp_path)
        mirrored = rows_by_id(name, tmp_path, split)
        assert official.keys() == mirrored.keys()
        for image_id, row in official.items():
            other = mirrored[image_id]
            if name == "tid2013":
                assert math.isnan(other.pop("score_std"))
                row.pop("score_std")
            assert row == other


def installed_parts(installed, name):
    counts = catalog.CATALOG[name].counts
    installed(name)
    return counts


def test_the_checksums_of_the_mirrors_are_those_of_the_data_page():
    page = Path(__file__).resolve().parents[1] / "book" / "data.md"
    text = page.read_text(encoding="utf-8")
    for module in (live_builder, tid2013_builder):
        assert module.MIRROR_SHA256 in text
        assert f"{module.MIRROR_SIZE:,} bytes" in text


# Faults


def spoilt(release, tmp_path, spoil):
    folder = made_up.copied(release, tmp_path / "spoilt")
    spoil(folder)
    return folder


def replace_in(name, old, new, count=1):
    def spoil(folder):
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, count))

    return spoil


def cut_short(name):
    def spoil(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) * 2 // 3])

    return spoil


def remove(name):
    return lambda folder: (folder / name).unlink()


def change_sheet(change):
    def spoil(folder):
        path = folder / "csiq.DMOS.xlsx"
        book = openpyxl.load_workbook(path)
        change(book["all_by_image"])
        book.save(path)

    return spoil


def other_size(name):
    kind = name.rsplit(".", 1)[-1]
    return lambda folder: (folder / name).write_bytes(made_up.picture(9, kind, (9, 9)))


def fewer_entries(folder):
    path = folder / "dmos_realigned.mat"
    content = {key: value for key, value in scipy.io.loadmat(path).items() if key[0] != "_"}
    scipy.io.savemat(path, content | {"dmos_new": content["dmos_new"][:, :-1]})


FAULTS = [
    # name, how to spoil its files, words of the message
    ("kadid10k", remove("images/I07_03_02.png"), r"'images/I07_03_02.png' is missing in '"),
    ("kadid10k", remove("images/I07.png"), r"'images/I07.png' is missing in '"),
    ("kadid10k", cut_short("images/I07_03_02.png"), r"'images/I07_03_02.png' is damaged and can"),
    (
        "kadid10k",
        other_size("images/I07_03_02.png"),
        r"'images/I07_03_02.png' has 9 x 9 pixels and",
    ),
    (
        "kadid10k",
        lambda folder: made_up.write(folder, "images/I07.png", b"words"),
        r"'images/I07.png' is not a picture file of a known kind",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "I01_01_02.png,I01.png,3.50,0.64", "I01_01_02.png,I01.png"),
        r"line 3 of 'dmos.csv' is too short: dmos, var is missing",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "I01_01_02.png,I01.png,3.50", "I01_01_02.png,I01.png,good"),
        r"line 3 of 'dmos.csv': dmos is 'good', which is no number",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "I01_01_02.png,I01.png,3.50", "I01_01_02.png,I01.png,nan"),
        r"line 3 of 'dmos.csv': dmos is 'nan', which is no number",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "I01_01_02.png,I01.png,3.50", "I01_01_02.png,I01.png,5.01"),
        r"line 3 of 'dmos.csv': the score 5.01 is outside of the scale, 1 to 5",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "I01_01_02.png,I01.png,3.50,0.64", "I01_01_02.png,I01.png,3.5,-1"),
        r"line 3 of 'dmos.csv': var is -1, and a variance is never negative",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "I01_01_02.png", "I01_01_01.png"),
        r"line 3 of 'dmos.csv': 'I01_01_01' is there already, in line 2 of 'dmos.csv'",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "I01_01_02.png,I01.png,3.50,0.64\n", "", 1),
        r"kadid10k has 10,124 rows in the part 'rated', and the release has 10,125",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "I01_01_02.png", "picture.png"),
        r"line 3 of 'dmos.csv': 'picture.png' is no name such as I01_02_03.png",
    ),
    (
        "kadid10k",
        replace_in("dmos.csv", "var", "std"),
        r"'dmos.csv' has no column var; it has dist",
    ),
    (
        "kadid10k",
        lambda folder: (folder / "dmos.csv").write_bytes(b"\xff\xfe\x00d"),
        r"'dmos.csv' is not a text file in UTF-8",
    ),
    ("kadid10k", remove("dmos.csv"), r"'dmos.csv' is missing in '"),
    (
        "live_iqa",
        remove("dmos_realigned.mat"),
        r"'dmos_realigned.mat' is missing in '.*': it is a separate file at https://live.*'live_iqa/raw'",
    ),
    ("live_iqa", remove("refnames_all.mat"), r"'refnames_all.mat' is missing in"),
    ("live_iqa", fewer_entries, r"LIVE's score files have 981, 982 rows, and should have 982 each"),
    ("live_iqa", cut_short("dmos_realigned.mat"), r"'dmos_realigned.mat' is damaged or no MATLAB"),
    (
        "live_iqa",
        lambda folder: shutil.copy(folder / "dmos.mat", folder / "dmos_realigned.mat"),
        r"'dmos_realigned.mat' has no variable dmos_new, dmos_std",
    ),
    ("live_iqa", remove("gblur/img174.bmp"), r"'gblur/img174.bmp' is missing in"),
    ("live_iqa", cut_short("gblur/img174.bmp"), r"'gblur/img174.bmp' is damaged and cannot"),
    (
        "tid2013",
        replace_in("mos_with_names.txt", "5.98000 i01_02_2.bmp", "5.98000"),
        r"line 7 of 'mos_with_names.txt' is '5.98000', and should be a score and a name",
    ),
    (
        "tid2013",
        replace_in("mos_with_names.txt", "5.99000 i01_01_2.bmp", "5.99000 i01_25_2.bmp"),
        r"line 2 of 'mos_with_names.txt': 'i01_25_2.bmp' has distortion 25, and there are only 24",
    ),
    (
        "tid2013",
        replace_in("mos_std.txt", "0.11000\n", "", 1),
        r"mos_with_names.txt has 3,000 rows and mos_std.txt has 2,999",
    ),
    (
        "tid2008",
        replace_in("mos_with_names.txt", "5.99000 i01_01_2.bmp", "good i01_01_2.bmp"),
        r"line 2 of 'mos_with_names.txt': the score is 'good', which is no number",
    ),
    (
        "csiq",
        change_sheet(lambda sheet: sheet.cell(7, 9).__setattr__("value", None)),
        r"row 7 of 'csiq.DMOS.xlsx' is too short: dmos is missing",
    ),
    (
        "csiq",
        change_sheet(lambda sheet: sheet.cell(7, 9).__setattr__("value", "n/a")),
        r"row 7 of 'csiq.DMOS.xlsx': dmos is 'n/a', which is no number",
    ),
    (
        "csiq",
        change_sheet(lambda sheet: sheet.cell(7, 6).__setattr__("value", "fog")),
        r"row 7 of 'csiq.DMOS.xlsx': dst_type is 'fog', and should be one of noise, jpeg",
    ),
    (
        "csiq",
        change_sheet(lambda sheet: sheet.__setattr__("title", "another")),
        r"'csiq.DMOS.xlsx' has no sheet 'all_by_image': all_by_distortion, another",
    ),
    (
        "csiq",
        change_sheet(lambda sheet: sheet.cell(4, 4).__setattr__("value", "picture")),
        r"'csiq.DMOS.xlsx' has no row with the titles image, dst_type",
    ),
    ("csiq", cut_short("csiq.DMOS.xlsx"), r"'csiq.DMOS.xlsx' is damaged or no spreadsheet"),
]


@pytest.mark.parametrize(("name", "spoil", "words"), FAULTS)
def test_a_fault_is_named_and_nothing_is_left_behind(releases, tmp_path, name, spoil, words):
    folder = spoilt(releases(name), tmp_path, spoil)
    root = tmp_path / "built"
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        datasets.load(name, manual_dir=folder, data_dir=root)
    left = {path.name for path in root.rglob("*") if path.is_file() and path.parent.name[0] != "."}
    assert left <= {".lock"}  # TFDS notes its configurations in .config
    assert not list(root.rglob("*incomplete*"))
    # `verify` says the same, and does not stop at pictures.
    report = datasets.verify(name, manual_dir=folder)
    assert not report.ok
    assert any(re.search(words, problem) for problem in report.problems), report


def test_a_file_of_biq2021_that_is_not_the_published_one_is_named(releases, own_manifest, tmp_path):
    folder = made_up.copied(releases("biq2021"), tmp_path / "spoilt")
    made_up.write(folder, "Images/ss01 (9).jpg", made_up.picture(10, "jpg"))
    made_up.write(folder, "Images/ss01 (7).jpg", (folder / "Images/ss01 (8).jpg").read_bytes())
    with pytest.raises(ValueError, match=r"'Images/ss01 \([79]\).jpg' has (another|[\d,]+ bytes)"):
        datasets.load("biq2021", manual_dir=folder, data_dir=tmp_path)
    problems = datasets.verify("biq2021", manual_dir=folder).problems
    assert len(problems) == 2
    assert all("ss01 (7)" in problem or "ss01 (9)" in problem for problem in problems)


def test_archives_that_are_damaged_or_protected_are_named(small_kadid, tmp_path):
    archive = made_up.zipped(small_kadid, tmp_path / "kadid10k.zip")
    content = archive.read_bytes()
    archive.write_bytes(content[:-20])
    with pytest.raises(ValueError, match=r"archive '.*kadid10k.zip' is damaged or not whole"):
        datasets.verify("kadid10k", manual_dir=archive)
    # One bit of the flags of each file says that it is encrypted.
    protected = bytearray(content_of_zip := made_up.zipped(small_kadid, archive).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content_of_zip.find(signature)
        while start >= 0:
            protected[start + offset] |= 1
            start = content_of_zip.find(signature, start + 1)
    archive.write_bytes(protected)
    report = datasets.verify("kadid10k", manual_dir=archive)
    assert re.search(r"kadid10k.zip' is protected by a password: unpack it", report.problems[0])
    made_up.write(tmp_path, "kadid10k.txt", b"words")
    with pytest.raises(ValueError, match=r"kadid10k.txt' is neither a folder nor a zip archive"):
        datasets.verify("kadid10k", manual_dir=tmp_path / "kadid10k.txt")


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "biq2021"])
def test_the_instructions_are_shown_whole_where_the_files_are_missing(tmp_path, name):
    database = catalog.CATALOG[name]
    for manual_dir in (None, tmp_path / "elsewhere"):
        with pytest.raises(FileNotFoundError) as caught:
            datasets.load(name, data_dir=tmp_path, manual_dir=manual_dir)
        message = str(caught.value)
        assert str(manual_dir or tmp_path / "manual" / database.builder) in message
        for words in (database.home, database.terms, database.files, "manual_dir"):
            assert words in message
    (tmp_path / "manual" / database.builder).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="is empty"):
        datasets.verify(name, data_dir=tmp_path)


def test_the_instructions_are_those_that_tfds_shows(releases):
    assert kadid_builder.Builder.MANUAL_DOWNLOAD_INSTRUCTIONS.startswith("KADID-10k comes from")
    assert "openpyxl" not in csiq_builder.Builder.MANUAL_DOWNLOAD_INSTRUCTIONS


def test_files_in_the_usual_place_are_found(small_kadid, tmp_path):
    made_up.copied(small_kadid, tmp_path / "manual" / "kadid10k")
    assert len(datasets.load("kadid10k", split="rated", data_dir=tmp_path, partial=True)) == 250


# Where a build can go wrong


def test_a_partial_copy_is_only_taken_when_asked_for(small_kadid, tmp_path):
    with pytest.raises(
        ValueError, match=r"has 250 rows in the part 'rated'.*has 2 references, and"
    ):
        datasets.load("kadid10k", manual_dir=small_kadid, data_dir=tmp_path)
    loaded = datasets.load(
        "kadid10k", split="rated", manual_dir=small_kadid, data_dir=tmp_path, partial=True
    )
    assert len(loaded) == 250
    assert not datasets.verify("kadid10k", manual_dir=small_kadid).ok
    (small_kadid.parent / "kadid10k").exists()
    report = datasets.verify("kadid10k", manual_dir=small_kadid, partial=True)
    assert {problem.split(" ", 1)[1] for problem in report.problems} == {
        f"has {HEIGHT} x {WIDTH} pixels and should have 384 x 512."
    }


def test_a_copy_that_grew_is_built_anew(small_kadid, tmp_path):
    folder = made_up.copied(small_kadid, tmp_path / "growing")
    lines = (folder / "dmos.csv").read_text().splitlines()
    (folder / "dmos.csv").write_text("\n".join(lines[:-50]))
    settings = {"manual_dir": folder, "data_dir": tmp_path, "partial": True}
    assert len(datasets.load("kadid10k", split="rated", **settings)) == 200
    (folder / "dmos.csv").write_text("\n".join(lines))
    assert len(datasets.load("kadid10k", split="rated", **settings)) == 250


def test_a_full_disk_is_said_before_anything_is_written(small_kadid, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(
        OSError, match=r"Nothing was built in '.*': the disk is full \(building"
    ) as e:
        datasets.load("kadid10k", manual_dir=small_kadid, data_dir=tmp_path, partial=True)
    assert e.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
    ],
)
def test_a_disk_that_fills_up_leaves_nothing_half_made(small_kadid, tmp_path, monkeypatch, error):
    calls = itertools.count()
    example = kadid_builder.Builder.example

    def until_the_disk_is_full(self, row, files):
        if next(calls) == 100:
            raise error
        return example(self, row, files)

    settings = {"manual_dir": small_kadid, "data_dir": tmp_path, "partial": True}
    with monkeypatch.context() as patch:
        patch.setattr(kadid_builder.Builder, "example", until_the_disk_is_full)
        with pytest.raises(OSError, match=r"Nothing was built in .*the disk is full"):
            datasets.load("kadid10k", **settings)
    assert not list(tmp_path.rglob("*tfrecord*"))
    assert len(datasets.load("kadid10k", split="rated", **settings)) == 250


def test_an_interrupted_build_starts_again(small_kadid, tmp_path, monkeypatch):
    calls = itertools.count()
    example = kadid_builder.Builder.example

    def interrupted(self, row, files):
        if next(calls) == 100:
            raise KeyboardInterrupt
        return example(self, row, files)

    settings = {"manual_dir": small_kadid, "data_dir": tmp_path, "partial": True}
    with monkeypatch.context() as patch:
        patch.setattr(kadid_builder.Builder, "example", interrupted)
        with pytest.raises(KeyboardInterrupt):
            datasets.load("kadid10k", **settings)
    assert not list(tmp_path.rglob("*tfrecord*"))
    assert datasets.available(tmp_path)["kadid10k"].built_in_part is False
    assert len(datasets.load("kadid10k", split="rated", **settings)) == 250
    here = datasets.available(tmp_path)
    assert (here["kadid10k"].built, here["kadid10k"].built_in_part) == (False, True)
    assert "in part" in str(here)


def test_what_is_read_ahead_comes_in_its_order():
    def slow_at_first(number):
        time.sleep(0.01 if number % 8 == 0 else 0)
        return number

    assert list(shared_builder.ahead(slow_at_first, range(100))) == list(range(100))


def test_reading_ahead_is_bounded():
    read = []
    examples = shared_builder.ahead(lambda number: read.append(number) or number, range(1000))
    for number in range(5):
        assert next(examples) == number
        assert len(read) <= number + 1 + shared_builder.AHEAD
    examples.close()
    assert len(read) <= 5 + shared_builder.AHEAD


def test_the_first_faulty_item_is_reported_though_a_later_one_fails_sooner():
    def example(number):
        if number == 3:
            time.sleep(0.05)
        if number >= 3:
            raise ValueError(f"row {number}")
        return number

    examples = shared_builder.ahead(example, range(100))
    assert [next(examples) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="row 3"):
        next(examples)


def test_an_interrupt_gives_up_what_has_not_begun():
    begun = []

    def example(number):
        begun.append(number)
        if number == 0:
            raise KeyboardInterrupt
        time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt):
        list(shared_builder.ahead(example, range(1000)))
    after = len(begun)
    assert after <= shared_builder.AHEAD + 1
    time.sleep(0.2)
    assert len(begun) == after


def test_threads_may_read_one_archive_at_once(small_kadid, tmp_path):
    archive = made_up.zipped(small_kadid, tmp_path / "kadid10k.zip")
    names = [path.name for path in (small_kadid / "images").iterdir()] * 4
    with database_files.DatabaseFiles(archive) as files, ThreadPoolExecutor(8) as pool:
        for name, content in zip(names, pool.map(files.read, names), strict=True):
            assert content == (small_kadid / "images" / name).read_bytes()


def test_a_folder_that_cannot_be_written_is_named(small_kadid, tmp_path, monkeypatch):
    made_up.write(tmp_path, "a file", b"")
    with pytest.raises(
        OSError, match=r"Nothing was built in '.*a file.*': a part of its path is a"
    ):
        datasets.load(
            "kadid10k", manual_dir=small_kadid, data_dir=tmp_path / "a file", partial=True
        )

    def refuse(self, *arguments, **settings):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(storage.Path, "mkdir", refuse)
    with pytest.raises(
        OSError, match=r"you may not write there \(Permission denied\). Pass another folder"
    ):
        datasets.load("kadid10k", manual_dir=small_kadid, data_dir=tmp_path / "b", partial=True)


def test_a_picture_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    folder = made_up.own_folder(tmp_path / "own")
    read = Path.read_bytes

    def refuse(path):
        if path.name == "bild 1.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(database_files.Path, "read_bytes", refuse)
    words = r"'été 2024/bild 1.png' in '.*own' cannot be read: Permission denied"
    with pytest.raises(ValueError, match=words):
        datasets.load("folder_iqa", manual_dir=folder, data_dir=tmp_path, scale=(1, 5))
    [problem] = datasets.verify("folder_iqa", manual_dir=folder, scale=(1, 5)).problems
    assert re.match(words, problem)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_a_read_only_folder_is_named(small_kadid, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(OSError, match="you may not write there"):
        datasets.load("kadid10k", manual_dir=small_kadid, data_dir=folder, partial=True)


def test_files_that_may_not_be_changed_are_enough(small_kadid, tmp_path):
    folder = made_up.copied(small_kadid, tmp_path / "read only")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(folder.rglob("*"))
    assert len(small_ids(tmp_path / "built", folder)) == 250
    assert sorted(folder.rglob("*")) == before


# A folder of one's own


def test_a_folder_of_ones_own_with_references(tmp_path):
    folder = made_up.own_folder(tmp_path / "mes images à moi")
    settings = {"manual_dir": folder, "data_dir": tmp_path / "built", "scale": (1, 5)}
    parts = datasets.load("folder_iqa", **settings)
    assert {name: len(part) for name, part in parts.items()} == {"train": 4, "test": 2}
    table = datasets.read_table("folder_iqa", split="train+test", **settings)
    rows = dict(zip(table["image_id"], zip(*table.values(), strict=True), strict=True))
    assert set(rows) == {
        f"été 2024/bild {number}.{('jpg', 'png', 'bmp')[number % 3]}" for number in range(6)
    }
    row = dict(zip(table, rows["été 2024/bild 5.bmp"], strict=True))
    assert row["score"] == 3.5
    assert row["quality"] == pytest.approx(0.625)
    assert row["reference_id"] == "referenz/größe 2.png"
    assert (row["distortion"], row["level"]) == ("blur", 1)
    for example in parts["train"].as_numpy_iterator():
        path = folder / example["image_id"].decode()
        np.testing.assert_array_equal(example["distorted_image"], read_image(path))
        np.testing.assert_array_equal(
            example["reference_image"], read_image(folder / example["reference_id"].decode())
        )


def test_a_folder_without_references_and_a_score_that_runs_down(tmp_path):
    folder = made_up.own_folder(tmp_path / "own", references=False)
    settings = {"manual_dir": folder, "data_dir": tmp_path, "scale": (0, 4)}
    loaded = datasets.load("folder_iqa", split="rated", higher_is_better=False, **settings)
    assert "reference_image" not in loaded.element_spec
    for example in loaded.as_numpy_iterator():
        assert example["quality"] == pytest.approx(1 - example["score"] / 4)
        assert example["reference_id"] == example["image_id"]
    other_way = datasets.load("folder_iqa", split="rated", **settings)
    for example in other_way.as_numpy_iterator():
        assert example["quality"] == pytest.approx(example["score"] / 4)


@pytest.mark.parametrize("kind", ["turned", "transparent", "16 bits", "palette", "cmyk", "tiff"])
def test_pictures_of_any_kind_come_out_as_read_image_shows_them(tmp_path, kind, rng):
    pixels = Image.fromarray(rng.integers(0, 256, (20, 31, 3), np.uint8))
    name = {"turned": "a.jpg", "cmyk": "a.jpg", "tiff": "a.tif"}.get(kind, "a.png")
    path = tmp_path / "own" / name
    path.parent.mkdir()
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        pixels.save(path, exif=exif)
    elif kind == "transparent":
        pixels.putalpha(90)
        pixels.save(path)
    elif kind == "16 bits":
        Image.fromarray(rng.integers(0, 65536, (20, 31), np.uint16)).save(path)
    elif kind == "palette":
        pixels.quantize(16).save(path)
    else:
        pixels.convert("CMYK" if kind == "cmyk" else "RGB").save(path)
    made_up.write(tmp_path / "own", "scores.csv", f"image,score\n{name},0.5\n")
    loaded = datasets.load(
        "folder_iqa", split="rated", manual_dir=tmp_path / "own", data_dir=tmp_path
    )
    [example] = loaded.as_numpy_iterator()
    np.testing.assert_array_equal(example["distorted_image"], read_image(path))


@pytest.mark.parametrize(
    ("table", "settings", "words"),
    [
        ("image,score\nbild.jpg,2\n", {}, r"line 2 of 'scores.csv': the score 2 is outside of the"),
        (
            "picture,score\nbild.jpg,1\n",
            {},
            r"'scores.csv' has no column image; it has picture, sc",
        ),
        ("image,score\n", {}, r"folder_iqa has no rows"),
        ("", {}, r"'scores.csv' has no column image, score; it has none"),
        (
            "image,score\nbild.jpg,1,2\n",
            {},
            r"line 2 of 'scores.csv' has more cells than titles: '2'",
        ),
        (
            "image,score\nbild.jpg,1\nbild.jpg,1\n",
            {},
            r"line 3 .*'bild.jpg' is there already, in line 2",
        ),
        (
            "image,score,level\nbild.jpg,1,1.5\n",
            {},
            r"line 2 of 'scores.csv': level is '1.5', which is no whole number",
        ),
        (
            "image,score,split\nbild.jpg,1,a/b\n",
            {},
            r"line 2 of 'scores.csv': split is 'a/b'; name a part with letters",
        ),
        ("image,score,split\nbild.jpg,1,all\n", {}, r"split is 'all'; name .*and not 'all'"),
        ("image,score\nbild 2.jpg,1\n", {}, r"'bild 2.jpg' is missing in"),
        ("image,score,score\nbild.jpg,1,1\n", {}, r"'scores.csv' has the column 'score' twice"),
        ("image,score,reference\nbild.jpg,1,\n", {}, r"line 2 of .*: the reference is missing"),
        (
            "image,score,level\nbild.jpg,1,low\n",
            {},
            r"line 2 of 'scores.csv': level is 'low', which",
        ),
        (
            "image,score\nbild.jpg,1\n",
            {"scale": (5, 1)},
            r"scale must be the lowest and the highest sc",
        ),
        ("image,score\nbild.jpg,1\n", {"scores": "mos.csv"}, r"'mos.csv' is missing in"),
    ],
)
def test_a_fault_in_ones_own_table_is_named(tmp_path, table, settings, words):
    made_up.write(tmp_path / "own", "bild.jpg", made_up.picture(4, "jpg"))
    made_up.write(tmp_path / "own", "scores.csv", table)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        datasets.load("folder_iqa", manual_dir=tmp_path / "own", data_dir=tmp_path, **settings)


def test_only_a_folder_of_ones_own_takes_a_scale(tmp_path):
    with pytest.raises(TypeError, match=r"tid2013 takes no scale: only folder_iqa does"):
        datasets.load("tid2013", data_dir=tmp_path, scale=(0, 9))


# Choosing references, shuffling


def test_pictures_of_some_references_only(installed):
    root = installed("csiq")
    table = datasets.read_table("csiq", split="rated", data_dir=root)
    train, test = datasets.split_by_reference(table["reference_id"], (80, 20), seed=0)
    loaded = datasets.load("csiq", split="rated", references=test, data_dir=root)
    found = Counter(example["reference_id"].decode() for example in loaded.as_numpy_iterator())
    assert found == Counter(name for name in table["reference_id"] if name in test)
    assert len(loaded) == sum(found.values())
    rest = datasets.load("csiq", split="rated", references=train, data_dir=root)
    assert len(rest) + len(loaded) == 866


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"split": "rated", "references": ["1600", "scene77"]},
            r"no picture of the reference 'scene77'",
        ),
        ({"split": "rated", "references": []}, r"references is empty: name at least one"),
        ({"references": ["1600"]}, r"references needs a split"),
        ({"split": "train"}, r"csiq has no split 'train'; it has rated"),
        ({"split": "rated+test[:3]"}, r"csiq has no split 'rated\+test\[:3\]'; it has rated"),
    ],
)
def test_references_and_splits_that_are_not_there_are_named(installed, settings, words):
    with pytest.raises(ValueError, match=words):
        datasets.load("csiq", data_dir=installed("csiq"), **settings)


def test_a_seed_shuffles_anew_in_every_pass_and_alike_in_every_run(installed):
    def passes():
        tf.random.set_seed(0)
        loaded = datasets.load("csiq", split="rated", seed=3, data_dir=installed("csiq")).map(
            lambda features: features["image_id"]
        )
        return [list(loaded.as_numpy_iterator()) for _ in range(2)]

    first, second = passes()
    assert first != second
    assert sorted(first) == sorted(second)
    assert passes() == [first, second]


def test_neighbours_on_the_disk_are_mixed(installed):
    table = datasets.read_table("kadid10k", split="rated", data_dir=installed("kadid10k"))
    for start in range(0, 10000, 500):
        assert len(set(table["reference_id"][start : start + 500])) > 70
        assert len(set(table["distortion"][start : start + 500])) == 25


# The list


def test_available_prints_a_table_of_all_databases(installed, tmp_path):
    here = datasets.available(installed("csiq"))
    nowhere = datasets.available(tmp_path)
    assert here["csiq"].built
    assert not any(nowhere[name].built for name in nowhere if name != "sample_iqa")
    text = str(here)
    markdown = here._repr_markdown_()
    for name, entry in here.items():
        assert name in text
        line = next(line for line in markdown.splitlines() if line.startswith(f"| {name} |"))
        assert entry.database.home in line
        assert entry.database.terms in line
        better = "higher" if entry.database.scale.higher_is_better else "lower"
        assert f"| {better if name != 'folder_iqa' else 'yours'} |" in line
    assert "779 (203 pristine left out)" in markdown
    assert "10,000 train, 2,000 test" in markdown


def test_looking_what_is_available_loads_no_tensorflow():
    code = "from diqa_utils import datasets; datasets.available()"
    code += "; import sys; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_database_has_a_builder_in_the_layout_of_tfds():
    folder = Path(datasets.__file__).parent
    names = {database.builder for database in catalog.CATALOG.values()}
    for name in names:
        for file in ("README.md", "CITATIONS.bib", "TAGS.txt", "__init__.py"):
            assert (folder / name / file).is_file(), (name, file)
        assert (folder / name / f"{name}_dataset_builder.py").is_file()
        assert (folder / name / f"{name}_dataset_builder_test.py").is_file()
    assert {path.parent.name for path in folder.glob("*/*_dataset_builder.py")} == names


def test_counts_of_references_are_checked():
    database = replace(catalog.CATALOG["csiq"], splits={"rated": 1})
    row = Row("row 1", "a.png", "a", "r", "blur", 1, 0.5, reference="r.png")
    assert list(count_problems([row], database)) == [
        "csiq has 1 references, and the release has 30."
    ]


def test_the_mpo_and_the_picture_of_another_size_are_there(installed):
    loaded = datasets.load("biq2021", split="train", data_dir=installed("biq2021"))
    wanted = {b"ss01 (3)": (10, 6, 3), b"ss01 (4)": (HEIGHT, WIDTH, 3)}
    shapes = {
        example["image_id"]: example["distorted_image"].shape
        for example in loaded.as_numpy_iterator()
        if example["image_id"] in wanted
    }
    assert shapes == wanted
    with Image.open(io.BytesIO(made_up.mpo())) as image:
        assert image.n_frames == 2


def test_the_reason_of_a_damaged_file_is_one_that_people_can_read(tmp_path):
    folder = made_up.own_folder(tmp_path / "own")
    for name in ("bild 0.jpg", "bild 1.png", "bild 2.bmp"):
        content = (folder / "été 2024" / name).read_bytes()
        made_up.write(folder, f"été 2024/{name}", content[:-20])
    report = datasets.verify("folder_iqa", manual_dir=folder, scale=(1, 5))
    assert len(report.problems) == 3
    for problem in report.problems:
        assert re.fullmatch(
            r"'été 2024/bild \d.\w+' is damaged and cannot be decoded: [^{}\[\]\n]+", problem
        )
