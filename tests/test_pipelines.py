"""From images of a database to batches."""

import gc
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from diqa_utils.maps import (
    DEFAULT_ALPHA,
    average_reliability_map,
    downscale,
    error_map,
    hand_crafted_features,
)
from diqa_utils.pipelines import (
    error_map_batches,
    score_batches,
    to_error_map_example,
    to_score_example,
)
from diqa_utils.preprocessing import normalize

NUMBER, SIZE = 5, (64, 84)

#: Bytes that the five images and their maps take in memory.
KEPT = NUMBER * 64 * 84 * 4 * (1 + 2 / 16)

#: Limits with which they are just kept in memory, just kept on disk, or made anew in every epoch.
ALL_WAYS = pytest.mark.parametrize(
    "limits",
    [
        {"memory_limit": KEPT, "disk_limit": 0},
        {"memory_limit": KEPT - 1, "disk_limit": KEPT},
        {"memory_limit": KEPT - 1, "disk_limit": KEPT - 1},
    ],
    ids=["memory", "disk", "streaming"],
)
EITHER_STEP = pytest.mark.parametrize(
    "limits",
    [{}, {"memory_limit": 0}, {"memory_limit": 0, "disk_limit": 0}],
    ids=["memory", "disk", "streaming"],
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder in which examples are kept."""
    monkeypatch.setenv("DIQA_CACHE_DIR", str(tmp_path))
    return tmp_path / "examples"


def kept_folders(cache):
    gc.collect()  # a dataset and the functions of its graph refer to each other
    return [path for path in cache.iterdir() if path.is_dir()]


def images(rng, number, size=SIZE):
    """Features of made-up images, each with a contrast of its own."""
    reference = rng.integers(0, 256, (number, *size, 3), dtype=np.uint8)
    noise = rng.integers(-20, 21, reference.shape) * (rng.random(reference.shape) < 0.5)
    return {
        "reference_image": reference,
        "distorted_image": np.clip(reference + noise, 0, 255).astype(np.uint8),
        "quality": np.linspace(0, 1, number, dtype=np.float32),
    }


@pytest.fixture
def features(rng):
    return images(rng, NUMBER)


@pytest.fixture
def dataset(features):
    return tf.data.Dataset.from_tensor_slices(features)


@pytest.fixture
def uneven():
    """Images of different sizes, none of them known when the graph is traced."""
    sizes = [(48, 60), (51, 49), (64, 84)]

    def generate():
        for number, size in enumerate(sizes):
            example = images(np.random.default_rng(number), 1, size)
            yield {name: values[0] for name, values in example.items()}

    image = tf.TensorSpec((None, None, 3), tf.uint8)
    signature = dict.fromkeys(("reference_image", "distorted_image"), image)
    signature["quality"] = tf.TensorSpec((), tf.float32)
    return tf.data.Dataset.from_generator(generate, output_signature=signature)


def image_of(features, index=0):
    return {name: values[index] for name, values in features.items()}


def collect(batches):
    """One epoch: the batches' parts, each joined along the first axis."""
    return [np.concatenate(part) for part in zip(*batches.as_numpy_iterator(), strict=True)]


def pixels(batch):
    """The normalised images of a batch of either step."""
    return batch[0]["normalized"] if isinstance(batch[0], dict) else batch[0]


class Source:
    """A dataset that counts how often its images are read."""

    def __init__(self, features):
        self.reads = 0

        def generate():
            for index in range(NUMBER):
                self.reads += 1
                yield image_of(features, index)

        signature = {
            name: tf.TensorSpec(values.shape[1:], values.dtype) for name, values in features.items()
        }
        endless = tf.data.Dataset.from_generator(generate, output_signature=signature)
        self.dataset = endless.apply(tf.data.experimental.assert_cardinality(NUMBER))


# One image


@pytest.mark.parametrize("settings", [{}, {"exponent": 0.5, "alpha": 10.0}])
def test_error_map_example_holds_the_maps_at_the_networks_scale(features, settings):
    exponent, alpha = settings.get("exponent", 0.2), settings.get("alpha", DEFAULT_ALPHA)
    normalized, target, reliability = to_error_map_example(image_of(features), **settings)
    reference, distorted = (
        normalize(features[f"{kind}_image"][0]) for kind in ("reference", "distorted")
    )
    np.testing.assert_allclose(normalized, distorted)
    expected = downscale(error_map(reference, distorted, exponent=exponent))
    np.testing.assert_allclose(target, expected)
    expected = downscale(average_reliability_map(distorted, alpha=alpha))
    np.testing.assert_allclose(reliability, expected)
    assert target.shape == reliability.shape == (16, 21, 1)


def test_score_example_holds_what_the_score_model_takes(features):
    inputs, quality = to_score_example(image_of(features, 2))
    distorted = features["distorted_image"][2]
    assert set(inputs) == {"normalized", "hand_crafted"}
    np.testing.assert_allclose(inputs["normalized"], normalize(distorted))
    np.testing.assert_allclose(inputs["hand_crafted"], hand_crafted_features(distorted))
    assert (quality.dtype, float(quality)) == (tf.float32, 0.5)


# Batches of whole images


@ALL_WAYS
def test_whole_images_come_in_order_without_a_seed(dataset, features, limits):
    settings = {"exponent": 0.5, "alpha": 10.0}
    batches = error_map_batches(dataset, batch_size=2, **limits, **settings)
    assert [len(batch[0]) for batch in batches] == [2, 2, 1]
    examples = [to_error_map_example(image_of(features, i), **settings) for i in range(NUMBER)]
    for _ in range(2):
        for part, values in zip(collect(batches), zip(*examples, strict=True), strict=True):
            assert part.dtype == np.float32
            np.testing.assert_allclose(part, np.stack(values), atol=1e-3)


@EITHER_STEP
def test_score_batches_come_in_order_without_a_seed(dataset, features, limits):
    batches = score_batches(dataset, batch_size=2, alpha=3.0, **limits)
    assert [len(quality) for _, quality in batches] == [2, 2, 1]
    pictures = features["distorted_image"]
    expected = {
        "normalized": normalize(pictures),
        "hand_crafted": hand_crafted_features(pictures, alpha=3.0),
    }
    for name, values in expected.items():
        actual = np.concatenate([inputs[name] for inputs, _ in batches])
        np.testing.assert_allclose(actual, values, atol=1e-6)
    quality = np.concatenate([quality for _, quality in batches])
    np.testing.assert_array_equal(quality, features["quality"])


@pytest.mark.parametrize("kept", [{}, {"memory_limit": 0}], ids=["streaming", "disk"])
def test_images_of_different_sizes_come_one_by_one(uneven, kept):
    if kept:  # only where their number is known
        uneven = uneven.apply(tf.data.experimental.assert_cardinality(3))
    cells = [(12, 15), (13, 13), (16, 21)]
    for (_, *maps), expected in zip(
        error_map_batches(uneven, batch_size=1, **kept), cells, strict=True
    ):
        assert [part.shape[1:3] for part in maps] == [expected, expected]
    for batches in (error_map_batches, score_batches):
        sizes = [pixels(batch).shape[1:3] for batch in batches(uneven, batch_size=1, **kept)]
        assert sizes == [(48, 60), (51, 49), (64, 84)]


@pytest.mark.parametrize("limits", [{}, {"memory_limit": 0}], ids=["memory", "disk"])
def test_shuffling_differs_by_epoch_and_repeats_by_seed(dataset, features, limits):
    def orders(seed):
        """The order of the images in each of four epochs, by their quality."""
        batches = score_batches(dataset, batch_size=2, seed=seed, **limits)
        return [[float(quality) for _, quality in batches.unbatch()] for _ in range(4)]

    first = orders(1)
    assert first == orders(1) != orders(2)
    assert len({tuple(order) for order in first}) > 1
    assert all(sorted(order) == sorted(features["quality"].tolist()) for order in first)


@pytest.mark.parametrize(
    "make",
    [
        score_batches,
        error_map_batches,
        partial(error_map_batches, patch_size=48, patches_per_image=3),
    ],
)
@EITHER_STEP
def test_kept_images_are_read_once_and_others_once_in_every_epoch(features, make, limits):
    # A shuffle before the cache would hold decoded images, and freeze the order of epoch 1.
    source = Source(features)
    batches = make(source.dataset, batch_size=2, seed=0, **limits)
    before = source.reads
    epochs = [[pixels(batch) for batch in batches] for _ in range(4)]
    assert any(np.any(first != other) for first, other in zip(epochs[0], epochs[1], strict=True))
    if limits == {"memory_limit": 0, "disk_limit": 0}:
        assert source.reads - before == 4 * NUMBER
    else:
        assert source.reads <= NUMBER + 2  # a look at whether there are any


def test_images_of_unknown_number_stream(features):
    source = Source(features)
    batches = score_batches(source.dataset.filter(lambda _: True), batch_size=2, seed=0)
    before = source.reads
    assert [len([*batches]) for _ in range(2)] == [3, 3]
    assert source.reads - before == 2 * NUMBER


def test_a_database_of_many_gigabytes_streams(dataset, cache):
    # 17.3 GB, of which integers of 32 bits would make 0.13.
    score_batches(dataset.repeat(161_000), batch_size=2)
    assert not cache.exists()


@ALL_WAYS
@pytest.mark.parametrize(
    ("patches", "number"), [({}, 3), ({"patch_size": 48, "patches_per_image": 3}, 8)]
)
def test_the_number_of_batches_is_known(dataset, patches, number, limits):
    batches = error_map_batches(dataset, batch_size=2, seed=0, **limits, **patches)
    assert len(batches) == number == len([*batches])


# Patches


def places(patch, whole):
    """Where a patch was cut from the whole image, and whether it was mirrored."""
    side = patch.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(whole, (side, side))
    return [
        (row, column, mirrored)
        for mirrored in (False, True)
        for row, column in np.argwhere(
            np.all(windows == (patch[:, ::-1] if mirrored else patch), axis=(2, 3))
        ).tolist()
    ]


@ALL_WAYS
def test_image_and_maps_of_a_patch_are_cut_from_one_place(dataset, limits):
    patches = collect(
        error_map_batches(
            dataset, batch_size=4, patch_size=48, patches_per_image=8, seed=0, **limits
        )
    )
    whole = collect(error_map_batches(dataset, batch_size=NUMBER))
    assert [part.shape[1:] for part in patches] == [(48, 48, 1), (12, 12, 1), (12, 12, 1)]
    squares = []
    for normalized, target, reliability in zip(*patches, strict=True):
        [(index, (row, column, mirrored))] = [
            (index, place)
            for index in range(NUMBER)
            for place in places(normalized[..., 0], whole[0][index, ..., 0])
        ]
        assert row % 4 == column % 4 == 0
        cells = np.s_[index, row // 4 : row // 4 + 12, column // 4 : column // 4 + 12]
        direction = -1 if mirrored else 1
        np.testing.assert_array_equal(target[:, ::direction], whole[1][cells])
        np.testing.assert_array_equal(reliability[:, ::direction], whole[2][cells])
        squares.append((index, row, column, mirrored))

    by_index, rows, columns, mirrors = (set(values) for values in zip(*squares, strict=True))
    assert by_index == set(range(NUMBER))
    assert rows == {0, 4, 8, 12, 16}  # the last row and column too
    assert columns <= set(range(0, 40, 4))
    assert len(columns) >= 6
    assert mirrors == {False, True}
    counts = np.bincount([index for index, *_ in squares])
    assert counts.tolist() == [8] * NUMBER
    # Patches of one image do not come in a row.
    assert len({index for index, *_ in squares[:8]}) > 2


@ALL_WAYS
def test_patches_differ_by_epoch_and_repeat_by_seed(dataset, limits):
    def epochs(seed):
        batches = error_map_batches(
            # Of one image: the patches differ because they are cut elsewhere.
            dataset.take(1),
            batch_size=2,
            patch_size=48,
            patches_per_image=6,
            seed=seed,
            **limits,
        )
        return [collect(batches)[0] for _ in range(2)]

    first, again, other = epochs(1), epochs(1), epochs(2)
    np.testing.assert_array_equal(first, again)
    assert np.any(first[0] != first[1])
    assert np.any(first[0] != other[0])


def test_a_patch_may_be_as_large_as_the_image(rng):
    dataset = tf.data.Dataset.from_tensor_slices(images(rng, 2, (48, 48)))
    (normalized, *_) = collect(error_map_batches(dataset, batch_size=2, patch_size=48, seed=0))
    assert normalized.shape == (2, 48, 48, 1)


def test_patches_are_cut_from_images_of_any_size(uneven):
    # 51 x 49 pixels make 13 x 13 cells, but only the first 12 of a side are whole.
    batches = error_map_batches(uneven, batch_size=60, patch_size=48, patches_per_image=20, seed=0)
    assert [part.shape[:2] for part in collect(batches)] == [(60, 48), (60, 12), (60, 12)]


# Examples on disk


@pytest.mark.parametrize("make", [error_map_batches, score_batches])
def test_examples_on_disk_are_those_in_memory_to_the_bit(dataset, make):
    on_disk = make(dataset, batch_size=2, memory_limit=0)
    in_memory = make(dataset, batch_size=2)
    assert on_disk.element_spec == in_memory.element_spec
    for disk, memory in zip(on_disk, in_memory, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, disk, memory)


def test_an_unfinished_pass_leaves_the_next_one_whole(dataset, features):
    batches = score_batches(dataset, batch_size=1, memory_limit=0)
    unfinished = iter(batches)
    next(unfinished)
    assert len([*batches.take(2)]) == 2
    qualities = [float(quality[0]) for _, quality in batches]
    assert qualities == features["quality"].tolist()


def test_files_are_deleted_with_the_last_that_reads_them(dataset, cache):
    batches = error_map_batches(dataset, batch_size=1, patch_size=48, seed=0, memory_limit=0)
    [folder] = kept_folders(cache)
    assert list(folder.iterdir())
    others = iter(batches)
    del batches
    assert kept_folders(cache) == [folder]
    assert len([*others]) == NUMBER
    del others
    assert kept_folders(cache) == []


def test_nothing_is_left_of_a_process_that_ends_in_the_middle_of_an_epoch(cache):
    code = """
import numpy as np, tensorflow as tf
from diqa_utils.pipelines import score_batches
features = {"distorted_image": np.zeros((9, 64, 64, 3), np.uint8), "quality": np.zeros(9)}
dataset = tf.data.Dataset.from_tensor_slices(features)
batches = iter(score_batches(dataset, batch_size=1, memory_limit=0))
next(batches)
"""
    subprocess.run([sys.executable, "-c", code], timeout=300, check=True)
    assert kept_folders(cache) == []


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(features, cache, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**31, 2**30, 2**30))
    source = Source(features)
    many = source.dataset.repeat(20_000)
    words = (
        rf"need 2,052 MiB on the disk of {re.escape(str(cache))}, which has 1,024 MiB left: "
        "name a folder with more space in DIQA_CACHE_DIR, or set disk_limit=0"
    )
    with pytest.raises(OSError, match=words):
        score_batches(many, batch_size=2)
    assert source.reads <= 2
    assert kept_folders(cache) == []


def test_a_disk_that_fills_up_is_named_and_emptied(dataset, cache, monkeypatch):
    def full(dataset):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(type(dataset.with_options(tf.data.Options())), "__iter__", full)
    with pytest.raises(OSError, match=r"is full: name a folder .* set disk_limit=0"):
        score_batches(dataset, batch_size=2, memory_limit=0)
    assert kept_folders(cache) == []


def test_an_image_that_cannot_be_made_leaves_no_files(dataset, cache):
    def fail_at_the_last(number, features):
        tf.debugging.assert_less(number, tf.constant(NUMBER - 1, tf.int64), "a damaged image")
        return features

    damaged = dataset.enumerate().map(fail_at_the_last)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a damaged image"):
        score_batches(damaged, batch_size=2, memory_limit=0)
    assert kept_folders(cache) == []


# Bad input


@pytest.mark.parametrize("make", [error_map_batches, score_batches])
def test_an_empty_dataset_is_refused(dataset, make):
    with pytest.raises(ValueError, match="The dataset is empty"):
        make(dataset.take(0), batch_size=2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"patch_size": 50}, "patch_size must be a multiple of 4, 48 or more, not 50"),
        ({"patch_size": 44}, "not 44"),
        ({"patch_size": 0}, "not 0"),
        ({"patch_size": 80}, "patch_size is 80, but the images are only 64 x 84"),
        ({"patch_size": 48, "seed": None}, "patches need a seed"),
        ({"patch_size": 48, "patches_per_image": 0}, "patches_per_image must be at least 1, not 0"),
    ],
)
def test_patches_that_cannot_be_cut_are_refused(dataset, settings, words):
    with pytest.raises(ValueError, match=words):
        error_map_batches(dataset, batch_size=2, **{"seed": 0, **settings})


def test_a_patch_larger_than_one_of_different_images_is_refused_while_iterating(uneven):
    batches = error_map_batches(uneven, batch_size=1, patch_size=52, seed=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="smaller than patch_size = 52"):
        collect(batches)
