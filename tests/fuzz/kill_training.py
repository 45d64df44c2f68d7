"""Kills a training again and again; each that goes on must end as one that nobody disturbed.

    python -m tests.fuzz.kill_training --number 20 --seed 0

Every other time the process is killed at a random moment after the run has begun, and every other
time while a file stands half-written: a checkpoint, prepared pictures, a card.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from multiprocessing.context import ForkProcess as Process
from pathlib import Path

import numpy as np
from PIL import Image

from diqa_utils.cli import app
from diqa_utils.ratings import runs  # noqa: F401 - so that a process need not import TensorFlow

#: A process begins as a copy of this one, which has not computed anything.
FORK = multiprocessing.get_context("fork")

RECIPE = {
    "error_maps": {
        "epochs": 3,
        "steps": 2,
        "patches": 4,
        "patch_size": 48,
        "held_out_batches": 1,
    },
    "statistics": {"epochs": 15, "batch_size": 16, "copied_pictures": 12, "copies_batch_size": 4},
}


def make_inputs(folder: Path, pictures: int = 100) -> None:
    """Makes a table of rated pictures, three pristine pictures and a recipe."""
    rng = np.random.default_rng(0)
    (folder / "rated").mkdir(parents=True)
    (folder / "pristine").mkdir()
    rows = ["image,score"]
    for number in range(pictures):
        roughness = number * 7 % pictures / (pictures - 1)
        texture = 128 + rng.normal(0, 4 + 40 * roughness, (64, 72, 3))
        picture = Image.fromarray(np.clip(texture, 0, 255).astype(np.uint8))
        picture.save(folder / f"rated/{number}.png")
        rows.append(f"{number}.png,{roughness:.4f}")
    (folder / "rated/scores.csv").write_text("\n".join(rows) + "\n")
    for number in range(3):
        texture = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(texture).save(folder / f"pristine/{number}.png")
    (folder / "recipe.json").write_text(json.dumps(RECIPE))


def started(inputs: Path, run: Path) -> Process:
    """Starts `diqa train`, or `diqa resume` if the run has begun, in a process of its own."""
    place = ["--manual-dir", inputs / "rated", "--data-dir", inputs / "built"]
    train = ["train", inputs / "recipe.json", "--database", "folder_iqa", *place]
    train += ["--pristine", inputs / "pristine", "--folder", run]
    arguments = ["resume", run] if (run / "run.json").exists() else train
    process = FORK.Process(target=diqa, args=(list(map(str, arguments)), inputs / "output.txt"))
    process.start()
    return process


def diqa(arguments: list[str], output: Path) -> None:
    """Calls the command, and keeps what it says in a file."""
    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        app(arguments)


def outcome(process: Process, run: Path) -> tuple[bytes, str]:
    """The weights and the card of a run, once it has ended; all but the time that it took."""
    process.join()
    if process.exitcode:
        output = (run.parent / "output.txt").read_text()
        raise SystemExit(f"The training ended with {process.exitcode}: {output}")
    card = json.loads((run / "predictor/card.json").read_text())
    del card["seconds"]
    return (run / "predictor/weights.npz").read_bytes(), json.dumps(card)


def kill_while_writing(process: Process, run: Path, skipped: int) -> str | None:
    """Kills a process when it has begun a file, after some others; says which file it was."""
    seen: set[Path] = set()
    while process.is_alive():
        for folder, folders, files in os.walk(run):  # what moves meanwhile is passed over
            half_written = [name for name in folders + files if name.startswith("incomplete-")]
            seen.update(Path(folder, name) for name in half_written)
            if half_written and len(seen) > skipped:
                process.kill()
                return f"while {half_written[0].split('-', 2)[-1]!r} was written"
    return None


def kill_after(process: Process, seconds: float) -> str | None:
    """Kills a process some time after its start, unless it has ended."""
    process.join(seconds)
    if not process.is_alive():
        return None
    process.kill()
    return f"after {seconds:.1f} s"


def main() -> None:
    """Reads the command line, kills, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        inputs = Path(name)
        make_inputs(inputs)
        start = time.monotonic()
        undisturbed = outcome(started(inputs, inputs / "undisturbed"), inputs / "undisturbed")
        duration = time.monotonic() - start
        kills, runs, equal = 0, 0, 0
        while kills < arguments.number:
            runs += 1
            run, done = inputs / f"run {runs}", False
            while not done:
                process = started(inputs, run)
                how = None
                if kills < arguments.number:
                    if kills % 2:
                        how = kill_while_writing(process, run, int(rng.integers(10)))
                    else:
                        how = kill_after(process, float(rng.uniform(0, duration)))
                if how is None:
                    done = True
                else:
                    process.join()
                    kills += 1
                    print(f"kill {kills} in run {runs}: {how}", flush=True)
            same = outcome(process, run) == undisturbed
            equal += same
            print(f"run {runs} ended {'as undisturbed' if same else 'OTHERWISE'}", flush=True)
        print(f"{kills} kills, {runs} runs, {equal} ended bit for bit as the undisturbed one")
        if equal < runs:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
