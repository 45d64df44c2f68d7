"""How long a fresh process takes: to import, to print its help, to give the first score."""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from benchmarks.speed import pictures
from benchmarks.speed.timing import in_turn

ROUNDS = 7

PROGRAMS = {
    "python": "pass",
    "import": "import diqa_utils",
    "help": "from diqa_utils.cli import app; app(['--help'])",
    "tensorflow": "from diqa_utils._internal import startup; startup.start_tensorflow_quietly()",
    "score": "from diqa_utils.cli import app; import sys; app(['score', sys.argv[1]])",
}


def measure() -> dict[str, Any]:
    """Times whole processes, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        photograph = str(Path(folder) / "photograph.jpg")
        Image.fromarray(pictures.pairs(1)[0, 0]).save(photograph, quality=90)
        ways = {
            name: partial(
                subprocess.run,
                (sys.executable, "-c", program, photograph),
                check=True,
                capture_output=True,
            )
            for name, program in PROGRAMS.items()
        }
        times = in_turn(ways, rounds=ROUNDS)
    medians = {name: median(rounds) for name, rounds in times.items()}
    return {
        # Without what Python itself takes to start.
        "import_s": medians["import"] - medians["python"],
        "help_s": medians["help"],
        "tensorflow_s": medians["tensorflow"],
        "first_score_s": medians["score"],
        "first_score_beyond_tensorflow_s": medians["score"] - medians["tensorflow"],
    }
