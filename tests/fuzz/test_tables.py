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
from diqa_utils.datasets.tables import csv_rows, parse_table
from tests.fuzz.mutations import mutated, refused

ROWS = [("image", "score"), *((f"bild {number}.png", number / 40) for number in range(40))]


def matlab_file():
    file = io.BytesIO()
    scipy.io.savemat(file, {"dmos": np.linspace(-3, 112, 40)}, do_compression=True)
    return file.getvalue()


def read_matlab_file(path):
    read_variables(path.read_bytes(), path.name, ("dmos",))


def spreadsheet():
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in ROWS:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def read_spreadsheet(path):
    parse_table(path.read_bytes(), path.name)


def text_table():
    return "\n".join(f"{image},{score}" for image, score in ROWS).encode()


def read_text_table(path):
    rows = csv_rows(path.read_bytes(), name=path.name, columns=("image", "score"))
    for place, cells in rows:
        to_number(cells["score"], place=place, column="score")


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("own/scores.csv", text_table())
        zipped.writestr("own/1.png", np.random.default_rng(0).bytes(600))
    return file.getvalue()


def read_archive(path):
    with DatabaseFiles(path) as files:
        for name in ("scores.csv", "1.png"):
            files.read(name)


@pytest.mark.parametrize(
    ("make", "read", "name", "number"),
    [
        (matlab_file, read_matlab_file, "a.mat", 10),
        (spreadsheet, read_spreadsheet, "a.xlsx", 60),
        (text_table, read_text_table, "a.csv", 60),
        (archive, read_archive, "a.zip", 60),
    ],
)
def test_damaged_score_files_are_refused_in_a_sentence(make, read, name, number, tmp_path, rng):
    sound, path, count = make(), tmp_path / name, 0
    for _ in range(number):
        path.write_bytes(mutated(sound, rng))
        count += refused(lambda: read(path), name)
    assert count
