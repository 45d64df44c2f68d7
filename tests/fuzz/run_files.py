"""Damages the files of predictors and runs; each must be refused in a sentence, or be read.

    python -m tests.fuzz.run_files --number 1000 --seed 0

A damaged `weights.npz` is given with its own hash, so that its content is looked at.
"""

import argparse
import hashlib
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest import mock

import keras
import numpy as np

from diqa_utils._internal.weight_files import load_weights
from diqa_utils.extended import build_extended_score_model
from diqa_utils.inference import load_predictor
from diqa_utils.models import build_error_map_model
from diqa_utils.predictors import ExtendedPredictor
from diqa_utils.ratings.pictures import RatedPictures
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.runs import RatingsRun, load_run
from diqa_utils.ratings.training import claim_folder
from tests.fuzz.mutations import mutated


def make_run(folder: Path) -> None:
    """Makes all files of a run that are read again, without a training."""
    predictor = ExtendedPredictor(models()["score"], models()["error-map"])
    predictor.card["interval"] = {"confidence": 0.9, "half_width": 0.2}
    predictor.save(folder / "predictor")
    part = DatabasePart("folder_iqa", "train", data_dir="built", options={"scale": [1.0, 5.0]})
    claim_folder(folder, RatingsRecipe())
    with mock.patch.object(DatabasePart, "table", return_value={}):
        RatingsRun(part, str(folder), pictures="shared").claim(RatingsRecipe(), [])
    (folder / "prepared").mkdir()
    np.savez(
        folder / "prepared/table.npz",
        image_ids=np.array(["a.png", "b.png"]),
        quality=np.float32([0.25, 0.75]),
        extras=np.ones((2, 448), np.float32),
        sizes=np.array([[0, 0], [0, 0]]),
    )
    (folder / "prepared/pixels.float16").touch()


@cache
def models() -> dict[str, keras.Model]:
    """The models whose weights are read, built once."""
    return {"score": build_extended_score_model(), "error-map": build_error_map_model()}


def read_weights(folder: Path) -> None:
    """Reads weights whose hash is the one that is wanted."""
    file = folder / "predictor/weights.npz"
    load_weights(file, models(), sha256=hashlib.sha256(file.read_bytes()).hexdigest())


#: Each kind of file by its place in a run: how it is read.
READERS: dict[str, Callable[[Path], object]] = {
    "predictor/weights.npz": read_weights,
    "prepared/table.npz": lambda folder: RatedPictures(folder / "prepared"),
    "predictor/card.json": load_predictor,
    "run.json": load_run,
    "recipe.json": load_run,
}


def damage(run: Path, names: list[str], number: int, seed: int) -> Counter[str]:
    """Damages files by turns, and counts what came of it.

    Raises:
        Exception: What is neither read nor refused in a sentence that names the file.
    """
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    for name in names:
        READERS[name](run)  # the sound one is read
    for turn in range(number):
        name = names[turn % len(names)]
        file = run / name
        sound = file.read_bytes()
        file.write_bytes(mutated(sound, rng))
        try:
            READERS[name](run)
            counts[f"{name}: read"] += 1
        except (ValueError, OSError) as error:
            words = str(error)
            if type(error) not in (ValueError, FileNotFoundError) or "\n" in words:
                raise
            # A sound file that does not fit a damaged card is named in its place.
            if not any(Path(other).name in words for other in (name, "predictor/weights.npz")):
                raise
            counts[f"{name}: refused"] += 1
        finally:
            file.write_bytes(sound)
    return counts


def main() -> None:
    """Reads the command line, damages, and prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as name:
        make_run(Path(name))
        for kind in (".npz", ".json"):
            names = [place for place in READERS if place.endswith(kind)]
            counts = damage(Path(name), names, arguments.number, arguments.seed)
            print(f"{arguments.number} damaged {kind} files: {dict(counts)}; 0 raw exceptions")


if __name__ == "__main__":
    main()
