"""The readers against real score files and pictures, where DIQA_DATA_DIR says that they are."""

import csv
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from benchmarks import real_data
from diqa_utils import datasets
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
    check_rows(rows, builder.database, complete=True)  # all counts, and the range of the scores
    return rows


def means_by_level(rows):
    levels = sorted({row.level for row in rows})
    return [np.mean([row.score for row in rows if row.level == level]) for level in levels]


@pytest.mark.parametrize(
    ("name", "file", "variable"),
    [("live_iqa", "dmos_realigned", "dmos_new"), ("live_iqa/raw", "dmos", "dmos")],
)
def test_live(name, file, variable, tmp_path):
    rows = rows_of(name, "live", tmp_path)
    files = {
        key: scipy.io.loadmat(METADATA / "live" / f"{key}.mat")
        for key in ("dmos", "dmos_realigned", "refnames_all")
    }
    np.testing.assert_array_equal([row.score for row in rows], files[file][variable][0])
    np.testing.assert_array_equal([row.flagged for row in rows], files["dmos"]["orgs"][0] == 1)
    names = [cell[0].removesuffix(".bmp") for cell in files["refnames_all"]["refnames_all"][0]]
    assert [row.reference_id for row in rows] == names
    assert rows[227].distorted == "jpeg/img1.bmp"


def test_the_two_scores_of_live_agree_as_published(tmp_path):
    first, realigned = (
        [row.score for row in rows_of(name, "live", tmp_path) if not row.flagged]
        for name in ("live_iqa/raw", "live_iqa")
    )
    assert srcc(first, realigned) == pytest.approx(0.957, abs=0.0005)


def test_tid2013(tmp_path):
    rows = rows_of("tid2013", "tid2013", tmp_path)
    lines = (METADATA / "tid2013/mos_with_names.txt").read_text().split("\n")
    listed = dict(reversed(line.split()) for line in lines if line.strip())
    scores = {row.distorted.split("/")[1]: row.score for row in rows}
    assert scores == {name: float(score) for name, score in listed.items()}
    spreads = np.loadtxt(METADATA / "tid2013/mos_std.txt")
    np.testing.assert_array_equal([row.score_std for row in rows], spreads)
    noise = means_by_level([row for row in rows if row.distortion == "white_noise"])
    assert np.all(np.diff(noise) < 0)  # higher is better


def test_kadid10k(tmp_path):
    rows = rows_of("kadid10k", "kadid10k", tmp_path)
    with open(METADATA / "kadid10k/dmos.csv", newline="") as file:
        listed = {line["dist_img"]: line for line in csv.DictReader(file)}
    for row in rows:
        line = listed[f"{row.image_id}.png"]
        assert row.score == float(line["dmos"])
        assert row.score_std**2 == pytest.approx(float(line["var"]))
        assert row.reference == f"images/{line['ref_img']}"
    assert np.all(np.diff(means_by_level(rows)) < 0)  # whatever the column is called


def test_biq2021(tmp_path):
    report = datasets.verify("biq2021", manual_dir=BIQ, partial=True)
    assert (report.ok, report.rows, report.pictures) == (True, 5500, 5500)
    with open(BIQ / "Train (Images and MOS).csv", newline="") as file:
        listed = {
            line["Image Name"].rsplit(".", 1)[0]: line["MOS"] for line in csv.DictReader(file)
        }
    builder = storage.make_builder("biq2021", tmp_path)
    builder.complete = False
    with DatabaseFiles(BIQ) as files:
        scores = {row.image_id: row.score for row in builder.read_rows(files)}
    assert scores == {name: float(score) for name, score in listed.items()}
