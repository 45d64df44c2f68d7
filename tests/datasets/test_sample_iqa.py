"""The sample database: what is in it, and that its stand-in score is what it says."""

from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from diqa_utils import datasets
from diqa_utils.datasets import assert_disjoint
from diqa_utils.datasets.sample_iqa import sample_iqa_dataset_builder as sample_iqa
from diqa_utils.distortions import LEVELS
from diqa_utils.evaluation import full_reference_scores

SPLITS = ("train", "validation", "test")


class SampleIqaTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, on few images: it downloads nothing, so it needs no dummies."""

    DATASET_CLASS = sample_iqa.Builder
    EXAMPLE_DIR = Path(__file__).parent
    # 6, 2 and 2 photographs, one piece and one image each
    SPLITS = {"train": 6, "validation": 2, "test": 2}
    MOCK_OUT_FORBIDDEN_OS_FUNCTIONS = False  # scikit-image reads its own files

    def setUp(self):
        few = {"ROWS": 1, "COLUMNS": 1, "LEVELS": (2,), "DISTORTIONS": ("gaussian_blur",)}
        patch = mock.patch.multiple(sample_iqa, **few)
        patch.start()
        self.addCleanup(patch.stop)
        super().setUp()


@pytest.fixture(scope="module")
def tables(sample):
    return {split: datasets.read_table("sample_iqa", split=split) for split in SPLITS}


@pytest.fixture(scope="module")
def everything(sample):
    return datasets.read_table("sample_iqa", split="+".join(SPLITS))


@pytest.fixture(scope="module")
def images(sample):
    """All distorted images of the first reference."""
    return list(sample["train"].take(25).as_numpy_iterator())


def test_there_are_46_pieces_of_10_photographs_5_distortions_and_5_levels(everything):
    assert len(set(everything["scene"])) == 10
    assert len(set(everything["reference_id"])) == 46
    counts = Counter(zip(everything["distortion"], everything["level"], strict=True))
    assert counts == {(kind, level): 46 for kind in sample_iqa.DISTORTIONS for level in LEVELS}
    assert len(set(everything["image_id"])) == len(everything["image_id"]) == 1150
    names = ("reference_id", "distortion", "level")
    for image_id, *parts in zip(everything["image_id"], *map(everything.get, names), strict=True):
        assert image_id == "-".join(map(str, parts))


def test_the_split_is_6_2_2_by_photograph(tables):
    scenes = {split: set(table["scene"]) for split, table in tables.items()}
    assert [len(scenes[split]) for split in SPLITS] == [6, 2, 2]
    assert_disjoint(**scenes)
    assert_disjoint(**{split: table["reference_id"] for split, table in tables.items()})


def test_the_schema(sample):
    picture = tf.TensorSpec((192, 192, 3), tf.uint8)
    expected = {"distorted_image": picture, "reference_image": picture}
    texts = ("image_id", "reference_id", "scene", "distortion")
    expected |= {name: tf.TensorSpec((), tf.string) for name in texts}
    expected |= {name: tf.TensorSpec((), tf.float32) for name in ("pseudo_dmos", "quality")}
    expected |= {"level": tf.TensorSpec((), tf.int32)}
    assert tuple(sample) == SPLITS
    for dataset in sample.values():
        assert dataset.element_spec == expected


def test_quality_is_pseudo_dmos_turned_round_to_0_1(everything):
    np.testing.assert_allclose(
        everything["quality"], 1 - everything["pseudo_dmos"] / 100, atol=1e-6
    )
    assert np.all((everything["quality"] > 0) & (everything["quality"] < 1))


@pytest.mark.parametrize("distortion", sample_iqa.DISTORTIONS)
def test_pseudo_dmos_gets_worse_with_each_level(everything, distortion):
    scores = everything["pseudo_dmos"][everything["distortion"] == distortion]
    levels = everything["level"][everything["distortion"] == distortion]
    means = [np.mean(scores[levels == level]) for level in LEVELS]
    assert np.all(np.diff(means) > 3), means


def test_pseudo_dmos_is_100_times_the_root_of_1_minus_ms_ssim(sample, tables):
    for split, images in sample.items():
        ms_ssim = full_reference_scores(images.take(25), metrics=["ms_ssim"])["ms_ssim"]
        expected = 100 * np.sqrt(1 - ms_ssim)
        np.testing.assert_allclose(tables[split]["pseudo_dmos"][:25], expected, atol=0.05)


def test_pseudo_dmos_of_an_undistorted_picture_is_zero(images):
    picture = images[0]["reference_image"]
    [score] = sample_iqa.pseudo_dmos(picture, picture[np.newaxis])
    assert score == pytest.approx(0, abs=0.5)  # the root enlarges the rounding of float32


def test_images_of_the_sample_are_made_alike_again(images):
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
