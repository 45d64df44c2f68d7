"""Score files and archives that are damaged at random are read, or refused in a sentence."""

import io
import zipfile

import numpy as np
import openpyxl
import pytest
import scipy.io

from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.matlab import read_variables
from diqa_utils.datasets.rows import to_number
from diqa_utils.datasets.tables import parse_table
from tests.fuzz.mutations import mutated, refused

COLUMNS = {"image": "image", "score": "score"}
ROWS = [("image", "score"), *((f"bild {number}.png", number / 40) for number in range(40))]


def matlab_file(file):
    scipy.io.savemat(file, {"dmos": np.linspace(-3, 112, 40)}, do_compression=True)


def read_matlab_file(path):
    read_variables(path.read_bytes(), path.name, ("dmos",))


def spreadsheet(file):
    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    book.save(file)


def text_table(file):
    file.write("\n".join(f"{image},{score}" for image, score in ROWS).encode())


def read_table(path):
    for place, cells in parse_table(path.read_bytes(), path.name).cells(COLUMNS, needed=COLUMNS):
        to_number(cells["score"], place=place, column="score")


def archive(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("own/scores.csv", "\n".join(map(str, ROWS)))
        zipped.writestr("own/1.png", np.random.default_rng(0).bytes(600))


def read_archive(path):
    with DatabaseFiles(path) as files:
        for name in ("scores.csv", "1.png"):
            files.read(name)


@pytest.mark.parametrize(
    ("write", "read", "name", "number"),
    [
        (matlab_file, read_matlab_file, "a.mat", 10),
        (spreadsheet, read_table, "a.xlsx", 60),
        (text_table, read_table, "a.csv", 60),
        (archive, read_archive, "a.zip", 60),
    ],
)
def test_damaged_score_files_are_refused_in_a_sentence(write, read, name, number, tmp_path, rng):
    write(sound := io.BytesIO())
    path, count = tmp_path / name, 0
    for _ in range(number):
        path.write_bytes(mutated(sound.getvalue(), rng))
        count += refused(lambda: read(path), name)
    assert count
