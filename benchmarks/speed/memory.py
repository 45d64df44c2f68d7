"""Memory and time per picture as the number of pictures grows."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.speed import machine, pictures
from benchmarks.speed.timing import in_a_process
from diqa_utils import datasets
from diqa_utils.inference import load_pretrained
from diqa_utils.models import build_error_map_model
from diqa_utils.pipelines import error_map_batches
from diqa_utils.training import train_error_map_model

#: Pictures that are trained on.
NUMBERS = (100, 1_000, 10_000, 20_000)

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

#: Pictures that are gone through, again and again where there are fewer: what memory and time do
#: with the number of steps is not what they do with the number of pictures. And epochs at least:
#: what is kept is of use from the second on.
SEEN, EPOCHS = 4_000, 2


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


def train(number: int, keeping: str, folder: Path) -> dict[str, float]:
    """Trains on so many pictures; returns the peak of memory and the seconds of a picture."""
    rated = load(folder, f"rated[:{number}]")
    model = build_error_map_model()
    held_out = error_map_batches(load(folder, "rated[-1:]"), batch_size=1)

    def run(images: tf.data.Dataset, epochs: int) -> None:
        batches = error_map_batches(
            images, batch_size=BATCH, patch_size=PATCH, seed=0, **KEEPING[keeping]
        )
        train_error_map_model(model, batches, held_out, epochs=epochs, progress=False)

    run(rated.take(BATCH), 1)  # what is slow the first time
    epochs = max(EPOCHS, SEEN // number)
    start = time.perf_counter()
    run(rated, epochs)
    spent = (time.perf_counter() - start) / epochs / number
    return {"peak_mib": machine.peak_mib(), "s_per_picture": spent}


def score(side: int) -> dict[str, float]:
    """Scores a square picture; returns the peak of memory before and after."""
    predictor = load_pretrained()
    predictor.score(np.zeros((64, 64, 3), np.uint8))
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    before = machine.peak_mib()
    predictor.score(picture)
    return {
        "picture_mib": picture.nbytes / 2**20,
        "before_mib": before,
        "peak_mib": machine.peak_mib(),
    }


def measure() -> dict[str, Any]:
    """Trains on more and more pictures, each time in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_database(folder / "files")
        load(folder, "rated[:1]")  # builds it
        trained = {
            keeping: {
                str(number): in_a_process(train, number, keeping, folder) for number in NUMBERS
            }
            for keeping in KEEPING
        }
    few, many = (trained["streaming"][number]["peak_mib"] for number in ("1000", "20000"))
    spent = {number: row["s_per_picture"] for number, row in trained["default"].items()}
    return {
        **trained,
        "peak_1000_mib": few,
        "peak_20000_mib": many,
        "growth": many / few - 1,
        "s_per_picture_10000_to_100": spent["10000"] / spent["100"],
        "large_picture": in_a_process(score, 3464),  # 12 megapixels
    }
