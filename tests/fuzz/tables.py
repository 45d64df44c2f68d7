"""Damaged score files: the library names them in a sentence, and the process lives on.

    python -m tests.fuzz.tables --number 3000

`--number` is that of MATLAB files; of spreadsheets, text tables and archives there are a third as
many each.
SciPy reads thousands of MATLAB files in one process here; those that bring it down, hang it, or
are one of fifty go through the library itself, which starts a process for each.
"""

import argparse
import io
import multiprocessing
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import openpyxl
import scipy.io

from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.matlab import lists_in, read_variables
from diqa_utils.datasets.rows import to_number
from diqa_utils.datasets.tables import csv_rows, parse_table, sheet_rows
from tests.fuzz.mutations import mutated

ROWS = 40
SECONDS = 20

#: Every so many files the library itself reads one, whatever SciPy made of it.
SHARE_READ_BY_THE_LIBRARY = 50


def matlab_files() -> list[tuple[bytes, tuple[str, ...]]]:
    """What LIVE's builder reads, in both versions of the format, and the names of its variables."""
    names = np.empty((1, ROWS), object)
    names[0] = [f"scene{number:02}.bmp" for number in range(ROWS)]
    numbers = {
        "dmos_new": np.linspace(-3, 112, ROWS)[None],
        "dmos_std": np.ones((1, ROWS)),
        "orgs": (np.arange(ROWS) % 3 == 0).astype(np.uint8)[None],
    }
    files = []
    for contents in ({"refnames_all": names}, numbers):
        for version, packed in (("5", False), ("5", True), ("4", False)):
            if version == "4" and "refnames_all" in contents:
                continue  # which knows no cells
            file = io.BytesIO()
            scipy.io.savemat(file, contents, format=version, do_compression=packed)
            files.append((file.getvalue(), tuple(contents)))
    return files


def spreadsheet() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["image", "score", "score_std"])
    for number in range(ROWS):
        book.active.append([f"{number}.png", number / ROWS, 0.1])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def read_damaged_matlab(number: int, seed: int) -> Counter:
    """Counts what becomes of damaged MATLAB files."""
    rng, counts = np.random.default_rng(seed), Counter()
    files = matlab_files()
    pool = _new_pool()
    for index in range(number):
        content, variables = files[index % len(files)]
        content = mutated(content, rng)
        fate = "refused"
        try:
            pool.submit(lists_in, content, list(variables)).result(timeout=SECONDS)
            fate = "read"
        except BrokenProcessPool:
            fate, pool = "brings SciPy down", _new_pool()
        except TimeoutError:
            fate = "hangs SciPy"
            _end(pool)
            pool = _new_pool()
        except Exception:  # SciPy's own errors, of which the library makes one
            pass
        counts[fate] += 1
        if fate not in ("read", "refused"):
            print(f"file {index} {fate}", file=sys.stderr)
        if fate not in ("read", "refused") or index % SHARE_READ_BY_THE_LIBRARY == 0:
            counts["through the library"] += 1
            counts += _outcome(lambda c=content, v=variables: read_variables(c, "a.mat", v))
    pool.shutdown()
    return counts


def read_damaged_tables(number: int, seed: int) -> Counter:
    """Counts what becomes of damaged spreadsheets and text tables."""
    rng, counts = np.random.default_rng(seed), Counter()
    sheet = spreadsheet()
    rows = (f"bild {number}.png,{number / ROWS:.3f}" for number in range(ROWS))
    text = "\n".join(["image,score", *rows]).encode()
    for content, name in ((sheet, "a.xlsx"), (text, "a.csv")):
        for _ in range(number):
            damaged = mutated(content, rng)
            counts += _outcome(lambda d=damaged, n=name: _read_table(d, n))
    return counts


def read_damaged_archives(number: int, seed: int) -> Counter:
    """Counts what becomes of damaged archives with a table and pictures."""
    rng, counts = np.random.default_rng(seed), Counter()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("own/scores.csv", "image,score\n1.png,0.5\n2.png,0.7\n")
        for name in ("own/1.png", "own/2.png"):
            file.writestr(name, rng.bytes(600))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "a.zip")
        for _ in range(number):
            place.write_bytes(mutated(archive.getvalue(), rng))
            counts += _outcome(lambda: _read_archive(place))
    return counts


def _read_archive(place: Path) -> None:
    with DatabaseFiles(place) as files:
        csv_rows(files.read("scores.csv"), name="a.csv", columns=("image", "score"))
        missing, problems = files.problems(["1.png", "2.png"])
        if missing or problems:
            raise FileNotFoundError(missing or problems[0])
        for name in ("1.png", "2.png"):
            files.read(name)


def _read_table(content: bytes, name: str) -> None:
    if name.endswith(".xlsx"):
        sheet_rows(content, name, sheet="Sheet")
        parse_table(content, name)
    else:
        for place, cells in csv_rows(content, name=name, columns=("image", "score")):
            to_number(cells["score"], place=place, column="score")


def _outcome(read) -> Counter:
    try:
        read()
    except (ValueError, FileNotFoundError) as error:
        named = "a." in str(error) and type(error) in (ValueError, FileNotFoundError)
        return Counter({"a sentence": named, f"a raw {type(error).__name__}": not named})
    except Exception as error:
        return Counter({f"a raw {type(error).__name__}": 1})
    return Counter({"read by the library": 1})


def _new_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _end(pool: ProcessPoolExecutor) -> None:
    for process in multiprocessing.active_children():
        process.kill()
    pool.shutdown()


def faults_of(counts: Counter) -> Iterator[str]:
    return (what for what, number in counts.items() if what.startswith("a raw") and number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    faults = []
    for kind, read, number in (
        ("MATLAB files", read_damaged_matlab, settings.number),
        ("spreadsheets, and as many text tables", read_damaged_tables, settings.number // 3),
        ("archives", read_damaged_archives, settings.number // 3),
    ):
        counts = read(number, settings.seed)
        print(f"{number} {kind}:", dict(+counts))
        faults += faults_of(counts)
    sys.exit(f"faults: {faults}" if faults else 0)


if __name__ == "__main__":
    main()
