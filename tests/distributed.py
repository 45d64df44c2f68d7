"""What tests/test_distribution.py starts in fresh processes: training on more devices than one.

Called as `python -m tests.distributed KIND FOLDER`. Every process takes the same trainings, which
are those that `run_arguments` and `train_scores` describe, and writes down what came of them.
"""

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from typer.testing import CliRunner

from diqa_utils import cli, distribution, models, training
from diqa_utils.pipelines import score_batches
from diqa_utils.ratings import runs

NUMBER, SIZE, EPOCHS = 5, 48, 2

#: Five pictures in a batch cannot be shared evenly; the last one of `database` not at all.
RECIPE = {
    "error_maps": {"epochs": 2, "steps": 2, "patches": 4, "patch_size": 48, "held_out_batches": 1},
    "features": {"epochs": 2, "batch_size": 5, "crop_size": 16, "warm_up": 2},
}


def database(seed):
    """Images whose noise grows as their quality falls."""
    rng = np.random.default_rng(seed)
    quality = np.array([0.9, 0.1, 0.7, 0.3, 0.5], np.float32)
    reference = rng.integers(60, 196, (NUMBER, SIZE, SIZE, 3))
    noise = rng.normal(0, 1, reference.shape) * (1 - quality)[:, None, None, None] * 60
    return tf.data.Dataset.from_tensor_slices(
        {
            "reference_image": reference.astype(np.uint8),
            "distorted_image": np.clip(reference + noise, 0, 255).astype(np.uint8),
            "quality": quality,
        }
    )


def train_scores(strategy, folder=None):
    """Trains step 2 with `fit`, with f and with f frozen: name -> (model, history)."""
    trained = {}
    for name in ("scores", "scores, f frozen"):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = models.build_score_model()
            optimizer = keras.optimizers.Nadam(3e-4)
        model.get_layer("feature_extractor").trainable = "frozen" not in name
        history = training.train_score_model(
            model,
            score_batches(database(0), batch_size=4, seed=0),
            score_batches(database(1), batch_size=2),
            epochs=EPOCHS,
            optimizer=optimizer,
            folder=None if folder is None else folder / name,
            progress=False,
        )
        trained[name] = model, history
    return trained


def run_arguments(folder):
    """What `diqa train` is called with, in a folder with pictures, to leave a run in `folder`."""
    place = ["--manual-dir", folder.parent / "own", "--data-dir", folder / "built"]
    database = ["--database", "folder_iqa", *place, "--scale", 1, 5]
    pristine = ["--pristine", folder.parent / "pristine", "--folder", folder / "run"]
    recipe = folder.parent / "recipe.json"
    return [str(part) for part in ("train", recipe, *database, *pristine)]


def killed_after_the_first_epoch():
    """Lets this process end by SIGKILL once the first epoch's checkpoint is there."""
    save = training.Checkpoints.save

    def last_save(checkpoints, *epoch):
        save(checkpoints, *epoch)
        # The first worker writes it.
        while not checkpoints.file.exists():
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    training.Checkpoints.save = last_save


def main(kind, folder):
    faulthandler.dump_traceback_later(400, exit=True)  # whatever hangs comes to an end
    task = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]
    if kind == "mirrored":
        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    models.CONVOLUTIONS = ((8, 2), (128, 2))
    runs.CONFIDENCE = 0.7  # few pictures do for it
    if os.environ.get("KILLED"):
        killed_after_the_first_epoch()
    done = CliRunner().invoke(cli.app, [*run_arguments(folder), "--strategy", kind])
    print(done.output, flush=True)
    if done.exit_code:
        if not isinstance(done.exception, SystemExit):
            raise done.exception
        sys.exit(done.exit_code)
    strategy = distribution.make_strategy(kind)
    print(f"{strategy.num_replicas_in_sync} devices", flush=True)
    if kind == "mirrored":
        return
    for name, (model, history) in train_scores(strategy, folder).items():
        weights = {f"{number:03}": values for number, values in enumerate(model.get_weights())}
        np.savez(folder / f"{name}-{task}.npz", **weights, **history)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
