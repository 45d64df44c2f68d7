"""Building databases and reading them back."""

import errno
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import made_up
import numpy as np
import openpyxl
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import diqa_utils
from diqa_utils import datasets
from diqa_utils.datasets import storage
from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.datasets.sample_iqa import sample_iqa_dataset_builder as sample_iqa
from diqa_utils.distortions import DISTORTIONS


@pytest.fixture(scope="module")
def kadid(tmp_path_factory):
    """A part of KADID-10k: two references, 250 pictures."""
    return made_up.release("kadid10k", tmp_path_factory.mktemp("kadid") / "release", references=2)


@pytest.fixture(scope="module")
def csiq(tmp_path_factory):
    """A folder with CSIQ, built."""
    root = tmp_path_factory.mktemp("csiq")
    datasets.load("csiq", data_dir=root, manual_dir=made_up.release("csiq", root / "release"))
    return root


# The list


def test_available_prints_a_table_of_all_databases(csiq, tmp_path):
    here, nowhere = datasets.available(csiq), datasets.available(tmp_path)
    assert here["csiq"].built
    assert not any(nowhere[name].built for name in nowhere if name != "sample_iqa")
    text = str(here)
    for name, entry in here.items():
        better = "higher" if entry.database.scale.higher_is_better else "lower"
        assert name in text
        assert f"{better} is better" in " ".join(entry.cells) or name == "folder_iqa"
    assert "779 rated, 203 pristine if asked for" in here["live_iqa"].cells
    assert "10,000 train, 2,000 test" in here["biq2021"].cells


def test_looking_what_is_available_loads_no_tensorflow():
    code = "from diqa_utils import datasets; datasets.available()"
    code += "; import sys; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_database_has_a_folder_in_the_layout_of_tfds_and_stands_in_the_catalogue():
    folder = Path(datasets.__file__).parent
    names = {database.folder for database in CATALOG.values()}
    assert {path.parent.name for path in folder.glob("*/*_dataset_builder.py")} == names
    for name in names:
        for file in ("README.md", "CITATIONS.bib", "TAGS.txt"):
            assert (folder / name / file).is_file(), (name, file)
        assert Path(__file__).with_name(f"test_{name}.py").is_file(), name


@pytest.mark.parametrize("name", CATALOG)
def test_higher_quality_is_better_in_every_database(name):
    scale = CATALOG[name].scale
    best, worst = scale.highest, scale.lowest
    if name in {"live_iqa", "live_iqa/raw", "csiq", "sample_iqa"}:  # DMOS
        best, worst = worst, best
    assert (scale.quality(best), scale.quality(worst)) == (1, 0)
    assert scale.quality((best + worst) / 2) == pytest.approx(0.5)


@pytest.mark.parametrize("name", [name for name in CATALOG if name != "sample_iqa"])
def test_how_to_get_the_files_is_told_where_they_are_missing(tmp_path, name):
    database = CATALOG[name]
    usual = tmp_path / "manual" / database.folder
    for manual_dir in (None, tmp_path / "elsewhere"):
        with pytest.raises(FileNotFoundError) as caught:
            datasets.load(name, data_dir=tmp_path, manual_dir=manual_dir)
        for words in (str(manual_dir or usual), database.home, database.files, "manual_dir"):
            assert words in str(caught.value)
    usual.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="is empty"):
        datasets.verify(name, data_dir=tmp_path)


def test_what_is_not_known_is_named_with_what_is(csiq):
    for arguments, error, words in [
        ({"name": "live2"}, ValueError, r"no database 'live2'; known: .*sample_iqa"),
        ({"split": "train"}, ValueError, r"csiq has no split 'train'; it has rated"),
        ({"split": "rated+test[:3]"}, ValueError, r"no split 'rated\+test\[:3\]'; it has rated"),
        ({"split": ""}, ValueError, r"csiq has no split ''; it has rated"),
        ({"references": ["1600"]}, ValueError, r"references needs a split"),
        ({"split": "rated", "references": []}, ValueError, r"references is empty: name at"),
        (
            {"split": "rated", "references": ["1600", "scene77"]},
            ValueError,
            r"no picture of the reference 'scene77'",
        ),
        ({"scale": (0, 9)}, TypeError, r"csiq takes no scale: only folder_iqa does"),
    ]:
        with pytest.raises(error, match=words):
            datasets.load(**{"name": "csiq", "data_dir": csiq} | arguments)


# Reading


def test_parts_are_sliced_and_added_as_tfds_does(csiq, capsys):
    table = datasets.read_table("csiq", split="rated[:10]+rated[20:25]", data_dir=csiq)
    loaded = datasets.load("csiq", split="rated[:10]+rated[20:25]", data_dir=csiq)
    names = [example["image_id"].decode() for example in loaded.as_numpy_iterator()]
    assert names == table["image_id"].tolist()
    assert len(names) == 15
    assert capsys.readouterr().out == ""  # nothing is built again


def test_the_part_that_is_flagged_is_left_out_unless_asked_for(tmp_path):
    release = made_up.release("live_iqa", tmp_path / "release")
    settings = {"data_dir": tmp_path, "manual_dir": release}
    parts = datasets.load("live_iqa", **settings)
    assert {name: len(part) for name, part in parts.items()} == {"rated": 779}
    assert len(datasets.load("live_iqa", split="rated+pristine", **settings)) == 982


def test_pictures_of_some_references_only(csiq):
    table = datasets.read_table("csiq", split="rated", data_dir=csiq)
    train, test = datasets.split_by_reference(table["reference_id"], (80, 20), seed=0)
    loaded = datasets.load("csiq", split="rated", references=test, data_dir=csiq)
    counts = Counter(example["reference_id"].decode() for example in loaded.as_numpy_iterator())
    assert counts == Counter(name for name in table["reference_id"] if name in test)
    assert len(loaded) == counts.total()
    rest = datasets.load("csiq", split="rated", references=train, data_dir=csiq)
    assert len(rest) + len(loaded) == 866


def test_a_seed_shuffles_anew_in_every_pass_and_alike_in_every_run(csiq):
    def passes():
        tf.random.set_seed(0)
        loaded = datasets.load("csiq", split="rated", seed=3, data_dir=csiq)
        names = loaded.map(lambda features: features["image_id"])
        return [list(names.as_numpy_iterator()) for _ in range(2)]

    first, second = passes()
    assert first != second
    assert sorted(first) == sorted(second)
    assert passes() == [first, second]


def test_neighbours_on_the_disk_are_mixed(csiq):
    table = datasets.read_table("csiq", split="rated", data_dir=csiq)
    for start in range(0, 800, 100):
        assert len(set(table["reference_id"][start : start + 100])) > 20
        assert len(set(table["distortion"][start : start + 100])) == 6


# Building


def test_a_partial_copy_is_only_taken_when_asked_for_and_built_anew_if_it_grows(kadid, tmp_path):
    settings = {"manual_dir": made_up.copied(kadid, tmp_path / "copy"), "data_dir": tmp_path}
    words = r"has 250 rows in the part 'rated'.*has 2 references, and"
    with pytest.raises(ValueError, match=words):
        datasets.load("kadid10k", **settings)
    assert not datasets.verify("kadid10k", **settings).ok
    assert datasets.verify("kadid10k", partial=True, **settings).ok

    text = (kadid / "dmos.csv").read_text()
    made_up.write(tmp_path / "copy", "dmos.csv", "\n".join(text.splitlines()[:201]))
    assert len(datasets.load("kadid10k", split="rated", partial=True, **settings)) == 200
    made_up.write(tmp_path / "copy", "dmos.csv", text)
    assert len(datasets.load("kadid10k", split="rated", partial=True, **settings)) == 250
    entry = datasets.available(tmp_path)["kadid10k"]
    assert (entry.built, entry.built_in_part) == (False, True)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
        (tf.errors.ResourceExhaustedError(None, None, "No space left on device"), OSError),
        (PermissionError(errno.EACCES, "Permission denied"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_build_that_stops_leaves_nothing_half_made(kadid, tmp_path, monkeypatch, error, expected):
    calls = itertools.count()
    example = IqaBuilder.example

    def until_it_stops(self, row, files):
        if next(calls) == 100:
            raise error
        return example(self, row, files)

    settings = {"manual_dir": kadid, "data_dir": tmp_path, "partial": True}
    with monkeypatch.context() as patch:
        patch.setattr(IqaBuilder, "example", until_it_stops)
        with pytest.raises(expected) as caught:
            datasets.load("kadid10k", **settings)
    if expected is OSError:
        assert re.match(
            r"Nothing was built in '.*': .*(No space|denied).* data_dir", str(caught.value)
        )
    assert not list(tmp_path.rglob("*tfrecord*"))
    assert datasets.available(tmp_path)["kadid10k"].built_in_part is False
    assert len(datasets.load("kadid10k", split="rated", **settings)) == 250


def test_what_a_killed_build_left_is_cleared_away(kadid, tmp_path):
    settings = {"manual_dir": kadid, "data_dir": tmp_path, "partial": True}
    datasets.load("kadid10k", **settings)
    [whole] = tmp_path.glob("kadid10k-*/kadid10k/1.0.0")
    half_made = Path(tfds.core.utils.file_utils._get_incomplete_dir(whole))  # TFDS's own name
    whole.rename(half_made)
    assert datasets.available(tmp_path)["kadid10k"].built_in_part is False
    assert len(datasets.load("kadid10k", split="rated", **settings)) == 250
    assert not half_made.exists()


def test_a_folder_that_cannot_be_written_is_named(kadid, tmp_path):
    made_up.write(tmp_path, "a file", b"")
    settings = {"manual_dir": kadid, "data_dir": tmp_path / "a file", "partial": True}
    with pytest.raises(OSError, match=r"Nothing was built in '.*a file.*': .* data_dir"):
        datasets.load("kadid10k", **settings)


@pytest.mark.parametrize("step", ["make_builder", "DatabaseFiles"])
def test_a_build_that_another_process_finished_meanwhile_is_used(
    kadid, tmp_path, monkeypatch, step
):
    settings = {"manual_dir": kadid, "partial": True}
    datasets.load("kadid10k", data_dir=tmp_path / "other", **settings)
    take_step = getattr(storage, step)

    def before_another_process(*arguments, **options):
        done = take_step(*arguments, **options)
        if not (tmp_path / "here").exists():
            shutil.copytree(tmp_path / "other", tmp_path / "here")
        return done

    monkeypatch.setattr(storage, step, before_another_process)
    loaded = datasets.load("kadid10k", split="rated", data_dir=tmp_path / "here", **settings)
    assert len(loaded) == 250


@pytest.fixture
def own(tmp_path):
    """A folder with a picture and a link to one elsewhere, and how to load it."""
    made_up.write(tmp_path / "own", "a.png", made_up.picture(10, "png"))
    made_up.write(tmp_path / "elsewhere", "b.png", made_up.picture(20, "png"))
    (tmp_path / "own" / "linked").symlink_to(tmp_path / "elsewhere")
    made_up.write(tmp_path / "own", "scores.csv", "image,score\na.png,0.2\nlinked/b.png,0.9\n")
    return {"manual_dir": tmp_path / "own", "data_dir": tmp_path / "own" / "built"}


def scores_and_pixels(settings):
    loaded = datasets.load("folder_iqa", split="rated", **settings).as_numpy_iterator()
    return {
        e["image_id"].decode(): (float(e["quality"]), e["distorted_image"][0, 0, 0]) for e in loaded
    }


def replace_with_times_kept(path, content):
    """Another content of the same size and with the same times, as `cp -p` leaves it."""
    stat = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_build_is_never_used_for_another_table_picture_or_option(own, tmp_path):
    first = scores_and_pixels(own)
    assert first == {"a.png": (pytest.approx(0.2), 10), "linked/b.png": (pytest.approx(0.9), 20)}
    table = own["manual_dir"] / "scores.csv"
    reversed_table = b"image,score\na.png,0.9\nlinked/b.png,0.2\n"
    replace_with_times_kept(table, reversed_table)
    assert scores_and_pixels(own)["a.png"] == (pytest.approx(0.9), 10)
    replace_with_times_kept(tmp_path / "elsewhere" / "b.png", made_up.picture(30, "png"))
    assert scores_and_pixels(own)["linked/b.png"] == (pytest.approx(0.2), 30)
    turned = scores_and_pixels(own | {"higher_is_better": False})
    assert turned["linked/b.png"] == (pytest.approx(0.8), 30)
    longer = scores_and_pixels(own | {"scale": (0, 2)})
    assert longer["linked/b.png"] == (pytest.approx(0.1), 30)
    swapped = own | {"columns": {"image": "image", "score": "score"}, "decimal": "."}
    assert scores_and_pixels(swapped)["linked/b.png"] == (pytest.approx(0.2), 30)


def test_a_build_is_never_used_for_another_folder_behind_a_link(own):
    folder = own["manual_dir"]
    for shade in (40, 50):
        made_up.write(folder, f"a{shade}/b.png", made_up.picture(shade, "png"))
        (folder / "linked").unlink()
        (folder / "linked").symlink_to(folder / f"a{shade}")
        assert scores_and_pixels(own)["linked/b.png"] == (pytest.approx(0.9), shade)
    (folder / "linked").unlink()
    (folder / "linked").symlink_to(folder / "a40")
    assert scores_and_pixels(own)["linked/b.png"] == (pytest.approx(0.9), 40)


def test_a_database_is_not_taken_for_a_copy_with_other_scores(csiq, tmp_path):
    copy = made_up.copied(csiq / "release", tmp_path / "copy", pictures=False)
    settings = {"split": "rated", "data_dir": csiq}
    expected = datasets.read_table("csiq", **settings)["score"]
    same = datasets.read_table("csiq", manual_dir=copy, **settings)["score"]
    np.testing.assert_array_equal(same, expected)
    [table] = copy.rglob("*.xlsx")
    book = openpyxl.load_workbook(table)
    [scores] = [c for c in book["all_by_image"].columns if "dmos" in [cell.value for cell in c]]
    scores[-1].value = 0.123
    book.save(table)
    with pytest.raises(ValueError, match=r"csiq was built from other scores than .*copy'"):
        datasets.read_table("csiq", manual_dir=copy, **settings)


def test_a_build_is_used_again_if_only_something_else_changed(own, capsys, monkeypatch):
    first = scores_and_pixels(own)
    capsys.readouterr()
    # The build itself lies in the folder, and so does a run of a training.
    made_up.write(own["manual_dir"], "run/run.json", "{}")
    made_up.write(own["manual_dir"], "run/table.npz", b"numbers")
    assert scores_and_pixels(own) == first
    assert "Building" not in capsys.readouterr().out
    monkeypatch.setattr(storage, "source_fingerprint", lambda *sources: "changed")
    assert scores_and_pixels(own) == first
    assert "Building" in capsys.readouterr().out


def test_a_folder_that_changes_while_it_is_read_is_named(own, monkeypatch):
    build = storage._build

    def change_and_build(*arguments):
        made_up.write(own["manual_dir"], "c.png", made_up.picture(1, "png"))
        build(*arguments)

    monkeypatch.setattr(storage, "_build", change_and_build)
    with pytest.raises(OSError, match=r"The files of folder_iqa changed while they were read"):
        scores_and_pixels(own)


@pytest.mark.parametrize(
    ("file", "spoil", "words"),
    [
        ("dataset_info.json", lambda content: content[:-20], "Failed to load JSON"),
        ("dataset_info.json", None, "'dataset_info.json' is missing"),
        ("metadata.json", lambda content: content[:-20], "Unterminated"),
        ("metadata.json", lambda content: content.replace(b"0.2", b"0.2,1", 1), "is damaged"),
        ("*tfrecord*", lambda content: content[:-20], "'folder_iqa-rated.tfrecord.*cannot be read"),
        ("*tfrecord*", lambda content: content * 2, "has 4 records and should have 2"),
        (
            "*tfrecord*",
            lambda content: content[:90] + b"!" + content[91:],
            "tfrecord.*cannot be rea",
        ),
        ("*tfrecord*", None, "'folder_iqa-rated.tfrecord.*' is missing"),
    ],
)
def test_a_build_that_was_damaged_is_named_and_built_again_once_it_is_deleted(
    own, file, spoil, words
):
    first = scores_and_pixels(own)
    [place] = own["data_dir"].glob("*/*/1.0.0")
    [path] = place.glob(file)
    if spoil:
        made_up.write(place, path.name, spoil(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(ValueError, match=rf"(?i)damaged.*{words}.*|{words}") as caught:
        datasets.read_table("folder_iqa", split="rated", **own)
    assert f"elete {str(place)!r}" in str(caught.value) or "delete that folder" in str(caught.value)
    shutil.rmtree(place)
    assert scores_and_pixels(own) == first


def test_a_full_disk_is_named(own, tmp_path):
    code = (
        "import resource, sys; from diqa_utils.cli import app;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); app()"
    )
    made_up.write(own["manual_dir"], "a.png", made_up.picture(1, "bmp", (200, 200)))
    arguments = ["data", "prepare", "folder_iqa", "--manual-dir", str(own["manual_dir"])]
    arguments += ["--data-dir", str(tmp_path / "full")]
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"Error: Nothing was built in '.*full.*': .* make room", done.stderr), done
    assert not list((tmp_path / "full").rglob("*tfrecord*"))


def test_a_database_that_its_owners_hand_out_is_not_downloaded(tmp_path):
    with pytest.raises(ValueError, match=r"csiq cannot be downloaded: its owners hand it out"):
        datasets.load("csiq", data_dir=tmp_path, download=True)


# The sample goes stale


def test_changed_code_does_not_meet_an_old_build(sample, monkeypatch):
    assert datasets.available()["sample_iqa"].built is True
    monkeypatch.setattr(storage, "source_fingerprint", lambda *sources: "changed")
    assert datasets.available()["sample_iqa"].built is False


def test_a_change_of_any_module_that_makes_the_images_makes_builds_stale():
    package = Path(diqa_utils.__file__).parent

    def modules_used_by(module):
        names = {getattr(value, "__module__", None) or "" for value in vars(module).values()}
        return {name for name in names if name.startswith("diqa_utils.")}

    used = modules_used_by(sample_iqa)
    families = {DISTORTIONS[distortion].__module__ for distortion in sample_iqa.DISTORTIONS}
    used = used.union(families, *(modules_used_by(sys.modules[name]) for name in families))
    assert "diqa_utils.distortions.common" in used
    files = {Path(sys.modules[name].__file__).relative_to(package).as_posix() for name in used}
    paths = {path for source in storage.SAMPLE_SOURCES for path in package.glob(source)}
    assert {package / file for file in files} <= paths


def test_a_change_of_any_module_that_reads_makes_builds_of_own_folders_stale():
    package = Path(diqa_utils.__file__).parent
    sources = (*storage.READER_SOURCES, storage._builder_source(CATALOG["folder_iqa"]))
    paths = {path for source in sources for path in package.glob(source)}
    known = {path.relative_to(package).as_posix() for path in paths}
    needless = {"_internal/startup.py", "_internal/files.py", "_internal/tensorflow.py"}
    for source in known - {"images.py"}:
        text = (package / source).read_text()
        modules = re.findall(r"^from diqa_utils\.([\w.]+) import", text, flags=re.MULTILINE)
        files = {f"{module.replace('.', '/')}.py" for module in modules}
        used = {file for file in files if (package / file).is_file()}
        assert used <= known | needless, source
