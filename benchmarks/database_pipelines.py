"""What it costs to build a database, to read it, and to train on one that does not fit in memory.

    python -m benchmarks.database_pipelines

The database is made for the purpose: 10,000 JPEG files and 100 references as PNG, cut from the
photographs of the sample database. Where `DIQA_DATA_DIR` names a folder with files of BIQ2021, they
are built and read too. Speed is given as a ratio of two things that are timed in turn, in one run
on one machine; the peak of memory is that of a process of its own.
"""

import csv
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from benchmarks import real_data
from benchmarks.results import rounded, write
from benchmarks.speed.memory import KEEPING
from diqa_utils import datasets, pipelines
from diqa_utils.datasets import storage
from diqa_utils.datasets.sample_iqa import sample_iqa_dataset_builder as sample

NAME = "database_pipelines"
DIGITS = 3

#: (width, height) of a made picture.
SIZE = (384, 288)
REFERENCES, VERSIONS = 100, 100

PICTURES = frozenset({".jpg", ".png"})

#: Pictures whose reading is timed.
TIMED = 2000
ROUNDS = 7

#: Pictures whose training pipelines are measured.
NUMBERS = (1000, 10_000)
PIPELINES: dict[str, Callable[..., tf.data.Dataset]] = {
    "error_map_batches": lambda dataset, **settings: pipelines.error_map_batches(
        dataset, batch_size=8, patch_size=96, patches_per_image=2, seed=0, **settings
    ),
    "score_batches": lambda dataset, **settings: pipelines.score_batches(
        dataset, batch_size=8, seed=0, **settings
    ),
}


def make_pictures(folder: Path) -> None:
    """Writes a folder of the kind that `folder_iqa` reads."""
    random = np.random.default_rng(0)
    photographs = [Image.fromarray(read()).convert("RGB") for read in sample.PHOTOGRAPHS.values()]
    rows = []
    for number in range(REFERENCES):
        reference = _piece(photographs[number % len(photographs)], random)
        reference.save(folder / f"reference-{number}.png")
        for version in range(VERSIONS):
            quality = int(random.integers(10, 96))
            name = f"picture-{number}-{version}.jpg"
            reference.save(folder / name, quality=quality)
            rows.append((name, f"reference-{number}.png", quality / 100))
    with open(folder / "scores.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "reference", "score"), *rows])


def _piece(photograph: Image.Image, random: np.random.Generator) -> Image.Image:
    scale = max(SIZE[0] / photograph.width, SIZE[1] / photograph.height, 1)
    large = photograph.resize([round(scale * side) for side in photograph.size])
    left, top = (
        int(random.integers(0, whole - side + 1))
        for whole, side in zip(large.size, SIZE, strict=True)
    )
    return large.crop((left, top, left + SIZE[0], top + SIZE[1]))


def building(name: str, files: Path, data_dir: Path, **settings: Any) -> dict[str, float]:
    """Times building a database against copying and decoding each of its files once."""
    pictures = [path for path in files.rglob("*") if path.suffix.lower() in PICTURES]
    with tempfile.TemporaryDirectory() as copies:
        start = time.perf_counter()
        for number, path in enumerate(pictures):
            copy = Path(shutil.copyfile(path, Path(copies) / str(number)))
            tf.io.decode_image(copy.read_bytes(), channels=3, expand_animations=False)
        copied = time.perf_counter() - start
    start = time.perf_counter()
    datasets.load(name, manual_dir=files, data_dir=data_dir, **settings)
    built = time.perf_counter() - start
    return {
        "files": len(pictures),
        "copy_and_decode_s": copied,
        "build_s": built,
        "speed_ratio": copied / built,
    }


def reading(
    name: str, split: str, files: Path, data_dir: Path, **settings: Any
) -> dict[str, float]:
    """Times reading a built database against decoding the same bytes, which lie in memory."""
    builder = storage.make_builder(name, data_dir, files, **settings)
    pictures = [key for key in builder.info.features if key.endswith("_image")]
    skip = dict.fromkeys(pictures, tfds.decode.SkipDecoding())
    stored = builder.as_dataset(split=split, decoders=skip).as_numpy_iterator()
    encoded = [example[key] for example in stored for key in pictures]
    bare = tf.data.Dataset.from_tensor_slices(encoded).map(
        lambda content: tf.io.decode_image(content, channels=3, expand_animations=False),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    ours = datasets.load(name, split=split, manual_dir=files, data_dir=data_dir, **settings)
    passes = [(_pass(ours), _pass(bare)) for _ in range(ROUNDS + 1)][1:]  # the first warms up
    # The fastest: on a machine that others use too, single passes lose one of two cores.
    ours_s, bare_s = (min(seconds for seconds, _ in way) for way in zip(*passes, strict=True))
    ours_cpu, bare_cpu = (median(cpu for _, cpu in way) for way in zip(*passes, strict=True))
    return {
        "files": len(encoded),
        "rounds": ROUNDS,
        "bare_s": bare_s,
        "ours_s": ours_s,
        "ours_cores_busy": ours_cpu / ours_s,
        "speed_ratio": bare_s / ours_s,
        "cpu_ratio": bare_cpu / ours_cpu,
    }


def _pass(dataset: tf.data.Dataset) -> tuple[float, float]:
    """Returns the seconds that a pass takes, by the clock and of all cores together."""
    start, busy = time.perf_counter(), time.process_time()
    int(dataset.reduce(0, lambda number, _: number + 1))  # without a loop in Python
    return time.perf_counter() - start, time.process_time() - busy


def passes(files: Path, data_dir: Path) -> dict[str, float]:
    """Measures the processor time of a picture in an epoch after the first, in milliseconds.

    Nothing is trained: it is what a pipeline takes away from training.
    """
    dataset = _load(NUMBERS[0], files, data_dir)
    ways = {"memory": {}, "disk": {"memory_limit": 0}, "streaming": KEEPING["streaming"]}
    batches = {
        name: PIPELINES["error_map_batches"](dataset, **limits) for name, limits in ways.items()
    }
    rounds = [{name: _pass(one)[1] for name, one in batches.items()} for _ in range(ROUNDS + 1)][1:]
    return {name: 1e3 * median(times[name] for times in rounds) / NUMBERS[0] for name in batches}


def memory(files: Path, data_dir: Path) -> dict[str, Any]:
    """Measures the peak of memory of one epoch in MiB, each time in a process of its own."""
    return {
        pipeline: {
            keeping: {
                str(number): _peak(pipeline, number, keeping, files, data_dir) for number in NUMBERS
            }
            for keeping in KEEPING
        }
        for pipeline in PIPELINES
    }


def _peak(pipeline: str, number: int, keeping: str, files: Path, data_dir: Path) -> int:
    arguments = [pipeline, str(number), keeping, str(files), str(data_dir)]
    command = [sys.executable, "-m", f"benchmarks.{NAME}", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[-1])


def one_epoch(pipeline: str, number: str, keeping: str, files: str, data_dir: str) -> None:
    """Goes through one epoch and prints the peak of memory of this process in MiB (Linux)."""
    dataset = _load(int(number), Path(files), Path(data_dir))
    for _ in PIPELINES[pipeline](dataset, **KEEPING[keeping]):
        pass
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(int(peak) // 1024)


def _load(number: int, files: Path, data_dir: Path) -> tf.data.Dataset:
    return datasets.load(
        "folder_iqa", split=f"rated[:{number}]", seed=0, manual_dir=files, data_dir=data_dir
    )


def main() -> None:
    results: dict[str, Any] = {"building": {}, "reading": {}}
    with tempfile.TemporaryDirectory() as folder:
        files, data_dir = Path(folder) / "files", Path(folder) / "built"
        files.mkdir()
        make_pictures(files)
        databases: list[tuple[str, Path, str, dict[str, Any]]] = [
            ("folder_iqa", files, f"rated[:{TIMED}]", {})
        ]
        if data := real_data.folder():
            databases.append(("biq2021", data / "biq2021", f"train[:{TIMED}]", {"partial": True}))
        for name, place, split, settings in databases:
            results["building"][name] = building(name, place, data_dir, **settings)
            results["reading"][name] = reading(name, split, place, data_dir, **settings)
            print(
                name,
                rounded(results["building"][name], DIGITS),
                rounded(results["reading"][name], DIGITS),
            )
        results["passes"] = passes(files, data_dir)
        results["memory"] = memory(files, data_dir)
        print(results["passes"], results["memory"])
    write(NAME, rounded(results, DIGITS))


if __name__ == "__main__":
    one_epoch(*sys.argv[1:]) if sys.argv[1:] else main()
