"""Sets of pairs, built by one worker or two."""

import hashlib
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("apache_beam")

import tensorflow_datasets as tfds
from typer.testing import CliRunner

from diqa_utils._internal.tensorflow import compiled
from diqa_utils.beam import __main__, pairs
from diqa_utils.beam.pairs import build_pairs, pairs_dataset
from diqa_utils.distortions import DISTORTIONS
from diqa_utils.models import build_error_map_model
from diqa_utils.pipelines import to_error_map_example
from diqa_utils.ratings.pretraining import MARGIN, damaged_pair
from diqa_utils.training import train_error_map_model

# Beam and TFDS leave files to the garbage collector, and TFDS calls what it has itself deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SETTINGS = {"squares": 2, "validation_share": 0.3}
SPLITS = ("train", "validation")
SECONDS = 240  # that no process of a test outlives


@pytest.fixture(scope="module", autouse=True)
def three_shards():
    """Three shards in each split, for as few patches as these."""
    with pytest.MonkeyPatch.context() as patch:
        config = partial(tfds.download.DownloadConfig, num_shards=3)
        patch.setattr(tfds.download, "DownloadConfig", config)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four pictures, a copy of one, and three files that will not do."""
    from skimage import data

    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        Image.fromarray(getattr(data, name)()[:300, :320]).save(folder / f"{name}.png")
    whole = (folder / "coffee.png").read_bytes()
    (folder / "copy.png").write_bytes(whole)
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no picture")
    Image.new("RGB", (300, 255)).save(folder / "small.png")
    return folder


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    """A set that one worker has built in this process, and what was said of it."""
    folder = tmp_path_factory.mktemp("built")
    return folder, build_pairs(f"{photos}/*.png", folder, **SETTINGS)


def shards_of(folder):
    """SHA-256 of every shard, by name."""
    shards = sorted(Path(folder).rglob("*.tfrecord*"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}


def records(folder, split):
    """Records as TFDS reads them from the folder, with no help of the library."""
    builder = tfds.builder_from_directory(folder / "pairs" / "1.0.0")
    return list(tfds.as_numpy(builder.as_dataset(split=split)))


def test_bad_pictures_are_named_and_all_others_are_in(photos, built):
    folder, counts = built
    assert counts == {"squares": 8, "pictures": 4, "copies": 1, "failed": 3}
    lines = (folder / "pairs" / "1.0.0" / "failed.jsonl").read_text().splitlines()
    failed = {Path(line["file"]).name: line["error"] for line in map(json.loads, lines)}
    assert set(failed) == {"cut.png", "text.png", "small.png"}
    assert "is damaged" in failed["cut.png"]
    assert "is not a picture file" in failed["text.png"]
    assert "sides of 256 pixels or more" in failed["small.png"]
    assert not list(folder.rglob("*incomplete*"))


def test_no_picture_is_on_both_sides(photos, built):
    folder, _ = built
    sides = [{record["sha256"] for record in records(folder, split)} for split in SPLITS]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]
    contents = {hashlib.sha256(path.read_bytes()).hexdigest() for path in photos.iterdir()}
    assert {key.decode() for side in sides for key in side} < contents


def test_records_are_what_the_library_makes_of_the_same_squares(photos, built):
    folder, _ = built
    made = [record for split in SPLITS for record in records(folder, split)]
    content = (photos / "rocket.png").read_bytes()
    digest = hashlib.sha256(content).digest()
    patches = [record for record in made if record["sha256"] == digest.hex().encode()]
    assert len(patches) == 2 * pairs.PATCHES
    picture = np.asarray(Image.open(photos / "rocket.png"))
    make = compiled(to_error_map_example)  # a graph rounds in another way, which small errors show
    for number in range(2):
        rng = np.random.default_rng([0, number, *np.frombuffer(digest, "<u4")])
        reference, distorted = damaged_pair([picture], tuple(DISTORTIONS), rng)
        example = make({"reference_image": reference, "distorted_image": distorted})
        for top, left in [(MARGIN, MARGIN), (MARGIN, 128), (128, MARGIN), (128, 128)]:
            expected = []
            for values in example:
                step = 256 // len(values)
                area = slice(top // step, (top + 112) // step)
                expected.append(values.numpy()[area, left // step : (left + 112) // step])
            assert any(
                all(
                    np.allclose(record[part], values, rtol=2**-11, atol=1e-4)
                    for part, values in zip(pairs.PARTS, expected, strict=True)
                )
                for record in patches
            )


def test_another_seed_gives_other_squares_of_the_same_split(photos, built, tmp_path):
    folder, _ = built
    build_pairs(f"{photos}/*.png", tmp_path, **SETTINGS, seed=1)
    one, other = shards_of(folder), shards_of(tmp_path)
    assert not set(one.values()) & set(other.values())
    for split in SPLITS:
        same = [{record["sha256"] for record in records(at, split)} for at in (folder, tmp_path)]
        assert same[0] == same[1]


def test_a_set_that_is_there_is_kept_and_never_taken_for_another(photos, built, monkeypatch):
    folder, counts = built
    monkeypatch.setattr(pairs, "_build", None)
    assert build_pairs(f"{photos}/*.png", folder, **SETTINGS) == counts
    with pytest.raises(ValueError, match=r"differs in seed \(0 there, 1 here\): take another"):
        build_pairs(f"{photos}/*.png", folder, **SETTINGS, seed=1)
    monkeypatch.chdir(photos)
    with pytest.raises(ValueError, match=r"differs in pattern \(.*there, './\*\.png' here"):
        build_pairs("*.png", folder, **SETTINGS)


def arguments(pattern, folder):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    return ["pairs", pattern, f"--output={folder}", *options]


def test_two_workers_write_the_same_shards_after_a_kill(photos, built, tmp_path, monkeypatch):
    """In another folder, under other names, and where a killed process has left half of a set."""
    moved, folder = tmp_path / "moved", tmp_path / "set"
    moved.mkdir()
    for number, path in enumerate(sorted(photos.iterdir(), reverse=True)):
        (moved / f"{number}.png").write_bytes(path.read_bytes())
    pipe = moved / "pipe.png"
    os.mkfifo(pipe)  # whoever reads it waits
    killed = subprocess.Popen(
        [sys.executable, "-m", "diqa_utils.beam", *arguments(f"{moved}/*", folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    writer, end = None, time.monotonic() + SECONDS
    try:
        while writer is None and killed.poll() is None and time.monotonic() < end:
            try:
                writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)  # once somebody reads it
            except OSError:
                time.sleep(0.05)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait(SECONDS)
    assert writer is not None
    os.close(writer)
    pipe.unlink()
    assert list(folder.rglob("incomplete.*"))
    with pytest.raises(FileNotFoundError, match="no set of pairs in"):
        pairs_dataset(folder, "train", batch_size=4)

    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")  # the command sets it
    workers = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    level = logging.getLogger().level
    done = CliRunner().invoke(__main__.app, [*arguments(f"{moved}/*", folder), *workers])
    logging.getLogger().setLevel(level)
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        "8 squares of 4 pictures written. Left out as copies: 1. "
        "Failed: 3, named in failed.jsonl.\n"
    )
    assert not list(folder.rglob("*incomplete*"))
    one_worker, _ = built
    assert len(shards_of(folder)) == 6
    assert shards_of(folder) == shards_of(one_worker)


def test_the_error_map_model_learns_from_a_set(built, small_network):
    folder, _ = built
    training = pairs_dataset(folder, "train", batch_size=4, seed=0)
    assert training.element_spec[0].shape.as_list() == [None, 112, 112, 1]
    orders = [[batch[0].numpy() for batch in training] for _ in range(2)]
    again = [batch[0].numpy() for batch in pairs_dataset(folder, "train", batch_size=4, seed=0)]
    assert all(np.array_equal(one, other) for one, other in zip(orders[0], again, strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(*orders, strict=True))
    validation = pairs_dataset(folder, "validation", batch_size=4)
    history = train_error_map_model(
        build_error_map_model(), training, validation, epochs=3, progress=False
    )
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patch_size": 50}, "patch_size must be a multiple of 4 from 48 to 112, not 50"),
        ({"pattern": "/nowhere/*"}, r"No file matches '/nowhere/\*'"),
    ],
)
def test_what_cannot_be_is_said_at_once(photos, tmp_path, change, words):
    settings = {"pattern": f"{photos}/*.png", "folder": tmp_path} | SETTINGS | change
    with pytest.raises(ValueError, match=words):
        build_pairs(**settings)
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_a_split_without_pictures_is_a_sentence(photos, tmp_path):
    with pytest.raises(ValueError, match="No picture that will do fell to the split"):
        build_pairs(f"{photos}/small.png", tmp_path, **SETTINGS)
    assert not list(tmp_path.rglob("*incomplete*"))


def test_the_command_has_the_defaults_of_the_function():
    asked = inspect.signature(__main__.pairs).parameters
    for name, parameter in inspect.signature(build_pairs).parameters.items():
        if name in asked and asked[name].default not in (None, inspect.Parameter.empty):
            assert asked[name].default == parameter.default
