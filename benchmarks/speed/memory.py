"""Memory and time per picture as the number of pictures grows.

python -m benchmarks.speed.memory COMMAND ...    # what the parts run in processes of their own
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.speed import machine, pictures
from diqa_utils import datasets
from diqa_utils.models import build_error_map_model
from diqa_utils.pipelines import error_map_batches
from diqa_utils.training import train_error_map_model

#: Pictures that are trained on.
NUMBERS = (100, 1_000, 10_000, 20_000)

#: Side of a made picture, of the patch that is cut from it, and patches in a batch. A thousand such
#: patches are more than the window in which they are shuffled.
SIDE, PATCH, BATCH = 160, 96, 16

REFERENCES = 100

#: Where examples are kept: as the library does it if nobody says anything, or nowhere.
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


def load(files: str, built: str, split: str, seed: int | None = 0) -> tf.data.Dataset:
    return datasets.load("folder_iqa", split=split, seed=seed, manual_dir=files, data_dir=built)


def train(number: str, keeping: str, files: str, built: str) -> None:
    """Trains on so many pictures; prints the peak of memory and the seconds of a picture."""
    pictures_of = load(files, built, f"rated[:{number}]")
    model = build_error_map_model()
    held_out = error_map_batches(load(files, built, "rated[-1:]"), batch_size=1)

    def run(dataset: tf.data.Dataset, epochs: int) -> None:
        batches = error_map_batches(
            dataset, batch_size=BATCH, patch_size=PATCH, seed=0, **KEEPING[keeping]
        )
        train_error_map_model(model, batches, held_out, epochs=epochs, progress=False)

    run(pictures_of.take(BATCH), 1)  # what is slow the first time
    epochs = max(EPOCHS, SEEN // int(number))
    start = time.perf_counter()
    run(pictures_of, epochs)
    spent = (time.perf_counter() - start) / epochs / int(number)
    print(json.dumps({"peak_mib": machine.resident_mib(), "s_per_picture": spent}))


def score(side: str) -> None:
    """Scores a picture of side x side pixels; prints the peak of memory before and after."""
    from diqa_utils.inference import load_pretrained

    predictor = load_pretrained()
    predictor.score(np.zeros((64, 64, 3), np.uint8))
    picture = np.random.default_rng(0).integers(0, 256, (int(side), int(side), 3), np.uint8)
    before = machine.resident_mib()
    predictor.score(picture)
    print(
        json.dumps(
            {
                "picture_mib": picture.nbytes / 2**20,
                "before_mib": before,
                "peak_mib": machine.resident_mib(),
            }
        )
    )


def in_a_process(command: str, *arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.memory", command, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure() -> dict[str, Any]:
    """Trains on more and more pictures, each time in a process of its own.

    Once as the library does it if nobody says anything, which keeps the examples of a small
    database in memory and those of a larger one on disk; and once with nothing kept, which is what
    happens to a very large one.
    """
    with tempfile.TemporaryDirectory() as folder:
        files, built = str(Path(folder) / "files"), str(Path(folder) / "built")
        make_database(Path(files))
        load(files, built, "rated[:1]")  # builds it
        trained = {
            keeping: {
                str(number): in_a_process("train", str(number), keeping, files, built)
                for number in NUMBERS
            }
            for keeping in KEEPING
        }
    peaks = {number: one["peak_mib"] for number, one in trained["streaming"].items()}
    spent = {number: one["s_per_picture"] for number, one in trained["default"].items()}
    return {
        "peak_1000_mib": peaks["1000"],
        "peak_20000_mib": peaks["20000"],
        "growth": peaks["20000"] / peaks["1000"] - 1,
        "s_per_picture_10000_to_100": spent["10000"] / spent["100"],
        **trained,
        "large_picture": in_a_process("score", "3464"),  # 12 megapixels
    }


COMMANDS: dict[str, Callable[..., None]] = {"train": train, "score": score}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
