"""Kills `diqa score --output` again and again, and lets it go on.

    python -m tests.fuzz.kill_scoring --kills 20

The file must end byte for byte as that of a run that nobody disturbed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = 240

#: Seconds after which a run counts as stuck.
PATIENCE = 300


def start(pictures: Path, output: Path) -> subprocess.Popen:
    """Starts the command."""
    command = [sys.executable, "-m", "diqa_utils", "score", str(pictures), "--output", str(output)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def size_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def kill(process: subprocess.Popen, output: Path, rng: np.random.Generator) -> bool:
    """Kills a run when it has written some more; returns whether it was still running."""
    wanted = size_of(output) + int(rng.integers(0, 3000))
    deadline = time.monotonic() + PATIENCE
    while size_of(output) < wanted and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(float(rng.uniform(0, 0.3)))
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def main(kills: int, seed: int) -> int:
    """Prints what came of it; the exit code says whether all is as it should be."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place) / "pictures"
        pictures.mkdir()
        for number in range(PICTURES):
            grain = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
            Image.fromarray(grain).save(pictures / f"{number:03}.png")
        (pictures / "100.png").write_bytes(b"no picture")
        outputs = {}
        for ending in ("csv", "jsonl"):
            undisturbed, output = (Path(place) / f"{name}.{ending}" for name in ("whole", "killed"))
            start(pictures, undisturbed).wait(PATIENCE)
            killed = 0
            while killed < kills / 2:
                killed += kill(start(pictures, output), output, rng)
                if size_of(output) >= size_of(undisturbed):
                    output.unlink()  # it came to its end: begin anew
            start(pictures, output).wait(PATIENCE)
            outputs[ending] = output.read_bytes() == undisturbed.read_bytes()
            print(f"{ending}: {killed} kills, the same file: {outputs[ending]}")
    return int(not all(outputs.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    sys.exit(main(chosen.kills, chosen.seed))
