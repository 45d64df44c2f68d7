"""What the parts of DIQA's recipe for ratings are worth: step 2 with some of them left out.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.diqa_variants

`FOLDER/biq2021` holds BIQ2021 or a part of it. `packaged` is what the card of the packaged
predictor says: seed 0 of the recipe. The other trainings begin with the f of its step 1 and compute
f in bfloat16, which takes a third of the time where a processor has it. Each training that is
finished is kept in the library's cache folder.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks import real_data, results
from diqa_utils._internal.files import cache_folder, write_text
from diqa_utils._internal.tensorflow import compiled
from diqa_utils.inference import load_pretrained
from diqa_utils.metrics import plcc, srcc
from diqa_utils.models import build_feature_extractor
from diqa_utils.ratings.learning import FeaturesTraining, TrainedPredictor
from diqa_utils.ratings.pictures import RatedPictures, prepare_pictures
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import FeaturesSettings, RatingsRecipe
from diqa_utils.ratings.runs import deal_out
from diqa_utils.training import epochs_of

NAME = "diqa_variants"
METRICS = ("srcc", "plcc", "krcc", "rmse")

#: Settings that differ from the recipe's, and seeds.
VARIANTS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "recipe": ({}, (1, 2)),
    "means only": ({"deviations": False}, (0,)),
    "single crops": ({"crops": 1, "crop_size": 192}, (0,)),
}


def pretrained_extractor() -> keras.Model:
    """Returns a copy of the f of the packaged predictor's step 1 that computes in bfloat16."""
    pretrained = load_pretrained("diqa").error_map_model.get_layer("feature_extractor")
    keras.config.set_dtype_policy("mixed_bfloat16")
    extractor = build_feature_extractor()
    keras.config.set_dtype_policy("float32")
    extractor.set_weights(pretrained.get_weights())
    return extractor


def agreement(
    recipe: RatingsRecipe, pictures: RatedPictures, parts: dict[str, np.ndarray]
) -> dict[str, float]:
    """Trains step 2; returns the agreement on the validation pictures after the last epoch."""
    rows, held_out = (pictures.rows_of(parts[name].tolist()) for name in ("train", "validation"))
    keras.utils.set_random_seed(recipe.seed)
    step_2 = FeaturesTraining(recipe, pictures, rows, held_out, pretrained_extractor())
    step = compiled(step_2.train_step)
    for batches in epochs_of(step_2.batches, 0, recipe.features.epochs, progress=True):
        for batch in batches:
            step(*batch)
    step_2.calibrate()
    predictor = TrainedPredictor(recipe, step_2.score_model, step_2.score_model, {})
    scores = predictor.predict(pictures, held_out)[:, 0]
    quality = pictures.quality[held_out]
    return {"srcc": srcc(scores, quality), "plcc": plcc(scores, quality)}


def main() -> None:
    part = DatabasePart(
        "biq2021", "train", manual_dir=str(real_data.needed() / "biq2021"), partial=True
    )
    folder, parts = cache_folder() / "benchmarks" / NAME, deal_out(part.table())
    pictures = _prepared(part, folder / "pictures")
    packaged = load_pretrained("diqa").card["validation"]["agreement"]
    measured: dict[str, Any] = {"packaged": {name: packaged[name]["value"] for name in METRICS}}
    for name, (settings, seeds) in VARIANTS.items():
        rows = []
        for seed in seeds:
            file = folder / f"{name}-{seed}.json"
            features = FeaturesSettings(**settings)
            recipe = RatingsRecipe(predictor="diqa", seed=seed, features=features)
            if not file.exists():
                write_text(file, json.dumps(agreement(recipe, pictures, parts)))
            rows.append(json.loads(file.read_text()))
        measured[name] = {"seeds": list(seeds)}
        measured[name] |= {metric: [row[metric] for row in rows] for metric in ("srcc", "plcc")}
    results.write(NAME, measured)


def _prepared(part: DatabasePart, folder: Path) -> RatedPictures:
    if (folder / "table.npz").exists():
        return RatedPictures(folder)
    return prepare_pictures(part.load(), folder, predictor="diqa")


if __name__ == "__main__":
    main()
