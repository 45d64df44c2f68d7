"""How much memory `diqa score` takes for a hundred thousand small pictures. Linux only.

python -m benchmarks.many_files
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import results

FILES = 100_000
DISTINCT = 100
SIDE = 64


def measure(files: int = FILES) -> dict[str, object]:
    """Scores the pictures; returns resident memory as rows grow, and pictures a second."""
    rng = np.random.default_rng(0)
    resident: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place:
        pictures, output = Path(place) / "pictures", Path(place) / "scores.csv"
        pictures.mkdir()
        for number in range(files):
            path = pictures / f"{number:06}.png"
            if number < DISTINCT:
                grain = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(grain).save(path)
            else:
                os.link(pictures / f"{number % DISTINCT:06}.png", path)
        command = [sys.executable, "-m", "diqa_utils", "score", pictures, "--output", output]
        process = subprocess.Popen(command)
        start = None
        while process.poll() is None:
            time.sleep(1)
            rows = output.read_bytes().count(b"\n") - 1 if output.exists() else 0
            start = start or (time.monotonic() if rows > 0 else None)
            step = rows // (files // 10) * (files // 10)
            if step and f"after {step:,}" not in resident:
                resident[f"after {step:,}"] = resident_memory(process.pid)
        assert process.returncode == 0
        assert start is not None
        rate = files / (time.monotonic() - start)
    return {"files": files, "pictures_per_second": rate, "resident_mib": resident}


def resident_memory(process: int) -> int:
    """Resident memory of a process, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


if __name__ == "__main__":
    results.write("many_files", measure())
