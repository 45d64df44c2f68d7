"""How far error maps of pristine pictures take the network of step 1.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.pretraining

Below FOLDER, `pristine` holds pictures without visible faults. Every tenth of them is held out. The
run leaves a checkpoint after each epoch in the library's cache folder and goes on from there; its
weights stay beside it. A table is printed and `results/pretraining.json` written.
"""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks import real_data
from benchmarks.results import rounded, write
from diqa_utils._internal.files import cache_folder
from diqa_utils._internal.tensorflow import arithmetic, bfloat16_is_fast
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
DIGITS = 5
SEED = 0
EPOCHS, STEPS, PATCHES = 12, 300, 16
LEARNING_RATE, LAST_SHARE, BETA_2 = 1e-3, 0.02, 0.99
HELD_OUT_EVERY, HELD_OUT_BATCHES = 10, 12
TIMED = 40


def batches_of(pictures: Sequence[np.ndarray], epoch: int) -> tf.data.Dataset:
    """Returns the training batches of an epoch."""
    first = epoch * STEPS
    return pristine_batches(pictures, batch_size=PATCHES, seed=SEED, first=first).take(STEPS)


def held_out_batches(pictures: Sequence[np.ndarray], **settings: Any) -> tf.data.Dataset:
    """Returns batches that never change, of pictures that are not trained on."""
    batches = pristine_batches(pictures, batch_size=32, seed=SEED + 1, **settings)
    return batches.take(HELD_OUT_BATCHES).cache()


def by_family(model: keras.Model, pictures: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
    """Returns the loss of each family of damage, beside that of the family's best constant map."""
    results = {}
    for family, types in FAMILIES.items():
        batches = held_out_batches(pictures, distortions=types)
        _, of_constant = best_constant_map(batches)
        loss = evaluate_error_map_model(model, batches)
        results[family.replace(" ", "_")] = {
            "loss": loss,
            "of_constant": of_constant,
            "ratio": loss / of_constant,
        }
    return results


def new_optimizer() -> keras.Optimizer:
    """Returns Nadam with a rate that falls along a cosine over the whole run."""
    schedule = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE, EPOCHS * STEPS, alpha=LAST_SHARE
    )
    return keras.optimizers.Nadam(schedule, beta_2=BETA_2)


def speeds(pictures: Sequence[np.ndarray]) -> dict[str, float]:
    """Returns patches per second: that the pipeline makes, and that training takes."""
    endless = pristine_batches(pictures, batch_size=PATCHES, seed=SEED + 2)
    model, optimizer = build_error_map_model(), new_optimizer()
    optimizer.build(model.trainable_variables)
    step = tf.function(lambda *batch: train_step(model, optimizer, batch))
    batch = next(iter(endless))
    with arithmetic("auto"):
        step(*batch)
        start = time.perf_counter()
        for _ in range(TIMED):
            step(*batch)
        seconds = time.perf_counter() - start
    made, taken = throughput(endless, TIMED), TIMED * PATCHES / seconds
    return {
        "pipeline_patches_per_s": made,
        "training_patches_per_s": taken,
        "pipeline_to_training": made / taken,
    }


def main() -> None:
    data = real_data.folder()
    if data is None:
        print(f"{real_data.VARIABLE} names no folder: {NAME}.json stays as it is.")
        return
    pictures = pristine_pictures(data / "pristine")
    held_out = pictures[::HELD_OUT_EVERY]
    training = [p for number, p in enumerate(pictures) if number % HELD_OUT_EVERY]
    validation = held_out_batches(held_out)
    constant, of_constant = best_constant_map(validation)

    keras.utils.set_random_seed(SEED)
    model = build_error_map_model()
    folder = cache_folder() / "benchmarks" / NAME
    history = train_error_map_model(
        model,
        lambda epoch: batches_of(training, epoch),
        validation,
        epochs=EPOCHS,
        optimizer=new_optimizer(),
        folder=folder,
    )
    best = evaluate_error_map_model(model, validation)
    results: dict[str, Any] = {
        "pictures": {"training": len(training), "held_out": len(held_out)},
        "epochs": EPOCHS,
        "steps_per_epoch": STEPS,
        "patches_per_step": PATCHES,
        "bfloat16": bfloat16_is_fast(),
        "best_constant": {"map": constant, "loss": of_constant},
        "history": history,
        "best_loss": best,
        "ratio_to_constant": best / of_constant,
        "by_family": by_family(model, held_out),
        "speed": speeds(training),
    }
    for epoch, loss in enumerate(history["validation_loss"], start=1):
        print(
            f"epoch {epoch:2}: held-out loss {loss:.5f}, {loss / of_constant:.3f} of the constant"
        )
    for family, row in results["by_family"].items():
        print(f"{family}: {row['ratio']:.3f} of its own constant")
    print(results["speed"])
    write(NAME, rounded(results, DIGITS))


if __name__ == "__main__":
    main()
