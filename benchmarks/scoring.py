"""What it costs to score a photograph of 512 x 768, beside metrics that need no reference either.

    python -m venv others
    others/bin/pip install torch torchvision pyiqa piq "brisque[opencv-python-headless]"
    python -m benchmarks.scoring --others others/bin/python

Without `--others`, the other packages are looked for where the library is. What is not installed is
written as "not installed". Linux only. Some ten minutes on two cores, which should have nothing
else to do; no others are used.

Cold is what a user waits for who types one command: a fresh process, from its start to its end, and
the peak of its resident memory. Where a package has no command, the shortest program that scores a
file stands for it. Warm is the time that a picture takes, from its path to its score, in a process
that has scored some. All take turns, round after round. A folder is scored by `diqa score`, on one
core and on two; its seconds are those of the whole command.

Two things are done for the others, and neither changes their time:

- pyiqa and piq fetch their parameters when they are first used. Stand-ins of the same shapes are
  put where they look for them, in a folder of this run. What they score is worth nothing, and is
  not kept.
- The package brisque 0.2 hands arrays of one number to `float`, which NumPy 2.4 refuses. Here it
  hands the numbers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from benchmarks import results
from benchmarks.speed import pictures
from benchmarks.speed.__main__ import machine
from benchmarks.speed.timing import seconds

NAME = "scoring"
CORES = 2

#: How often each way is measured, and each folder.
ROUNDS, FOLDER_ROUNDS = 7, 3

#: Pictures that a warm process scores before it is timed, and then.
BEFORE, TIMED = 3, 5

#: Pictures in the folder.
FOLDER = 40

#: Quality of the JPEG files.
QUALITY = 90

#: Runs a command, and prints its seconds and the peak of its resident memory in KiB. It stands
#: between because the peak of a process is no less than that of the one that started it.
LAUNCHER = """
import resource, subprocess, sys, time

start = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""

#: Scores a picture. The program that defines `score` stands before it.
ONCE = """
import sys

print(float(score(sys.argv[1])))
"""

#: Prints the seconds that a picture takes. The program that defines `score` stands before it.
AGAIN = f"""
import sys, time

for _ in range({BEFORE}):
    score(sys.argv[1])
start = time.perf_counter()
for _ in range({TIMED}):
    score(sys.argv[1])
print((time.perf_counter() - start) / {TIMED})
"""

#: Writes stand-ins for BRISQUE's 774 support vectors of 36 features, and for the mean and the
#: covariance of NIQE's.
STAND_INS = """
from pathlib import Path
import numpy, scipy.io, torch

torch.manual_seed(0)
for name in ("checkpoints/brisque_svm_weights.pt", "pyiqa/brisque_svm_weights.pth"):
    path = Path(torch.hub.get_dir(), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save((torch.rand(774), torch.rand(774, 36)), path)
gaussian = {"mu_prisparam": numpy.zeros((1, 36)), "cov_prisparam": numpy.eye(36)}
scipy.io.savemat(path.with_name("niqe_modelparameters.mat"), gaussian)
"""

OURS = """
import diqa_utils

def score(path):
    return diqa_utils.score(path, runtime={!r})
"""

PYIQA = """
import pyiqa

score = pyiqa.create_metric({!r})
"""

PIQ = """
import numpy, piq, torch
from PIL import Image

def score(path):
    pixels = torch.from_numpy(numpy.array(Image.open(path)))
    return piq.brisque(pixels.permute(2, 0, 1)[None] / 255)
"""

BRISQUE = """
import brisque, numpy
from PIL import Image

class Brisque(brisque.BRISQUE):
    def scale_features(self, features):
        return super().scale_features([numpy.asarray(number).item() for number in features])

judge = Brisque()

def score(path):
    return judge.score(numpy.array(Image.open(path)))
"""


@dataclass(frozen=True)
class Way:
    """A way to score a picture.

    Attributes:
        python: Command that starts the Python that has it.
        packages: Packages that must be installed.
        program: Defines `score(path)`.
        command: What a user types between the name of Python and that of the picture; without it,
            the program is run.
    """

    python: Sequence[str]
    packages: Sequence[str]
    program: str
    command: Sequence[str] = ()

    def cold(self, place: Path) -> list[str]:
        """Returns the command that scores a picture, or a folder of them."""
        return [*self.python, *(self.command or ("-c", self.program + ONCE)), str(place)]

    def warm(self, picture: Path) -> list[str]:
        """Returns the command that prints the seconds that a picture takes after some others."""
        return [*self.python, "-c", self.program + AGAIN, str(picture)]

    def versions(self) -> dict[str, str]:
        """Returns the versions of those packages that are installed."""
        program = (
            "import importlib.metadata as known, json, sys\n"
            "found = {each.name: each.version for each in known.distributions()}\n"
            "print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))"
        )
        return json.loads(printed([*self.python, "-c", program, *self.packages]))


def ours(runtime: str, *packages: str) -> Way:
    """Returns the library's way with one of its runtimes."""
    command = ("-m", "diqa_utils", "score", "--runtime", runtime)
    return Way([sys.executable], packages, OURS.format(runtime), command)


def all_ways(others: Sequence[str]) -> dict[str, Way]:
    """Returns the library's ways, and those of the others, which need another Python."""

    def pyiqa(metric: str) -> Way:
        command = ("-m", "pyiqa.pyiqa_cmd", metric, "--target")  # `pyiqa METRIC --target PICTURE`
        return Way(others, ["pyiqa", "torch"], PYIQA.format(metric), command)

    return {
        "onnx": ours("onnx", "onnxruntime"),
        "tensorflow": ours("tensorflow", "tensorflow"),
        "pyiqa_brisque": pyiqa("brisque"),
        "pyiqa_niqe": pyiqa("niqe"),
        "piq_brisque": Way(others, ["piq", "torch"], PIQ),
        "brisque": Way(others, ["brisque"], BRISQUE),
    }


def printed(command: Sequence[str]) -> str:
    """Runs a command and returns what it prints; one that fails stops the benchmark."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]!r} failed: {done.stderr[-2000:]}")
    return done.stdout


def cost(command: Sequence[str]) -> tuple[float, float]:
    """Runs a command; returns its seconds, and the peak of its resident memory in MiB."""
    took, peak = printed([sys.executable, "-c", LAUNCHER, *command]).split()
    return float(took), int(peak) / 2**10


def write_pictures(folder: Path, number: int) -> list[Path]:
    """Writes so many JPEG files: some photographs, undamaged and damaged, over and over."""
    pairs = pictures.pairs(len(pictures.PHOTOGRAPHS))
    distinct = pairs.reshape(-1, *pairs.shape[2:])
    paths = [folder / f"{index:03}.jpg" for index in range(number)]
    for index, path in enumerate(paths):
        Image.fromarray(distinct[index % len(distinct)]).save(path, quality=QUALITY)
    return paths


def one_picture(ways: Mapping[str, Way], picture: Path, rounds: int) -> dict[str, Any]:
    """Scores a picture in all ways in turn, cold and warm."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for number in tqdm(range(rounds + 1), "rounds"):
        for name, way in ways.items():
            measured = (*cost(way.cold(picture)), float(printed(way.warm(picture))))
            if number:  # the first round brings the files of all into memory
                found[name].append(measured)
    columns = ("cold_s", "cold_mib", "warm_s")
    return {
        name: dict(zip(columns, map(seconds, zip(*values, strict=True)), strict=True))
        for name, values in found.items()
    }


def whole_folder(ways: Mapping[str, Way], folder: Path, rounds: int) -> dict[str, Any]:
    """Scores the pictures of a folder in all ways in turn, on one core and on two."""
    cores = sorted(os.sched_getaffinity(0))
    times: dict[str, dict[str, list[float]]] = {name: {} for name in ways}
    try:
        for _ in tqdm(range(rounds), "folder"):
            for name, way in ways.items():
                for number in range(1, len(cores) + 1):
                    os.sched_setaffinity(0, cores[:number])  # the command inherits it
                    times[name].setdefault(f"cores_{number}_s", []).append(
                        cost(way.cold(folder))[0]
                    )
    finally:
        os.sched_setaffinity(0, cores)
    return {
        name: {number: seconds(taken) for number, taken in by_cores.items()}
        for name, by_cores in times.items()
    }


def measure(
    ways: Mapping[str, Way], *, rounds: int, folder_rounds: int, number: int
) -> dict[str, Any]:
    """Measures all ways that are installed.

    Args:
        ways: Those of `all_ways`.
        rounds: How often a picture is scored in each way.
        folder_rounds: How often the folder is.
        number: Pictures in the folder.
    """
    versions = {name: way.versions() for name, way in ways.items()}
    ready = {name: way for name, way in ways.items() if {*way.packages} == {*versions[name]}}
    with tempfile.TemporaryDirectory() as place:
        paths = write_pictures(Path(place), number)
        own = {name: way for name, way in ready.items() if way.command[:2] == ("-m", "diqa_utils")}
        picture = one_picture(ready, paths[0], rounds)
        folder = whole_folder(own, Path(place), folder_rounds)
    return {
        "machine": machine() | {"cores": len(os.sched_getaffinity(0))},
        "versions": {
            package: number for found in versions.values() for package, number in found.items()
        },
        "picture": dict.fromkeys(ways, "not installed") | picture,
        "folder": {"pictures": number} | folder,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scoring",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--others", default=sys.executable, metavar="PYTHON", help="the Python of the others"
    )
    others = parser.parse_args().others
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as hub:
        ways = all_ways(["env", f"TORCH_HOME={hub}", others])
        if "torch" in ways["piq_brisque"].versions():
            printed([*ways["piq_brisque"].python, "-c", STAND_INS])
        measured = measure(ways, rounds=ROUNDS, folder_rounds=FOLDER_ROUNDS, number=FOLDER)
    results.write(NAME, measured)


if __name__ == "__main__":
    main()
