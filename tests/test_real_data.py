"""The readers against real score files and pictures, where DIQA_DATA_DIR says that they are."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from benchmarks import real_data
from diqa_utils import datasets, read_image
from diqa_utils.datasets import storage
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.rows import check_rows
from diqa_utils.metrics import srcc

DATA = real_data.folder() or Path("/nowhere")
METADATA = DATA / "official-metadata"
BIQ = DATA / "biq2021"

pytestmark = pytest.mark.skipif(
    not (METADATA.is_dir() and BIQ.is_dir()), reason="DIQA_DATA_DIR names no folder of real data"
)


def rows_of(name, folder, tmp_path):
    builder = storage.make_builder(name, tmp_path)
    with DatabaseFiles(METADATA / folder) as files:
        rows = builder.read_rows(files)
    check_rows(rows, builder.database, complete=True)
    return rows


@pytest.mark.parametrize(
    ("name", "lowest", "highest"), [("live_iqa", -2.64, 111.77), ("live_iqa/raw", 17.90, 84.49)]
)
def test_live(name, lowest, highest, tmp_path):
    rows = rows_of(name, "live", tmp_path)
    rated = [row for row in rows if not row.flagged]
    assert (len(rows), len(rated)) == (982, 779)
    assert Counter(row.distortion for row in rated) == {
        "jpeg2000": 169,
        "jpeg": 175,
        "white_noise": 145,
        "gaussian_blur": 145,
        "fast_fading": 145,
    }
    assert Counter(row.distortion for row in rows if row.flagged) == {
        "jpeg2000": 58,
        "jpeg": 58,
        "white_noise": 29,
        "gaussian_blur": 29,
        "fast_fading": 29,
    }
    assert len({row.reference_id for row in rated}) == 29
    scores = [row.score for row in rated]
    assert (min(scores), max(scores)) == pytest.approx((lowest, highest), abs=0.005)
    files = {
        key: scipy.io.loadmat(METADATA / "live" / f"{key}.mat")
        for key in ("dmos", "dmos_realigned", "refnames_all")
    }
    column = files["dmos"]["dmos"] if name.endswith("raw") else files["dmos_realigned"]["dmos_new"]
    np.testing.assert_array_equal([row.score for row in rows], column[0])
    np.testing.assert_array_equal([row.flagged for row in rows], files["dmos"]["orgs"][0] == 1)
    names = [cell[0].removesuffix(".bmp") for cell in files["refnames_all"]["refnames_all"][0]]
    assert [row.reference_id for row in rows] == names
    assert rows[227].distorted == "jpeg/img1.bmp"
    assert rows[-1].distorted == "fastfading/img174.bmp"


def test_the_two_scores_of_live_agree_as_published(tmp_path):
    first, realigned = (
        {row.image_id: row.score for row in rows_of(name, "live", tmp_path) if not row.flagged}
        for name in ("live_iqa/raw", "live_iqa")
    )
    pairs = [(score, realigned[image_id]) for image_id, score in first.items()]
    assert srcc(*zip(*pairs, strict=True)) == pytest.approx(0.957, abs=0.0005)


def test_tid2013(tmp_path):
    rows = rows_of("tid2013", "tid2013", tmp_path)
    assert len(rows) == 3000
    assert sum(row.flagged for row in rows) == 120
    assert set(Counter(row.distortion for row in rows).values()) == {125}
    lines = (METADATA / "tid2013/mos_with_names.txt").read_text().split("\n")
    listed = dict(reversed(line.split()) for line in lines if line.strip())
    assert {row.distorted.split("/")[1] for row in rows} == set(listed)
    for row in rows:
        assert row.score == float(listed[row.distorted.split("/")[1]])
    spreads = np.loadtxt(METADATA / "tid2013/mos_std.txt")
    np.testing.assert_array_equal([row.score_std for row in rows], spreads)
    assert {row.image_id[0] for row in rows} == {"i"}
    assert {name.rsplit(".")[1] for name in listed} == {"bmp", "BMP"}
    for level in range(1, 5):  # the direction: noise gets worse from level to level
        means = [
            np.mean([r.score for r in rows if (r.distortion, r.level) == ("white_noise", n)])
            for n in (level, level + 1)
        ]
        assert means[0] > means[1]


def test_kadid10k(tmp_path):
    rows = rows_of("kadid10k", "kadid10k", tmp_path)
    assert len(rows) == 10125
    assert len({row.reference_id for row in rows}) == 81
    assert set(Counter(row.distortion for row in rows).values()) == {405}
    with open(METADATA / "kadid10k/dmos.csv", newline="") as file:
        listed = {line["dist_img"]: line for line in csv.DictReader(file)}
    for row in rows:
        line = listed[f"{row.image_id}.png"]
        assert row.score == float(line["dmos"])
        assert row.score_std**2 == pytest.approx(float(line["var"]))
        assert row.reference == f"images/{line['ref_img']}"
    means = [np.mean([row.score for row in rows if row.level == level]) for level in range(1, 6)]
    assert np.all(np.diff(means) < 0)  # higher is better, whatever the column is called


@pytest.fixture(scope="module")
def biq_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("biq2021")
    datasets.load("biq2021", manual_dir=BIQ, data_dir=root, partial=True)
    return root


def test_all_of_biq2021_is_there_with_its_scores(biq_root):
    settings = {"split": "train", "manual_dir": BIQ, "data_dir": biq_root, "partial": True}
    with open(BIQ / "Train (Images and MOS).csv", newline="") as file:
        listed = {
            line["Image Name"].rsplit(".", 1)[0]: float(line["MOS"])
            for line in csv.DictReader(file)
        }
    assert len(listed) == 5500
    loaded = {}
    sizes = Counter()
    for example in datasets.load("biq2021", **settings).as_numpy_iterator():
        loaded[example["image_id"].decode()] = float(example["score"])
        sizes[example["distorted_image"].shape] += 1
    assert loaded.keys() == listed.keys()
    assert all(loaded[name] == np.float32(score) for name, score in listed.items())
    assert sizes.most_common(1)[0][0] == (512, 512, 3)
    table = datasets.read_table("biq2021", **settings)
    assert dict(zip(table["image_id"], table["score"], strict=True)) == listed


def test_pictures_of_biq2021_are_those_that_read_image_shows(biq_root):
    settings = {"split": "train[:100]", "manual_dir": BIQ, "data_dir": biq_root, "partial": True}
    paths = {path.stem: path for path in (BIQ / "Images").iterdir()}
    for example in datasets.load("biq2021", **settings).as_numpy_iterator():
        expected = read_image(paths[example["image_id"].decode()])
        np.testing.assert_array_equal(example["distorted_image"], expected)


def test_verify_finds_nothing_wrong_with_the_part_of_biq2021():
    report = datasets.verify("biq2021", manual_dir=BIQ, partial=True)
    print(report)
    assert report.ok
    assert (report.rows, report.pictures) == (5500, 5500)
