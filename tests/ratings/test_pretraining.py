"""Endless batches of error maps from pristine pictures."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from diqa_utils.distortions import DISTORTIONS, LEVELS
from diqa_utils.maps import average_reliability_map, downscale, error_map
from diqa_utils.preprocessing import normalize
from diqa_utils.ratings.pretraining import (
    CROP,
    damaged_pair,
    pristine_batches,
    pristine_pictures,
    throughput,
)


@pytest.fixture(scope="module")
def pictures():
    from skimage import data

    return [data.astronaut(), data.coffee()]


def taken(dataset, number):
    return [[part.numpy() for part in batch] for batch in dataset.take(number)]


def test_nobody_waits_for_the_batches_to_be_tuned(pictures):
    batches = pristine_batches(pictures, batch_size=8, patch_size=96)
    assert batches.options().autotune.enabled is False


def test_all_distortions_are_drawn_at_all_levels(pictures, monkeypatch):
    drawn = Counter()

    def count(image, distortion, level, *, seed):
        drawn[distortion, level] += 1
        return image

    monkeypatch.setattr("diqa_utils.ratings.pretraining.distort", count)
    rng = np.random.default_rng(0)
    for _ in range(2500):
        damaged_pair(pictures, tuple(DISTORTIONS), rng)
    assert set(drawn) == {(name, level) for name in DISTORTIONS for level in LEVELS}
    assert max(drawn.values()) < 4 * 2500 / len(drawn)


def test_large_pictures_are_halved_now_and_then(monkeypatch):
    monkeypatch.setattr("diqa_utils.ratings.pretraining.distort", lambda image, *_, **__: image)
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 200  # means of 2 x 2 pixels are grey
    rng = np.random.default_rng(0)
    crops = [damaged_pair([stripes], tuple(DISTORTIONS), rng)[0] for _ in range(40)]
    grey = sum(bool((crop == 100).all()) for crop in crops)
    assert 10 < grey < 30


def test_one_seed_gives_one_sequence_that_goes_on_from_any_batch(pictures):
    whole = taken(pristine_batches(pictures, batch_size=4, seed=1), 4)
    assert len({batch[0].tobytes() for batch in whole}) == 4
    [other_seed] = taken(pristine_batches(pictures, batch_size=4, seed=2), 1)
    assert not np.array_equal(other_seed[0], whole[0][0])
    rest = taken(pristine_batches(pictures, batch_size=4, seed=1, first=2), 2)
    for one, other in zip(whole[2:], rest, strict=True):
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)


def test_patches_and_maps_are_cut_from_the_same_places(pictures):
    seed, side = 5, 80
    pair = damaged_pair(pictures, tuple(DISTORTIONS), np.random.default_rng([seed, 0]))
    reference, distorted = normalize(pair[0]), normalize(pair[1])
    target = downscale(error_map(reference, distorted)).numpy()
    weights = downscale(average_reliability_map(distorted)).numpy()
    batches = pristine_batches(pictures, batch_size=4, patch_size=side, seed=seed)
    [[patches, targets, reliabilities]] = taken(batches, 1)
    far = CROP - 16 - side
    for number, (top, left) in enumerate([(16, 16), (16, far), (far, 16), (far, far)]):
        expected = distorted.numpy()[top : top + side, left : left + side]
        np.testing.assert_allclose(patches[number], expected, atol=1e-6)
        rows, columns = slice(top // 4, (top + side) // 4), slice(left // 4, (left + side) // 4)
        np.testing.assert_allclose(targets[number], target[rows, columns], atol=1e-4)
        np.testing.assert_allclose(reliabilities[number], weights[rows, columns], atol=1e-4)


def test_throughput_counts_patches(pictures, monkeypatch):
    clock = iter([10.0, 14.0, 20.0])
    monkeypatch.setattr("diqa_utils.ratings.pretraining.time.perf_counter", lambda: next(clock))
    batches = tf.data.Dataset.from_tensors((tf.zeros((8, 1)),) * 3).repeat()
    assert throughput(batches, 5) == 5 * 8 / 4.0
    with pytest.raises(ValueError, match="no 3 batches"):
        throughput(batches.take(3), 3)


def test_pictures_are_read_in_the_order_of_their_paths(tmp_path, rng):
    (tmp_path / "b").mkdir()
    for name in ("b/1.png", "a.PNG"):
        pixels = rng.integers(0, 256, (256, 300, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "readme.txt").write_text("no picture")
    pictures = pristine_pictures(tmp_path)
    assert len(pictures) == 2
    np.testing.assert_array_equal(pictures[0], np.array(Image.open(tmp_path / "a.PNG")))


def test_folders_that_will_not_do_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing"):
        pristine_pictures(tmp_path / "missing")
    with pytest.raises(ValueError, match="no picture below"):
        pristine_pictures(tmp_path)
    Image.new("RGB", (255, 400)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match=r"small\.png.*sides of 256 pixels"):
        pristine_pictures(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 6}, "multiple of four, not 6"),
        ({"batch_size": 0}, "multiple of four, not 0"),
        ({"batch_size": 4, "patch_size": 90}, "from 48 to 112, not 90"),
        ({"batch_size": 4, "patch_size": 116}, "from 48 to 112, not 116"),
        ({"batch_size": 4, "distortions": ["jpeg", "rain"]}, "'rain' is none of gaussian_blur"),
    ],
)
def test_bad_settings_are_refused(pictures, settings, message):
    with pytest.raises(ValueError, match=message):
        pristine_batches(pictures, **settings)


def test_pictures_that_will_not_do_are_named():
    with pytest.raises(ValueError, match="no pictures"):
        pristine_batches([], batch_size=4)
    good = np.zeros((256, 256, 3), np.uint8)
    for bad in (good[:255], good[..., :1], good[..., 0], good / 255):
        with pytest.raises(ValueError, match=r"picture 1 is (uint8|float64) of shape"):
            pristine_batches([good, bad], batch_size=4)
