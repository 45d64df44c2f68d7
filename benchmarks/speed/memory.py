"""The memory of a training as the number of pictures grows."""

import platform
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.speed import pictures
from benchmarks.speed.timing import in_a_process
from diqa_utils import datasets
from diqa_utils.models import build_error_map_model
from diqa_utils.pipelines import error_map_batches
from diqa_utils.training import train_error_map_model

#: Pictures that are trained on.
NUMBERS = (100, 1_000, 10_000)

#: Side of a made picture, of the patch that is cut from it, and patches in a batch. A thousand such
#: patches are more than the window in which they are shuffled.
SIDE, PATCH, BATCH = 160, 96, 16

REFERENCES = 100

#: Where examples are kept: as the library does it if nobody says anything, which is in memory for
#: a small database and on disk for a larger one; or nowhere, which is what happens to a huge one.
KEEPING: dict[str, dict[str, int]] = {
    "default": {},
    "streaming": {"memory_limit": 0, "disk_limit": 0},
}

#: Steps of every training, over and over where there are fewer pictures: what memory does with the
#: number of steps is not what it does with the number of pictures.
STEPS = 125


def make_database(folder: Path) -> None:
    """Writes the pictures and their scores, as `folder_iqa` reads them."""
    folder.mkdir()
    sources = pictures.pairs(len(pictures.PHOTOGRAPHS))[:, 0]
    rng = np.random.default_rng(0)
    rows = ["image,reference,score"]
    for reference in range(REFERENCES):
        source = sources[reference % len(sources)]
        top, left = (int(rng.integers(side - SIDE)) for side in source.shape[:2])
        piece = Image.fromarray(source[top : top + SIDE, left : left + SIDE])
        piece.save(folder / f"reference-{reference}.png")
        for number in range(max(NUMBERS) // REFERENCES):
            quality = 10 + (number * 7) % 85
            name = f"{reference}-{number}.jpg"
            piece.save(folder / name, quality=quality)
            rows.append(f"{name},reference-{reference}.png,{quality / 100}")
    (folder / "scores.csv").write_text("\n".join(rows) + "\n")


def load(folder: Path, split: str) -> tf.data.Dataset:
    settings = {"manual_dir": folder / "files", "data_dir": folder / "built"}
    return datasets.load("folder_iqa", split=split, seed=0, **settings)


def peak_of_training(number: int, keeping: str, folder: Path) -> float:
    """Trains on so many pictures; returns the largest memory that this process has had, in MiB."""
    batches = error_map_batches(
        load(folder, f"rated[:{number}]"),
        batch_size=BATCH,
        patch_size=PATCH,
        seed=0,
        **KEEPING[keeping],
    )
    held_out = error_map_batches(load(folder, "rated[-1:]"), batch_size=1)
    model = build_error_map_model()
    steps = batches.repeat().take(STEPS)
    train_error_map_model(model, steps, held_out, epochs=1, progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)


def measure() -> dict[str, Any]:
    """Trains on more and more pictures, each time in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_database(folder / "files")
        load(folder, "rated[:1]")  # builds it
        return {
            keeping: {
                str(number): in_a_process(peak_of_training, number, keeping, folder)
                for number in NUMBERS
            }
            for keeping in KEEPING
        }
