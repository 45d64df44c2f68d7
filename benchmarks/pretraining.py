"""How far error maps of pristine pictures take the network of step 1.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.pretraining

`FOLDER/pristine` holds pictures without visible faults, of which every tenth is held out. The run
leaves a checkpoint after each epoch in the library's cache folder and goes on from there.
"""

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from benchmarks import real_data, results
from benchmarks.real_data import KADID_TYPES
from diqa_utils._internal.files import cache_folder
from diqa_utils.distortions import FAMILIES
from diqa_utils.models import build_error_map_model
from diqa_utils.ratings.pretraining import pristine_batches, pristine_pictures, throughput
from diqa_utils.training import (
    best_constant_map,
    evaluate_error_map_model,
    train_error_map_model,
    train_step,
)

NAME = "pretraining"
EPOCHS, STEPS, PATCHES = 12, 300, 16
HELD_OUT_BATCHES = 12
TIMED = 40


def held_out_batches(
    pictures: Sequence[np.ndarray], distortions: Sequence[str] = KADID_TYPES
) -> tf.data.Dataset:
    """Returns batches that never change, of pictures that are not trained on."""
    batches = pristine_batches(pictures, batch_size=32, seed=1, distortions=distortions)
    return batches.take(HELD_OUT_BATCHES).cache()


def against_constant(model: keras.Model, batches: tf.data.Dataset) -> dict[str, float]:
    """Returns a model's loss, beside that of the constant map that suits the batches best."""
    _, of_constant = best_constant_map(batches)
    loss = evaluate_error_map_model(model, batches)
    return {"loss": loss, "of_constant": of_constant, "ratio": loss / of_constant}


def new_optimizer() -> keras.Optimizer:
    """Returns Nadam with a rate that falls along a cosine over the whole run."""
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, EPOCHS * STEPS, alpha=0.02)
    return keras.optimizers.Nadam(schedule, beta_2=0.99)


def pipeline_to_training(pictures: Sequence[np.ndarray]) -> float:
    """Returns how many times as fast patches are made as training takes them."""
    endless = pristine_batches(pictures, batch_size=PATCHES, seed=2, distortions=KADID_TYPES)
    model, optimizer = build_error_map_model(), new_optimizer()
    optimizer.build(model.trainable_variables)
    step = tf.function(lambda *batch: train_step(model, optimizer, batch))
    batch = next(iter(endless))
    step(*batch)
    start = time.perf_counter()
    for _ in range(TIMED):
        step(*batch)
    seconds = time.perf_counter() - start
    return throughput(endless, TIMED) * seconds / (TIMED * PATCHES)


def main() -> None:
    pictures = pristine_pictures(real_data.needed() / "pristine")
    held_out = pictures[::10]
    training = [picture for number, picture in enumerate(pictures) if number % 10]
    validation = held_out_batches(held_out)

    def batches_of(epoch: int) -> tf.data.Dataset:
        settings = {"seed": 0, "first": epoch * STEPS, "distortions": KADID_TYPES}
        return pristine_batches(training, batch_size=PATCHES, **settings).take(STEPS)

    keras.utils.set_random_seed(0)
    model = build_error_map_model()
    history = train_error_map_model(
        model,
        batches_of,
        validation,
        epochs=EPOCHS,
        optimizer=new_optimizer(),
        folder=cache_folder() / "benchmarks" / NAME,
    )
    best = against_constant(model, validation)
    by_family = {
        family.replace(" ", "_"): against_constant(model, held_out_batches(held_out, distortions=d))
        for family, d in FAMILIES.items()
    }
    measured = {
        "pictures": {"training": len(training), "held_out": len(held_out)},
        "steps_per_epoch": STEPS,
        "patches_per_step": PATCHES,
        "history": history,
        "best_constant": {"loss": best["of_constant"]},
        "ratio_to_constant": best["ratio"],
        "by_family": by_family,
        "speed": {"pipeline_to_training": pipeline_to_training(training)},
    }
    results.write(NAME, measured)


if __name__ == "__main__":
    main()
