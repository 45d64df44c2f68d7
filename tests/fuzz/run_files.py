"""Damages the files of predictors and runs; each must be refused in a sentence, or be read."""

import hashlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

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
from tests.fuzz.mutations import mutated, refused


def make_run(folder: Path) -> None:
    """Makes all files of a run that are read again, without a training."""
    predictor = ExtendedPredictor(models()["score"], models()["error-map"])
    predictor.card["interval"] = {"confidence": 0.9, "half_width": 0.2}
    predictor.save(folder / "predictor")
    part = DatabasePart("folder_iqa", "train", data_dir="built", options={"scale": [1.0, 5.0]})
    RatingsRun(part, str(folder), pictures="shared").claim(RatingsRecipe())
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
    """Reads weights with their own hash as the one that is wanted, to have their content read."""
    file = folder / "predictor/weights.npz"
    load_weights(file, models(), sha256=hashlib.sha256(file.read_bytes()).hexdigest())


#: Each kind of file by its place in a run: how it is read.
READERS: dict[str, Callable[[Path], object]] = {
    "predictor/weights.npz": read_weights,
    "prepared/table.npz": lambda folder: RatedPictures(folder / "prepared"),
    "predictor/card.json": load_predictor,
    "run.json": load_run,
}


def damage(run: Path, names: list[str], number: int, seed: int) -> Counter[str]:
    """Damages files by turns, and counts what came of it."""
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    for name in names:
        READERS[name](run)  # the sound one is read
    for turn in range(number):
        name = names[turn % len(names)]
        sound = (run / name).read_bytes()
        (run / name).write_bytes(mutated(sound, rng))
        # A sound file that does not fit a damaged card is named in its place.
        names_said = (Path(name).name, "weights.npz")
        was_refused = refused(lambda name=name: READERS[name](run), *names_said)
        counts["refused" if was_refused else "read"] += 1
        (run / name).write_bytes(sound)
    return counts
