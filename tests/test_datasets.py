"""Loading databases, splits by reference, and the sample database itself."""

import filecmp
import itertools
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from scipy import ndimage

import diqa_utils
from diqa_utils import datasets
from diqa_utils.datasets import (
    assert_disjoint,
    k_folds_by_reference,
    repeated_splits,
    set_aside,
    split_by_reference,
    storage,
)
from diqa_utils.datasets.sample_iqa import sample_iqa_dataset_builder as sample_iqa
from diqa_utils.distortions import DISTORTIONS, LEVELS
from diqa_utils.preprocessing import to_gray

SPLITS = ("train", "validation", "test")
TEXTS = ("image_id", "reference_id", "scene", "distortion")
NUMBERS = ("level", "pseudo_dmos", "quality")


@pytest.fixture(scope="module")
def rows(sample):
    """The database without its pictures: by split, a list of dictionaries."""
    builder = storage.make_builder("sample_iqa", None)
    texts_and_numbers = tfds.decode.PartialDecoding(dict.fromkeys(TEXTS + NUMBERS, True))

    def plain(example):
        texts = {name: example[name].decode() for name in TEXTS}
        return texts | {name: example[name].item() for name in NUMBERS}

    return {
        split: [
            plain(example)
            for example in builder.as_dataset(
                split=split, decoders=texts_and_numbers
            ).as_numpy_iterator()
        ]
        for split in SPLITS
    }


@pytest.fixture(scope="module")
def everything(rows):
    return list(itertools.chain(*rows.values()))


@pytest.fixture(scope="module")
def references(sample):
    """The first reference of each split, with all its distorted images."""
    per_reference = len(sample_iqa.DISTORTIONS) * len(LEVELS)
    return [list(dataset.take(per_reference).as_numpy_iterator()) for dataset in sample.values()]


def make_small(patch, cache):
    """Makes the sample database quick to build, 3 x 5 x 1 images, and keeps it under `cache`."""
    some = ("astronaut", "coins", "grace_hopper")
    photographs = {name: sample_iqa.PHOTOGRAPHS[name] for name in some}
    patch.setattr(sample_iqa, "PHOTOGRAPHS", photographs)
    patch.setattr(sample_iqa, "PARTS", (1, 1, 1))
    patch.setattr(sample_iqa, "ROWS", 1)
    patch.setattr(sample_iqa, "COLUMNS", 1)
    patch.setattr(sample_iqa, "LEVELS", (3,))
    patch.setenv("DIQA_CACHE_DIR", str(cache))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The folder for databases, in which the small database is still to be built."""
    make_small(monkeypatch, tmp_path)
    return tmp_path / "datasets"


@pytest.fixture(scope="module")
def small_cache(tmp_path_factory):
    cache = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch, cache)
        datasets.load("sample_iqa")
    return cache


@pytest.fixture
def built(small, small_cache, tmp_path):
    """The folder for databases, in which the small database is built already."""
    shutil.copytree(small_cache, tmp_path, dirs_exist_ok=True)
    return small


def files_in(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


# Splits


@pytest.mark.parametrize("parts", [(80, 20), (7, 2, 3), (60, 1, 39), (1, 98, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("number", [4, 5, 6, 7, 12, 29, 81])
def test_a_split_deals_out_every_reference_once(parts, number):
    references = [f"scene {index}" for index in range(number)]
    split = split_by_reference(references, parts, seed=0)
    assert sorted(itertools.chain(*split)) == sorted(references)
    assert all(part == sorted(part) and part for part in split)
    assert_disjoint(**{f"part {index}": part for index, part in enumerate(split)})


@pytest.mark.parametrize(
    ("number", "parts", "sizes"),
    [
        (30, (80, 20), [24, 6]),
        (12, (7, 2, 3), [7, 2, 3]),
        (25, (0.6, 0.2, 0.2), [15, 5, 5]),
        (29, (80, 20), [23, 6]),
        (3, (98, 1, 1), [1, 1, 1]),
        (6, (7, 2, 3), [4, 1, 1]),
    ],
)
def test_parts_have_their_shares(number, parts, sizes):
    split = split_by_reference([str(index) for index in range(number)], parts, seed=3)
    assert [len(part) for part in split] == sizes


def test_a_split_depends_on_the_seed_but_not_on_order_or_repeats():
    references = [f"scene {index}" for index in range(20)]
    split = split_by_reference(references, (80, 20), seed=1)
    assert split == split_by_reference(iter(5 * references[::-1]), (80, 20), seed=1)
    assert split != split_by_reference(references, (80, 20), seed=2)
    assert all(type(name) is str for part in split for name in part)


@pytest.mark.parametrize(
    ("references", "parts", "words"),
    [
        (["a", "b", "b"], (1, 1, 1), r"2 reference\(s\) cannot be split into 3 parts"),
        ([], (1, 1), r"0 reference\(s\) cannot"),
        (["a", "b"], (1, 0), r"share must be greater than zero, not \(1, 0\)"),
        (["a", "b"], (2, -1), r"not \(2, -1\)"),
        (["a", "b"], (), r"share must be greater than zero, not \(\)"),
    ],
)
def test_splits_that_cannot_be_are_refused(references, parts, words):
    with pytest.raises(ValueError, match=words):
        split_by_reference(references, parts, seed=0)


def test_assert_disjoint_accepts_parts_without_a_common_reference():
    assert assert_disjoint(train=["a", "a", "b"], validation=[], test=("c",)) is None


def test_assert_disjoint_names_the_parts_and_what_they_share():
    words = r"train and test share 2 reference\(s\): b, c\. Split by reference"
    with pytest.raises(ValueError, match=words):
        assert_disjoint(train=["c", "b", "a"], validation=["d"], test=["b", "c", "e"])


# As `printf a | sha256sum` prints them, the first two bytes: d 18ac, f 252f, c 2e7d, ä 33e6,
# b 3e23, e 3f79, a ca97, g cd0a.
BY_SHA256 = ["d", "f", "c", "ä", "b", "e", "a", "g"]


def test_pictures_are_set_aside_in_the_order_of_their_sha256():
    parts = set_aside(sorted(BY_SHA256), {"validation": 2, "calibration": 3})
    assert {part: list(ids) for part, ids in parts.items()} == {
        "validation": ["d", "f"],
        "calibration": ["c", "ä", "b"],
        "train": ["e", "a", "g"],
    }
    assert list(parts) == ["validation", "calibration", "train"]


def test_what_is_set_aside_depends_neither_on_the_order_nor_on_the_kind_of_list():
    ids = [f"photo ({number})" for number in range(50)]
    counts = {"validation": 5, "calibration": 7}
    expected = set_aside(ids, counts)
    shuffled = np.random.default_rng(0).permutation(ids)
    for other in (ids[::-1], iter(ids), shuffled):
        for part, found in set_aside(other, counts).items():
            np.testing.assert_array_equal(found, expected[part])


def test_parts_that_are_set_aside_are_disjoint_and_hold_every_picture():
    ids = [f"photo ({number})" for number in range(200)]
    parts = set_aside(ids, {"validation": 30, "calibration": 20})
    assert {part: len(found) for part, found in parts.items()} == {
        "validation": 30,
        "calibration": 20,
        "train": 150,
    }
    assert_disjoint(**parts)
    assert sorted(itertools.chain(*parts.values())) == sorted(ids)


def test_a_later_part_does_not_change_an_earlier_one():
    ids = [f"photo ({number})" for number in range(40)]
    alone, both = set_aside(ids, {"first": 9}), set_aside(ids, {"first": 9, "second": 4})
    np.testing.assert_array_equal(alone["first"], both["first"])
    np.testing.assert_array_equal(alone["train"], [*both["second"], *both["train"]])
    assert len(set_aside(ids, {})["train"]) == 40


@pytest.mark.parametrize(
    ("ids", "counts", "error", "words"),
    [
        (["a", "b", "a"], {"test": 1}, ValueError, "'a' is there more than once"),
        (["a", "b"], {"test": 2}, ValueError, r"2 of 2 picture\(s\) cannot be set aside"),
        (["a"], {"one": 1, "two": 3}, ValueError, r"4 of 1 picture\(s\) cannot"),
        ([], {}, ValueError, r"0 of 0 picture\(s\) cannot"),
        (["a", "b"], {"train": 1}, ValueError, "'train' is the part of all other pictures"),
        (["a", "b"], {"test": 0}, ValueError, "test must get a whole number .* not 0"),
        (["a", "b"], {"test": 0.5}, ValueError, "not 0.5"),
        ([b"a", b"b"], {"test": 1}, TypeError, "must be text, not b'a': decode"),
    ],
)
def test_pictures_that_cannot_be_set_aside_are_refused(ids, counts, error, words):
    with pytest.raises(error, match=words):
        set_aside(ids, counts)


# The sample database


def test_sample_has_46_pieces_of_10_photographs_5_distortions_and_5_levels(everything):
    assert len({row["scene"] for row in everything}) == 10
    assert len({row["reference_id"] for row in everything}) == 46
    counts = Counter((row["distortion"], row["level"]) for row in everything)
    assert counts == {(kind, level): 46 for kind in sample_iqa.DISTORTIONS for level in LEVELS}
    assert len({row["image_id"] for row in everything}) == len(everything) == 1150


def test_sample_is_split_6_2_2_by_photograph(rows):
    scenes = {split: {row["scene"] for row in rows[split]} for split in SPLITS}
    assert [len(scenes[split]) for split in SPLITS] == [6, 2, 2]
    assert_disjoint(**scenes)
    assert_disjoint(**{split: {row["reference_id"] for row in rows[split]} for split in SPLITS})


def test_sample_names_each_image_after_what_it_is(everything):
    for row in everything:
        scene, number = row["reference_id"].rsplit("-", maxsplit=1)
        assert scene == row["scene"]
        assert number.isdigit()
        assert row["image_id"] == f"{row['reference_id']}-{row['distortion']}-{row['level']}"


def test_sample_schema(sample):
    picture = tf.TensorSpec((192, 192, 3), tf.uint8)
    expected = {"distorted_image": picture, "reference_image": picture}
    expected |= {name: tf.TensorSpec((), tf.string) for name in TEXTS}
    expected |= {name: tf.TensorSpec((), tf.float32) for name in ("pseudo_dmos", "quality")}
    expected |= {"level": tf.TensorSpec((), tf.int32)}
    assert tuple(sample) == SPLITS
    for dataset in sample.values():
        assert dataset.element_spec == expected


def test_quality_is_pseudo_dmos_turned_round_to_0_1(everything):
    for row in everything:
        assert row["quality"] == pytest.approx(1 - row["pseudo_dmos"] / 100, abs=1e-6)
        assert 0 < row["quality"] < 1


@pytest.mark.parametrize("distortion", sample_iqa.DISTORTIONS)
def test_pseudo_dmos_gets_worse_with_each_level(everything, distortion):
    means = [
        np.mean(
            [
                row["pseudo_dmos"]
                for row in everything
                if (row["distortion"], row["level"]) == (distortion, level)
            ]
        )
        for level in LEVELS
    ]
    assert np.all(np.diff(means) > 3), means


def ms_ssim(first, second):
    """Wang, Simoncelli and Bovik (2003), in SciPy: https://doi.org/10.1109/ACSSC.2003.1292216."""
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window /= window.sum()

    def blur(image):
        for axis in (0, 1):
            image = ndimage.correlate1d(image, window, axis=axis)
        return image[5:-5, 5:-5]

    result = 1.0
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, weight in enumerate(weights, start=1):
        mean_1, mean_2 = blur(first), blur(second)
        variances = blur(first**2) + blur(second**2) - mean_1**2 - mean_2**2
        covariance = blur(first * second) - mean_1 * mean_2
        term = (2 * covariance + 0.03**2) / (variances + 0.03**2)
        if scale == len(weights):
            term = term * (2 * mean_1 * mean_2 + 0.01**2) / (mean_1**2 + mean_2**2 + 0.01**2)
        result *= max(term.mean(), 0) ** weight
        height, width = first.shape
        first, second = (
            image.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
            for image in (first, second)
        )
    return result


def test_pseudo_dmos_is_100_times_the_root_of_1_minus_ms_ssim(references):
    for example in itertools.chain(*(images[::4] for images in references)):
        pictures = (example["reference_image"], example["distorted_image"])
        grays = [picture @ np.array([0.299, 0.587, 0.114]) / 255 for picture in pictures]
        expected = 100 * np.sqrt(1 - ms_ssim(*grays))
        assert example["pseudo_dmos"] == pytest.approx(expected, abs=0.05)


def test_pseudo_dmos_of_an_undistorted_picture_is_zero(references):
    picture = references[0][0]["reference_image"]
    [score] = sample_iqa.pseudo_dmos(picture, picture[np.newaxis])
    assert score == pytest.approx(0, abs=0.5)  # the root enlarges the rounding of float32


def test_ms_ssim_is_the_same_compiled_and_not(references):
    grays = [
        to_gray(references[1][0][name])[None] for name in ("reference_image", "distorted_image")
    ]
    eager = sample_iqa._ms_ssim.python_function(*grays)
    np.testing.assert_allclose(sample_iqa._ms_ssim(*grays), eager, atol=1e-5)


def test_images_of_the_sample_are_made_alike_again(references):
    images = references[0]
    scene = images[0]["scene"].decode()
    piece = sample_iqa.cut_pieces(sample_iqa.PHOTOGRAPHS[scene]())[0]
    again = list(sample_iqa.distort_piece(piece, scene, 0))
    assert len(again) == len(images) == 25
    for before, now in zip(images, again, strict=True):
        np.testing.assert_array_equal(before["reference_image"], now["reference_image"])
        np.testing.assert_array_equal(before["distorted_image"], now["distorted_image"])
        assert before["image_id"].decode() == now["image_id"]
        assert before["pseudo_dmos"] == np.float32(now["pseudo_dmos"])


@pytest.mark.parametrize(
    ("shape", "pieces", "first"),
    [
        ((192, 192, 3), 1, (0, 0)),
        ((200, 400, 3), 2, (4, 8)),
        ((500, 700, 3), 6, (58, 62)),
        ((2000, 2000, 3), 6, (808, 712)),
        ((300, 384), 2, (54, 0)),
    ],
)
def test_pieces_are_cut_side_by_side_from_the_middle(shape, pieces, first, rng):
    photograph = rng.integers(0, 256, shape, dtype=np.uint8)
    cut = sample_iqa.cut_pieces(photograph)
    assert [piece.shape for piece in cut] == [(192, 192, 3)] * pieces
    colour = photograph if len(shape) == 3 else np.repeat(photograph[..., None], 3, axis=-1)
    top, left = first
    columns = min(shape[1] // 192, 3)
    for number, piece in enumerate(cut):
        row, column = top + 192 * (number // columns), left + 192 * (number % columns)
        np.testing.assert_array_equal(piece, colour[row : row + 192, column : column + 192])


def test_every_photograph_is_uint8_and_large_enough_for_a_piece():
    for name, photograph in sample_iqa.PHOTOGRAPHS.items():
        image = photograph()
        assert image.dtype == np.uint8, name
        assert image.ndim == 2 or image.shape[2] == 3, name
        assert min(image.shape[:2]) >= 192, name


# Several splits


@pytest.mark.parametrize(("number", "k"), [(29, 5), (81, 10), (4, 4), (25, 2)])
def test_each_reference_is_in_the_test_of_one_fold(number, k):
    references = [f"scene {index}" for index in range(number)]
    folds = k_folds_by_reference(references, k, seed=0)
    assert len(folds) == k
    assert sorted(itertools.chain(*(test for _, test in folds))) == sorted(references)
    for train, test in folds:
        assert_disjoint(train=train, test=test)
        assert sorted(train + test) == sorted(references)
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    assert folds == k_folds_by_reference(3 * references[::-1], k, seed=0)
    assert folds != k_folds_by_reference(references, k, seed=1)


def test_repeated_splits_differ_and_come_again():
    references = [f"scene {index}" for index in range(30)]
    splits = repeated_splits(references, (80, 20), repeats=10, seed=0)
    assert [tuple(map(len, split)) for split in splits] == [(24, 6)] * 10
    for train, test in splits:
        assert_disjoint(train=train, test=test)
    assert len({tuple(test) for _, test in splits}) == 10
    assert splits == repeated_splits(iter(references), (80, 20), repeats=10, seed=0)
    assert splits[:3] == repeated_splits(references, (80, 20), repeats=3, seed=0)


def test_one_fold_and_no_repeats_are_refused():
    with pytest.raises(ValueError, match="k must be at least 2, not 1"):
        k_folds_by_reference(["a", "b"], 1, seed=0)
    with pytest.raises(ValueError, match=r"2 reference\(s\) cannot be split into 3 parts"):
        k_folds_by_reference(["a", "b"], 3, seed=0)
    with pytest.raises(ValueError, match="repeats must be at least 1, not 0"):
        repeated_splits(["a", "b"], (1, 1), repeats=0, seed=0)


# Loading


def test_load_keeps_the_order_and_slices_as_tfds_does(rows):
    first_ten = datasets.load("sample_iqa", split="train[:10]")
    names = [example["image_id"].decode() for example in first_ten.as_numpy_iterator()]
    assert names == [row["image_id"] for row in rows["train"][:10]]


def test_nobody_waits_for_a_database_to_be_tuned():
    pictures = datasets.load("sample_iqa", split="test", seed=0)
    assert pictures.options().autotune.enabled is False


def test_a_built_database_is_not_built_again(small, capsys):
    datasets.load("sample_iqa")
    assert "Building sample_iqa" in capsys.readouterr().out
    datasets.load("sample_iqa", split="test")
    assert capsys.readouterr().out == ""


def test_an_unknown_database_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no database 'live2'; known: .*sample_iqa"):
        datasets.load("live2")


@pytest.mark.parametrize("split", ["training", "training[:10]", ""])
def test_an_unknown_split_is_named_with_the_known_ones(built, split):
    words = f"sample_iqa has no split '{re.escape(split)}'; it has .*train"
    with pytest.raises(ValueError, match=words):
        datasets.load("sample_iqa", split=split)


def test_available_says_what_is_built(small, small_cache, tmp_path):
    assert datasets.available()["sample_iqa"].built is False
    shutil.copytree(small_cache, tmp_path, dirs_exist_ok=True)
    assert datasets.available()["sample_iqa"].built is True


def test_a_database_may_be_kept_elsewhere(small, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    datasets.load("sample_iqa", data_dir=elsewhere)
    assert any(path.suffix == ".json" for path in files_in(elsewhere))
    assert not small.exists()


def test_changed_code_does_not_meet_an_old_build(built, monkeypatch):
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
    assert files <= set(storage.SAMPLE_SOURCES)


def test_two_builds_are_alike_to_the_byte(built, tmp_path):
    [folder] = built.glob("sample_iqa-*")
    again = tmp_path / "again"
    datasets.load("sample_iqa", data_dir=again)
    files = files_in(folder)
    assert sum("tfrecord" in file.name for file in files) == 3
    assert files == files_in(again / folder.name)
    _, different, unreadable = filecmp.cmpfiles(folder, again / folder.name, files, shallow=False)
    assert (different, unreadable) == ([], [])


def test_records_do_not_depend_on_the_process_that_wrote_them(built):
    # protobuf orders the fields of a record anew in every process, if it is not told otherwise.
    paths = list(built.rglob("*.tfrecord*"))
    assert len(paths) == 3
    for path in paths:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            assert record == example.SerializeToString(deterministic=True)


def test_reading_a_table_logs_nothing(sample, caplog):
    datasets.read_table("sample_iqa", split="validation")
    assert not caplog.records


# Interrupted builds


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_interrupted_build_leaves_nothing_half_made(small, monkeypatch, error):
    calls = itertools.count()
    distort = sample_iqa.distort

    def stop_in_the_middle(*arguments, **settings):
        if next(calls) == 7:  # in the second split
            raise error
        return distort(*arguments, **settings)

    monkeypatch.setattr(sample_iqa, "distort", stop_in_the_middle)
    with pytest.raises(type(error)):
        datasets.load("sample_iqa")
    assert {path.name for path in files_in(small)} <= {".lock"}
    assert not list(small.rglob("*incomplete*"))
    assert datasets.available()["sample_iqa"].built is False

    loaded = datasets.load("sample_iqa")
    assert [len(loaded[split]) for split in SPLITS] == [5, 5, 5]


def test_what_a_killed_build_left_is_cleared_away(built):
    [whole] = built.glob("*/sample_iqa/1.0.0")
    half_made = Path(tfds.core.utils.file_utils._get_incomplete_dir(whole))  # TFDS's own name
    whole.rename(half_made)
    (half_made / "sample_iqa-test.tfrecord-00000-of-00001").unlink()
    assert datasets.available()["sample_iqa"].built is False

    loaded = datasets.load("sample_iqa")
    assert [len(loaded[split]) for split in SPLITS] == [5, 5, 5]
    assert not half_made.exists()
    assert datasets.available()["sample_iqa"].built is True


def test_a_build_that_another_process_finished_meanwhile_is_used(
    small, small_cache, tmp_path, monkeypatch
):
    prepare = storage.prepare

    def wait_for_another_process(*arguments):
        shutil.copytree(small_cache, tmp_path, dirs_exist_ok=True)
        prepare(*arguments)

    monkeypatch.setattr(storage, "prepare", wait_for_another_process)
    assert len(datasets.load("sample_iqa", split="train")) == 5
