"""Trials that train nothing, and a process that searches with them until it is killed."""

import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np

TRIALS = 8

#: Trial, epoch and signal at which this process stops itself.
stop_at = None

#: What trials were given, and the epochs of their last attempt.
places, seen = [], []
epochs_of_last = {}

#: Called after each epoch with the folder of the trial and the number of the epoch.
after_each = []


def train(recipe, part, ids, pristine, place, pictures, progress, *, error_maps, after_epoch):
    """Stands for `train_on_part`: agrees the better, the nearer the learning rate is to 1e-3."""
    places.append((place, pictures, error_maps))
    seen.append((part, ids))
    place.mkdir(parents=True, exist_ok=True)
    # In the made-up database the number of a picture settles its rating.
    wanted = np.array([int(name[1:-4]) * 7 % 100 / 99 for name in ids["validation"]])
    noise = np.random.default_rng(0).normal(size=len(wanted))
    off = abs(np.log10(recipe.statistics.learning_rate) + 3) + recipe.statistics.dropout
    checkpoint = place / "epochs"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    epochs_of_last[place.name] = []
    for epoch in range(done + 1, recipe.statistics.epochs + 1):
        epochs_of_last[place.name].append(epoch)
        after_epoch(epoch, wanted + off / epoch * noise)
        if stop_at and (place.name, epoch) == (f"{stop_at[0]:04}", stop_at[1]):
            os.kill(os.getpid(), stop_at[2])
        for hook in after_each:
            hook(place, epoch)
        checkpoint.write_text(str(epoch))
    scores = wanted + off / recipe.statistics.epochs * noise
    trained = SimpleNamespace(predict=lambda pictures, rows: np.stack([scores, scores], axis=-1))
    return trained, SimpleNamespace(rows_of=lambda ids: np.arange(len(ids)))


def main(folder: Path, own: Path, name: str) -> None:
    """Searches; the process that will be lost hangs in its second trial, after two epochs."""
    from diqa_utils.ratings import search as searching
    from diqa_utils.ratings.protocol import DatabasePart

    searching.train_on_part, searching.HEARTBEAT, searching.GRACE = train, 1, 3
    trials = defaultdict(int)

    def note(place, epoch):
        if epoch == 1:  # the lost trial has done that in the process that is lost
            trials[place.name] += 1
            with open(folder / "workers", "a") as file:
                file.write(f"{name}\n")
            (folder / f"{name}-began").touch()
            wait_for(lambda: all((folder / f"{one}-began").exists() for one in ("lost", "left")))
        if name == "lost" and len(trials) == 2 and epoch == 2:
            (folder / "hangs").touch()
            time.sleep(600)
        if name == "left" and len(trials) == 1 and epoch == 1:
            wait_for((folder / "killed").exists)
            time.sleep(searching.GRACE + 2)  # the other one gives no more signs of life

    after_each.append(note)
    space = searching.SearchSpace.from_file(folder / "space.json")
    part = DatabasePart("folder_iqa", "train", own / "built", own)
    searching.search(space, part, trials=TRIALS, folder=folder, progress=False)


def wait_for(condition) -> None:
    """Waits, but not for ever."""
    end = time.monotonic() + 300
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("Nothing has happened for five minutes.")
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
