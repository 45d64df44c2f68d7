"""How long a fresh process takes: to import, to print its help, to give the first score."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.speed import pictures
from benchmarks.speed.timing import in_turn, seconds

ROUNDS = 7

START_TENSORFLOW = (
    "from diqa_utils._internal.startup import start_tensorflow_quietly; start_tensorflow_quietly()"
)


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure() -> dict[str, Any]:
    """Times whole processes, in turn."""
    python, command = sys.executable, str(Path(sys.executable).with_name("diqa-score"))
    with tempfile.TemporaryDirectory() as folder:
        photograph = str(Path(folder) / "photograph.jpg")
        Image.fromarray(pictures.pairs(1)[0, 0]).save(photograph, quality=90)
        times = in_turn(
            {
                "python": lambda: run(python, "-c", "pass"),
                "import": lambda: run(python, "-c", "import diqa_utils"),
                "help": lambda: run(command, "--help"),
                "tensorflow": lambda: run(python, "-c", START_TENSORFLOW),
                "score": lambda: run(command, photograph),
            },
            rounds=ROUNDS,
        )
    medians = {name: seconds(some)["median"] for name, some in times.items()}
    return {
        # Without what Python itself takes to start.
        "import_s": medians["import"] - medians["python"],
        "help_s": medians["help"],
        "tensorflow_s": medians["tensorflow"],
        "first_score_s": medians["score"],
        "first_score_beyond_tensorflow_s": medians["score"] - medians["tensorflow"],
    }
