"""Scores by Apache Beam: the rows of `diqa score`, whoever makes them, also after a kill."""

import csv
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import apache_beam
import made_up
import pyarrow.parquet
import pytest
from apache_beam.io import fileio
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.testing.util import assert_that
from PIL import Image
from typer.testing import CliRunner

from diqa_utils import inference
from diqa_utils.beam import scoring
from diqa_utils.beam.__main__ import app, begun, finished
from diqa_utils.cli import app as diqa
from diqa_utils.cli.score_rows import COLUMNS

TWO_WORKERS = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
SECONDS = 120  # more than any process takes

#: Names as only systems of Unix allow.
AWKWARD = ["three[x].png", "=1+1.png", "new\nline.png", os.fsdecode(b"caf\xe9.png")]

#: Begins the command in a process that tells when it is at a certain place, and waits there.
WAITING = """
import sys, time
def wait(*arguments):
    print("waiting", flush=True)
    time.sleep(600)
{patch}
from diqa_utils.beam.__main__ import app
app()
"""
PLACES = {
    "at the last picture": """
from diqa_utils.inference import Predictor
score, left = Predictor.score_or_error, [1, 1, 1]
Predictor.score_or_error = lambda *given: score(*given) if left and left.pop() else wait()
""",
    "before files get their names": """
from apache_beam.io.filesystems import FileSystems
FileSystems.rename = wait
""",
}


@pytest.fixture(autouse=True)
def level_of_log():
    """Gives back what the command sets for its process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_NUM_INTRAOP_THREADS", "1")
        level = logging.getLogger().level
        yield
        logging.getLogger().setLevel(level)


@pytest.fixture(scope="module")
def folder(photographs, tmp_path_factory):
    """Pictures with names of all kinds, files that are none, and some that cannot be scored."""
    place = tmp_path_factory.mktemp("mes images")
    for number, name in enumerate(["a.png", "b.PNG", *(AWKWARD if os.name == "posix" else [])]):
        Image.fromarray(photographs["coffee"][number:96, :128]).save(place / name, "PNG")
    whole = (place / "a.png").read_bytes()
    broken = {"none.jpg": b"no picture", "cut.png": whole[:2000], "tiny.bmp": made_up.picture(9)}
    others = {"notes.txt": b"", "a.mpg": b"", "DSC_1.NEF": b"", "README": b"", "._a.png": whole}
    for name, content in (broken | others).items():
        (place / name).write_bytes(content)
    return place


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    """What `diqa score` writes of the same folder, by name, and the last line that it says."""
    file = tmp_path_factory.mktemp("rows") / "rows.csv"
    done = CliRunner().invoke(diqa, ["score", str(folder), "--output", str(file)])
    assert done.exit_code == 1, "some pictures cannot be scored"
    return rows_of([file]), done.stderr.splitlines()[-1]


def run(*words):
    return CliRunner().invoke(app, ["score", *map(str, words)])


def rows_of(files):
    """The rows in files of CSV, by the name of the picture; none is there twice."""
    rows = []
    for file in files:
        with open(file, newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened)
            assert tuple(reader.fieldnames) == COLUMNS
            rows.extend(reader)
    by_name = {row["picture"]: row for row in rows}
    assert len(by_name) == len(rows)
    return by_name


def written(place):
    return sorted(path.name for path in place.iterdir())


def rows_in(place):
    return rows_of(place.glob("rows-*.csv"))


def by_metric(result, kind):
    return {each.key.metric.name: each.result for each in result.metrics().query()[kind]}


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    """The files of the command on one worker, and the last line that it says."""
    place = tmp_path_factory.mktemp("rows")
    done = run(folder, "--output", place / "rows", "--shards", 2)
    assert done.exit_code == 1, done.output
    return place, done.stderr.splitlines()[-1]


def test_one_worker_writes_the_rows_of_the_command(undisturbed, expected):
    place, last_line = undisturbed
    rows, expected_line = expected
    assert rows_in(place) == rows
    assert len(rows) == (9 if os.name == "posix" else 5)
    assert last_line == expected_line.partition(":")[0] + "."


def test_rows_without_a_score_stand_apart(undisturbed):
    place, _ = undisturbed
    failed = rows_of([place / "rows-errors-00000-of-00001.csv"])
    assert {Path(name).name for name in failed} == {"none.jpg", "cut.png", "tiny.bmp"}
    assert all(row["error"].endswith(".") and not row["quality"] for row in failed.values())
    scored = rows_of(place.glob("rows-0000?-of-00002.csv"))
    assert not any(row["error"] for row in scored.values())


def test_two_workers_write_the_same_rows_and_load_one_predictor_each(folder, expected, tmp_path):
    (pattern,), pipeline = begun([f"{folder}/*", *TWO_WORKERS])
    names = pipeline | apache_beam.Create([pattern]) | apache_beam.FlatMap(scoring.find)
    pictures = names | scoring.ScorePictures()
    pictures.scored | "scores" >> scoring.WriteRows(str(tmp_path / "rows"), shards=2)
    pictures.failed | "errors" >> scoring.WriteRows(str(tmp_path / "rows-errors"))
    result = finished(pipeline)
    assert rows_in(tmp_path) == expected[0]
    counters, measured = by_metric(result, "counters"), by_metric(result, "distributions")
    assert measured["load_model_latency_milli_secs"].count == 2
    assert (counters["scored"], counters["failed"]) == (len(expected[0]) - 3, 3)
    assert scoring.count(result)[:2] == (len(expected[0]) - 3, 3)


@pytest.mark.skipif(os.name != "posix", reason="signals are others on this system")
@pytest.mark.parametrize("place", PLACES)
def test_a_killed_job_leaves_no_rows_and_begins_again(folder, expected, tmp_path, place):
    words = [f"{folder}/*", "--output", str(tmp_path / "rows")]
    command = [sys.executable, "-c", WAITING.format(patch=PLACES[place]), "score", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watchdog = Timer(SECONDS, process.kill)
        watchdog.start()
        said = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        watchdog.cancel()
    assert said == "waiting\n"
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("rows-*"))
    assert run(*words).exit_code == 1
    assert rows_in(tmp_path) == expected[0]


def test_the_same_job_again_ends_with_the_same_files_and_rows(undisturbed, folder):
    place, last_line = undisturbed
    before = written(place), rows_in(place)
    again = run(folder, "--output", place / "rows", "--shards", 2)
    assert again.stderr.splitlines()[-1] == last_line
    assert (written(place), rows_in(place)) == before


def test_names_need_no_folder(folder, tmp_path, monkeypatch):
    shutil.copy(folder / "a.png", tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    assert run("*.png", "--output", "rows").exit_code == 0
    assert list(rows_in(tmp_path)) == ["one.png"]
    done = run("*.png", "--output", "rows", "--shards", 2)
    assert "is one of 1 files, not of 2" in done.stderr


@pytest.mark.filterwarnings("ignore:Possible nested set")
def test_names_that_look_like_patterns_are_names(folder, tmp_path):
    place = tmp_path / "a[1]"
    place.mkdir()
    shutil.copy(folder / "a.png", place)
    assert [each.path for each in scoring.find(str(place))] == [str(place / "a.png")]
    (place / "rows-00000-of-00002.csv").touch()
    with pytest.raises(ValueError, match="is one of 2 files, not of 1"):
        scoring.WriteRows(str(place / "rows"))


def test_another_number_of_files_is_refused(undisturbed, folder):
    place, _ = undisturbed
    before = written(place)
    done = run(folder, "--output", place / "rows", "--shards", 3)
    assert done.exit_code == 1
    assert re.search(r"rows-0000\d-of-00002.csv' is one of 2 files, not of 3", done.stderr)
    assert written(place) == before


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_other_formats_hold_the_same(folder, expected, tmp_path, format_):
    names = tmp_path / "names.txt"
    others = [name for name in AWKWARD if "\n" not in name]
    listed = [folder / name for name in ["a.png", "none.jpg", *others]]
    names.write_bytes(b"\r\n".join(map(os.fsencode, [*listed, "", listed[0]])))
    done = run("--list", names, "--output", tmp_path / "rows", "--format", format_)
    assert done.stderr.splitlines()[-1] == "4 scored, 1 failed, 0 skipped."
    files = sorted(tmp_path.glob("rows-*"))
    assert len(files) == 2
    if format_ == "jsonl":
        rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    else:
        rows = [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
    assert all(tuple(row) == COLUMNS for row in rows)
    assert {row["picture"] for row in rows} == {
        str(path).encode("utf-8", "backslashreplace").decode() for path in listed
    }
    quality = {row["picture"]: row["quality"] for row in rows}
    assert quality[str(listed[0])] == float(expected[0][str(listed[0])]["quality"])
    assert quality[str(listed[1])] is None


class Elsewhere(LocalFileSystem):
    """A file system that is no local one."""

    root = Path()

    @classmethod
    def scheme(cls):
        return "elsewhere"

    def here(self, path):
        return str(self.root / path.removeprefix("elsewhere://"))

    def has_dirs(self):
        return False

    def exists(self, path):
        return super().exists(self.here(path))

    def _list(self, prefix):
        for found in super()._list(str(self.root)):
            found.path = f"elsewhere://{Path(found.path).relative_to(self.root)}"
            yield found

    def open(self, path, *settings, **more):
        return super().open(self.here(path), *settings, **more)


def scored_elsewhere(root, source, **settings):
    """Scores pictures from elsewhere; returns the rows of a pipeline by the name of the picture."""
    Elsewhere.root = root
    _, pipeline = begun([])
    pictures = pipeline | source | scoring.ScorePictures(**settings)
    place = root.parent / f"{root.name}-rows"
    both = (pictures.scored, pictures.failed) | apache_beam.Flatten()
    both | scoring.WriteRows(str(place / "rows"))
    result = finished(pipeline)
    return rows_in(place), result


def test_pictures_elsewhere_are_fetched_and_a_pattern_says_what_they_are(folder, expected):
    rows, result = scored_elsewhere(folder, fileio.MatchFiles("elsewhere://*.png"))
    here = {Path(name).name: row for name, row in expected[0].items() if name.endswith(".png")}
    assert len(rows) == len(here) + 1, "._a.png is taken as it is: nobody asked find"
    for name, row in here.items():
        there = rows[f"elsewhere://{name}"]
        same = set(COLUMNS) - {"picture", "error", "modified"}
        assert {column: row[column] for column in same} == {c: there[c] for c in same}
        seconds = (int(there["modified"]) - int(row["modified"])) / 1e9
        assert abs(seconds) < 1e-3
    assert by_metric(result, "distributions")["load_model_latency_milli_secs"].count == 1


def test_what_cannot_be_fetched_is_a_row(folder):
    names = ["elsewhere://a.png", "elsewhere://nowhere.png", "elsewhere://tiny.bmp"]
    rows, _ = scored_elsewhere(folder, apache_beam.Create(names), max_megapixels=1e-4)
    errors = [rows[name]["error"] for name in names]
    assert errors[0] == "'elsewhere://a.png' has more bytes than a picture of the allowed size."
    assert re.fullmatch(
        r"'elsewhere://nowhere.png' cannot be read: .*No such file.*nowhere.png.*", errors[1]
    )
    assert "48 x 48" in errors[2]


def test_batches_are_bounded_in_number_and_in_bytes():
    sizes = [0] * 40 + [3 * 2**20] * 20 + [10**9] * 2 + [None] * 20
    pictures = [(b"%d" % number, size, None) for number, size in enumerate(sizes)]
    handler = scoring.ScorePictures().handler
    _, pipeline = begun([])
    batches = (
        pipeline
        | apache_beam.Create(pictures, reshuffle=False)
        | apache_beam.BatchElements(**handler.batch_elements_kwargs())
        | apache_beam.Map(lambda batch: (len(batch), sum(size or 0 for _, size, _ in batch)))
        | apache_beam.combiners.ToList()
    )

    def bounded(found):
        assert sum(number for number, _ in found[0]) == len(pictures)
        assert max(number for number, _ in found[0]) == scoring.BATCH
        assert all(size < 2**24 or number == 1 for number, size in found[0]), found

    assert_that(batches, bounded)
    finished(pipeline)


def test_a_worker_uses_one_thread(folder, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    threads = []
    session = onnxruntime.InferenceSession

    def watched(content, options, **more):
        threads.append(options.intra_op_num_threads)
        return session(content, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    begun([])
    inference._pretrained.cache_clear()
    scoring.ScorePictures("diqa").handler.load_model().score(folder / "a.png")
    inference._pretrained.cache_clear()
    assert threads
    assert set(threads) == {1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "There is no picture: name files"),
        (
            ["a", "--max-megapixel", "3"],
            "Neither this command nor Beam has an option --max-megapix",
        ),
        (["a", "--predictor", "none"], "There is no predictor 'none'; known: biq2021"),
        (["a", "--format", "xml"], "There is no format 'xml'; known: csv, jsonl, parquet"),
        (["--list", "nowhere"], "No files found based on the file pattern ./nowhere"),
        (["a", "--runner", "NoRunner"], "Unexpected pipeline runner: NoRunner"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path, words, said):
    done = run(*words, "--output", tmp_path / "rows")
    assert done.exit_code == 1
    assert re.match(f"Error: {said}", done.stderr), done.stderr
    assert not written(tmp_path)


def test_what_beam_gives_up_on_is_said_in_a_sentence(folder, tmp_path):
    (tmp_path / "file").touch()
    done = run(folder / "a.png", "--output", tmp_path / "file" / "rows")
    assert done.exit_code == 1
    assert re.match(r"Error: Beam gave up: .*Not a directory", done.stderr.splitlines()[-1])


def test_a_pattern_that_matches_nothing_fails(tmp_path):
    done = run(f"{tmp_path}/*.jpg", "--output", tmp_path / "rows")
    assert (done.exit_code, done.stderr) == (1, "0 scored, 1 failed, 0 skipped.\n")
    (row,) = rows_in(tmp_path).values()
    assert row["error"] == f"There is no file '{tmp_path}/*.jpg': check the path."


def test_without_beam_a_sentence_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "diqa_utils.beam.scoring")
    monkeypatch.delattr("diqa_utils.beam.scoring")
    done = run("a", "--output", tmp_path / "rows")
    assert done.exit_code == 1
    sentence = 'Apache Beam is not installed: python -m pip install "diqa-utils[beam]".'
    assert done.stderr == f"Error: {sentence}\n"


def test_nothing_else_needs_beam():
    code = (
        "import sys, diqa_utils.cli; from diqa_utils.inference import load_predictor;"
        "load_predictor('biq2021', runtime='onnx'); print('apache_beam' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert done.stdout == "False\n"


def test_help_stands_in_80_columns():
    done = CliRunner().invoke(app, ["score", "--help"], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    assert "--direct_running_mode multi_processing" in done.output


def test_prism_writes_the_same_rows(folder, expected, tmp_path):
    prism = shutil.which("prism") or next(
        iter(Path(PrismJobServer.BIN_CACHE).glob("*prism*")), None
    )
    if prism is None:
        pytest.skip(
            "Prism is a program of its own: `prism` is not on the path, nor in Beam's cache"
        )
    words = ["score", f"{folder}/*", "--output", f"{tmp_path}/rows"]
    command = [sys.executable, "-m", "diqa_utils.beam", *words, "--runner", "PrismRunner"]
    options = ["--prism_location", str(prism)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1, done.stderr
    assert rows_in(tmp_path) == expected[0]
