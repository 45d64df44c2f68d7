"""A build that is killed again and again ends as one that nobody disturbed.

    python -m tests.fuzz.kill_building --number 20

Kills `diqa data prepare folder_iqa` at random moments, lets it finish, and compares what is there
with an undisturbed build, picture by picture and file by file.
"""

import argparse
import math
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diqa_utils import datasets
from diqa_utils.datasets.storage import HALF_MADE

PICTURES = 200


def make_folder(folder: Path, number: int = PICTURES) -> Path:
    """Makes up a folder of pictures and a table of scores."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["image,score"]
    for index in range(number):
        pixels = rng.integers(0, 256, (160, 200, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png", compress_level=1)
        rows.append(f"{index}.png,{index / number}")
    (folder / "scores.csv").write_text("\n".join(rows))
    return folder


def build(folder: Path, data_dir: Path, *, kill_after: float = math.inf) -> float:
    """Builds the database, or kills the process so many seconds after the first file appears.

    Returns:
        Seconds from the first file to the end.
    """
    command = [sys.executable, "-m", "diqa_utils", "data", "prepare", "folder_iqa"]
    command += ["--manual-dir", str(folder), "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None and not list(data_dir.glob(f"*/*/*{HALF_MADE}*")):
        time.sleep(0.002)
    start = time.monotonic()
    try:
        process.communicate(timeout=None if kill_after == math.inf else kill_after)
    except subprocess.TimeoutExpired:
        process.kill()  # SIGKILL
        process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"The build failed with {process.returncode}.")
    return time.monotonic() - start


def names(data_dir: Path) -> list[str]:
    """Returns the files of the built databases."""
    return sorted(
        path.relative_to(data_dir).as_posix() for path in data_dir.rglob("*") if path.is_file()
    )


def examples(folder: Path, data_dir: Path) -> list[dict[str, Any]]:
    """Returns all examples. Their bytes in a file differ: protobuf orders features at random."""
    loaded = datasets.load("folder_iqa", split="rated", manual_dir=folder, data_dir=data_dir)
    rows = list(loaded.as_numpy_iterator())
    return [row | {"distorted_image": row["distorted_image"].tobytes()} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    rng = np.random.default_rng(settings.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = make_folder(Path(place, "own"))
        undisturbed, disturbed = Path(place, "undisturbed"), Path(place, "disturbed")
        seconds = build(folder, undisturbed)
        print(f"A build takes {seconds:.2f} s from its first file on.")
        half_made = 0
        for _ in range(settings.number):
            build(folder, disturbed, kill_after=rng.uniform(0, seconds))
            left = any(HALF_MADE in name for name in names(disturbed))
            half_made += left
            if names(disturbed) and not left:
                shutil.rmtree(disturbed)  # it came to its end: the next one begins anew
        build(folder, disturbed)
        same = names(undisturbed) == names(disturbed)
        same = same and examples(folder, undisturbed) == examples(folder, disturbed)
        print(f"{settings.number} builds were killed; {half_made} of them left something.")
        print(f"The last one equals an undisturbed one: {same}.")
        sys.exit(0 if same else "faults: another database, or something left behind")


if __name__ == "__main__":
    main()
