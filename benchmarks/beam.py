"""Scoring a folder with Apache Beam, beside the plain command; and a thousand million, on paper.

    python -m benchmarks.beam

Copies of the sample photographs, 512 x 768 in JPEG, are scored by `diqa score`, by Beam with one
worker, and by Beam with two. All take turns, round after round, each with many pictures and with
few: the difference tells what a picture costs, and what is left is the start. Processor seconds are
those of the command and all its children. Under six minutes on two cores, which should have nothing
else to do.

The calculation for large numbers takes these measurements, and the assumptions in `ASSUMED`, to
processor hours, bytes and requests. What those cost, `cost` tells for prices that you put in.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import apache_beam
import numpy as np
from PIL import Image

from benchmarks import results
from benchmarks.speed import pictures as speed_pictures
from benchmarks.speed.__main__ import machine
from benchmarks.speed.timing import seconds
from diqa_utils.beam.scoring import FORMATS, ScorePictures, WriteRows, find

NAME = "beam"
ROUNDS, QUALITY = 3, 90
MANY, FEW = 240, 2

#: A photograph as telephones take them: height and width in pixels.
LARGE = (3000, 4000)

BEAM = (sys.executable, "-m", "diqa_utils.beam", "score")
TWO = ("--direct_num_workers", "2", "--direct_running_mode", "multi_processing")

#: The ways to score a folder: what stands before it in a command, and at the end.
WAYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "command": ((sys.executable, "-m", "diqa_utils", "score"), ()),
    "one_worker": (BEAM, ()),
    "two_workers": (BEAM, TWO),
}

#: Seconds of a command, and seconds of processors.
Run = tuple[float, float]

#: What is scored, and what is assumed of the machines and of the store that holds the pictures.
ASSUMED = {
    "photographs": 10**9,
    # Machines, and cores of each; a worker is one core.
    "machines": 100,
    "cores_of_a_machine": 16,
    # The share of the time in which a core scores: the rest is waiting for bytes and stragglers.
    "busy": 0.8,
    # Names that one request lists, and requests that fetch a picture.
    "names_a_list_request": 1000,
    "requests_a_picture": 1,
    # What is sorted to score each picture once: its name, size and time.
    "shuffled_bytes_a_picture": 150,
}


def measured_run(command: tuple[str, ...]) -> Run:
    """Runs a command; returns seconds, and seconds of processors."""
    before, start = _processor_seconds(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start, _processor_seconds() - before


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_pictures(folder: Path) -> None:
    """Writes copies of photographs, no two the same, as JPEG."""
    folder.mkdir()
    photographs = speed_pictures.pairs(len(speed_pictures.PHOTOGRAPHS))[:, 0]
    for number in range(MANY):
        pixels = np.roll(photographs[number % len(photographs)], 3 * number, axis=1)
        Image.fromarray(pixels).save(folder / f"{number:04}.jpg", quality=QUALITY)


def measure(folders: dict[int, Path]) -> dict[str, dict[int, list[Run]]]:
    """Runs all ways in turn with few pictures and with many, each into an empty folder."""
    found: dict[str, dict[int, list[Run]]] = {way: {FEW: [], MANY: []} for way in WAYS}
    for _ in range(ROUNDS):
        for number, folder in folders.items():
            for way, (start, end) in WAYS.items():
                with tempfile.TemporaryDirectory() as place:
                    run = measured_run((*start, str(folder), "--output", f"{place}/rows.csv", *end))
                found[way][number].append(run)
    return found


def costs_of(runs: dict[int, list[Run]]) -> dict[str, Any]:
    """Parts the times of one way into a start and pictures."""
    times, processors = (
        {number: median(run[which] for run in runs[number]) for number in (FEW, MANY)}
        for which in (0, 1)
    )
    a_picture, of_processors = (
        (each[MANY] - each[FEW]) / (MANY - FEW) for each in (times, processors)
    )
    return {
        "seconds": seconds([run[0] for run in runs[MANY]]),
        "pictures_per_s": MANY / times[MANY],
        "picture_s": a_picture,
        "picture_processor_s": of_processors,
        "start_s": times[FEW] - FEW * a_picture,
        "start_processor_s": processors[FEW] - FEW * of_processors,
    }


def bytes_of_rows(folder: Path) -> dict[str, float]:
    """Bytes that a row takes in each format, its share of the head included."""
    with tempfile.TemporaryDirectory() as place:
        with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
            names = pipeline | apache_beam.Create([str(folder)]) | apache_beam.FlatMap(find)
            rows = (names | ScorePictures()).scored
            for format_ in FORMATS:
                rows | format_ >> WriteRows(f"{place}/rows", format_)
        return {path.suffix[1:]: path.stat().st_size / MANY for path in Path(place).glob("rows-*")}


def seconds_of(score: Callable[[], Any]) -> float:
    """Processor seconds of a call, the median of some, after one that is not counted."""
    score()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        score()
        times.append(time.process_time() - start)
    return median(times)


def seconds_by_size(small: Path) -> dict[str, float]:
    """Processor seconds that a picture takes one thread, from its bytes to its score."""
    predictor = ScorePictures().handler.load_model()
    large = Image.open(small).resize(LARGE[::-1], Image.Resampling.LANCZOS)
    file = small.parent.parent / "large.jpg"
    large.save(file, quality=QUALITY)
    return {
        "small_s": seconds_of(partial(predictor.score, small)),
        "large_s": seconds_of(partial(predictor.score, file)),
        "large_megapixels": LARGE[0] * LARGE[1] / 1e6,
        "large_bytes": file.stat().st_size,
    }


def on_paper(
    picture_processor_s: float,
    start_processor_s: float,
    picture_bytes: float,
    row_bytes: float,
    assumed: dict[str, float] | None = None,
) -> dict[str, float]:
    """What a number of photographs takes.

    Args:
        picture_processor_s: Processor seconds of a picture.
        start_processor_s: Processor seconds before a worker scores its first one.
        picture_bytes: Bytes of its file.
        row_bytes: Bytes of its row.
        assumed: What is put in place of numbers in `ASSUMED`.
    """
    given = ASSUMED | (assumed or {})
    number = given["photographs"]
    workers = given["machines"] * given["cores_of_a_machine"]
    scoring = number * picture_processor_s
    return {
        "cpu_hours": scoring / given["busy"] / 3600,
        "start_cpu_hours": workers * start_processor_s / 3600,
        "wall_hours": (scoring / given["busy"] / workers + start_processor_s) / 3600,
        "read_terabytes": number * picture_bytes / 1e12,
        "read_megabytes_per_s_of_a_machine": given["cores_of_a_machine"]
        * given["busy"]
        * picture_bytes
        / picture_processor_s
        / 1e6,
        "fetch_requests": number * given["requests_a_picture"],
        "list_requests": number / given["names_a_list_request"],
        "shuffled_gigabytes": number * given["shuffled_bytes_a_picture"] / 1e9,
        "written_gigabytes": number * row_bytes / 1e9,
    }


def cost(
    paper: dict[str, float], *, cpu_hour: float, terabyte_read: float, million_requests: float
) -> float:
    """What a calculation costs at prices that you look up: any one currency."""
    requests = paper["fetch_requests"] + paper["list_requests"]
    return (
        (paper["cpu_hours"] + paper["start_cpu_hours"]) * cpu_hour
        + paper["read_terabytes"] * terabyte_read
        + requests / 1e6 * million_requests
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        many, few = Path(place, "many"), Path(place, "few")
        write_pictures(many)
        few.mkdir()
        for path in sorted(many.iterdir())[:FEW]:
            os.link(path, few / path.name)
        ways = {way: costs_of(runs) for way, runs in measure({MANY: many, FEW: few}).items()}
        picture_bytes = sum(path.stat().st_size for path in many.iterdir()) / MANY
        os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # what is loaded from here on takes one thread
        row_bytes = bytes_of_rows(many)
        sizes = seconds_by_size(many / "0000.jpg")
    one = ways["one_worker"]
    times_as_long = sizes["large_s"] / sizes["small_s"]
    constants = one["start_processor_s"], row_bytes["parquet"]
    measured = {
        "machine": machine() | {"apache_beam": version("apache-beam")},
        "pictures": {
            "number": MANY,
            "few": FEW,
            "height": speed_pictures.HEIGHT,
            "width": speed_pictures.WIDTH,
            "bytes": picture_bytes,
        },
        "ways": ways,
        "two_workers_over_one": ways["two_workers"]["pictures_per_s"] / one["pictures_per_s"],
        "processor_overhead": one["picture_processor_s"] / sizes["small_s"] - 1,
        "sizes": sizes,
        "row_bytes": row_bytes,
        "assumed": ASSUMED,
        "on_paper": {
            "small": on_paper(
                one["picture_processor_s"], constants[0], picture_bytes, constants[1]
            ),
            "large": on_paper(
                one["picture_processor_s"] * times_as_long,
                constants[0],
                sizes["large_bytes"],
                constants[1],
            ),
        },
    }
    results.write(NAME, measured)


if __name__ == "__main__":
    main()
