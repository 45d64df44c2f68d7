"""Training on several devices, on several workers, and in half precision."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack

import distributed
import keras
import made_up
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from typer.testing import CliRunner

from diqa_utils.cli import app
from diqa_utils.distribution import compute_in_bfloat16
from diqa_utils.models import build_error_map_model
from diqa_utils.training import load_weights

pytestmark = pytest.mark.usefixtures("small_network", "patient")

#: Seconds after which processes that hang are ended.
TIME_LIMIT = 420

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path[:2]))}


@pytest.fixture(scope="module")
def patient():
    """Few pictures are too few for an interval of 90 %."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diqa_utils.ratings.runs.CONFIDENCE", 0.7)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with rated pictures, pristine ones and a recipe."""
    folder = tmp_path_factory.mktemp("root")
    rng = np.random.default_rng(0)
    rows = [["image", "score"]]
    (folder / "own").mkdir()
    for number in range(60):
        roughness = number * 7 % 60 / 59
        texture = 128 + rng.normal(0, 4 + 40 * roughness, (56, 64, 3))
        picture = Image.fromarray(np.clip(texture, 0, 255).astype(np.uint8))
        picture.save(folder / "own" / f"p{number}.png")
        rows.append([f"p{number}.png", f"{1 + 4 * roughness:.3f}"])
    made_up.write_csv(folder / "own", "scores.csv", rows)
    for number in range(2):
        made_up.write(
            folder / "pristine", f"{number}.png", made_up.picture(number, "png", (256, 256))
        )
    (folder / "recipe.json").write_text(json.dumps({"predictor": "diqa"} | distributed.RECIPE))
    return folder


def run_files(folder):
    """The checkpoints of a run: step 1, then step 2."""
    files = sorted((folder / "run").glob("*/checkpoint.npz"))
    assert [file.parent.name.rpartition("-")[0] for file in files] == ["error-maps", "ratings"]
    return [dict(np.load(file)) for file in files]


def train_here(folder, *options):
    done = CliRunner().invoke(app, [*distributed.run_arguments(folder), *options])
    assert done.exit_code == 0, done.output
    return run_files(folder)


@pytest.fixture(scope="module")
def alone(root):
    """What comes of the same trainings on one device: those of the library, and the run."""
    folder = root / "alone"
    trained = distributed.train_scores(tf.distribute.get_strategy())
    steps = {name: [*model.get_weights(), *h.values()] for name, (model, h) in trained.items()}
    return steps, train_here(folder)


def start(kind, folder, **environment):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.distributed", kind, str(folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=ENVIRONMENT | environment, **pipes)


def free_ports(number):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def supervise(folder, **first):
    """Starts two workers, and each again until it ends well: their exit codes and last words."""
    ports = free_ports(2)
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}

    def begin(index, **environment):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        return start("workers", folder, TF_CONFIG=json.dumps(task), **environment)

    workers = [begin(0), begin(1, **first)]
    codes, words = [[], []], ["", ""]
    try:
        while any(worker is not None for worker in workers):
            for index, worker in enumerate(workers):
                if worker is None:
                    continue
                words[index] = worker.communicate(timeout=TIME_LIMIT)[0]
                codes[index].append(worker.returncode)
                again = worker.returncode in (-9, 75)
                workers[index] = begin(index) if again and len(codes[index]) < 3 else None
    finally:
        for worker in workers:
            if worker is not None:
                worker.kill()
                worker.wait()
    return codes, words


def close(expected, given):
    assert len(expected) == len(given)
    for one, other in zip(expected, given, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)


def assert_same_run(expected, folder):
    for one, other in zip(expected, run_files(folder), strict=True):
        assert one.keys() == other.keys()
        close(list(one.values()), list(other.values()))


def test_two_devices_train_as_one_does(root, alone):
    folder = root / "mirrored"
    process = start("mirrored", folder)
    words = process.communicate(timeout=TIME_LIMIT)[0]
    assert process.returncode == 0, words
    assert "2 devices" in words
    assert_same_run(alone[1], folder)


def test_two_workers_train_as_one_does_and_one_may_be_killed(root, alone):
    folder = root / "workers"
    codes, words = supervise(folder, KILLED="1")
    assert codes == [[75, 0], [-9, 0]], words
    assert all("2 devices" in text for text in words)
    assert_same_run(alone[1], folder)
    for name, expected in alone[0].items():
        for task in (0, 1):
            close(expected, list(np.load(folder / f"{name}-{task}.npz").values()))


# Half precision


def test_bfloat16_gives_nearly_the_same_with_weights_that_fit(tmp_path):
    keras.utils.set_random_seed(0)
    model = build_error_map_model()
    half = keras.models.clone_model(model)
    half.set_weights(model.get_weights())
    compute_in_bfloat16(half)
    images = np.random.default_rng(0).normal(0, 0.1, (2, 48, 48, 1)).astype(np.float32)
    assert half(images).dtype == tf.float32
    whole, rounded = (each.get_layer("feature_extractor")(images) for each in (model, half))
    assert rounded.dtype == tf.bfloat16
    assert 0 < np.abs(whole - tf.cast(rounded, tf.float32)).max() < 0.02 * np.abs(whole).max()
    half.save_weights(tmp_path / "half.weights.h5")
    fresh = build_error_map_model()
    load_weights(fresh, tmp_path / "half.weights.h5")
    for one, other in zip(model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_in_bfloat16_is_nearly_that_in_float32(root, alone):
    half = train_here(root / "half", "--bfloat16")
    for expected, given in zip(alone[1], half, strict=True):
        assert (given["loss"] != expected["loss"]).all()
        np.testing.assert_allclose(given["loss"], expected["loss"], rtol=0.05)


# What cannot be


def test_workers_need_to_be_named(root, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    arguments = distributed.run_arguments(root / "none")
    done = CliRunner().invoke(app, [*arguments, "--strategy", "workers"])
    assert done.exit_code == 1
    assert "Error: Set TF_CONFIG: it names all workers" in done.output


def test_a_strategy_that_does_not_exist_is_refused(root):
    done = CliRunner().invoke(
        app, [*distributed.run_arguments(root / "none"), "--strategy", "fast"]
    )
    assert done.exit_code == 1
    assert "Error: strategy must be mirrored or workers, not 'fast'." in done.output
