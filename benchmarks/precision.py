"""Whether arithmetic in bfloat16 changes what is learnt, or what is scored.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.precision

DIQA is trained on real ratings at the reduced scale of `benchmarks.ablations`, both steps, once in
float32 and once in bfloat16, from the same weights and on the same batches. Every trained network
then scores the validation pictures in both. Each finished run leaves a file in the library's cache
folder; `results/precision.json` is written when all are done.
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np

from benchmarks import ablations, real_data
from benchmarks.results import rounded, write
from diqa_utils._internal.files import cache_folder
from diqa_utils._internal.tensorflow import arithmetic, bfloat16_is_fast
from diqa_utils.metrics import srcc
from diqa_utils.ratings.pretraining import pristine_pictures

NAME = "precision"
DIGITS = 5
PRECISIONS = ("float32", "bfloat16")


def run(seed: int, precision: str, rated: ablations.Rated, pristine: list[np.ndarray]) -> Any:
    """Trains both steps in one precision; returns the SRCC and the scores in each."""
    job = ablations.Job("whole", ablations.RATED, seed)
    variant = ablations.VARIANTS[job.variant]
    inputs, extras = rated.inputs(variant), rated.extras(variant)
    keras.utils.set_random_seed(seed)
    error_maps = ablations.learn_error_maps(variant, seed, pristine, precision)
    keras.utils.set_random_seed(seed)
    extractor = error_maps.get_layer("feature_extractor")
    model = ablations.learn_ratings(job, extractor, rated, inputs, extras, precision)
    scores = {}
    for scored in PRECISIONS:
        with arithmetic(scored):
            scores[scored] = ablations.predicted(model, inputs, extras, rated.validation)[:, 0]
    quality = rated.quality[rated.validation]
    return {
        "srcc": {scored: srcc(found, quality) for scored, found in scores.items()},
        "largest_difference": float(np.max(np.abs(np.subtract(*scores.values())))),
    }


def summary(runs: dict[str, list[Any]]) -> dict[str, Any]:
    """Puts the runs together, trained and scored in the same precision and otherwise."""
    trained = {name: [one["srcc"][name] for one in some] for name, some in runs.items()}
    everything = [one for some in runs.values() for one in some]
    return {
        "trained": {
            name: {"values": values, "median": median(values)} for name, values in trained.items()
        },
        "difference_of_medians": abs(median(trained["float32"]) - median(trained["bfloat16"])),
        "same_weights": {
            "srcc": max(abs(np.subtract(*one["srcc"].values())) for one in everything),
            "score": max(one["largest_difference"] for one in everything),
        },
    }


def kept(file: Path, seed: int, precision: str, *data: Any) -> Any:
    """Returns the result of a run, from its file where it has been done before."""
    if not file.exists():
        incomplete = file.with_name(f"incomplete-{file.name}")
        incomplete.write_text(json.dumps(run(seed, precision, *data)))
        incomplete.replace(file)
        keras.backend.clear_session()
    print(f"{file.stem}: {file.read_text()}", flush=True)
    return json.loads(file.read_text())


def main() -> None:
    data = real_data.folder()
    if data is None or not bfloat16_is_fast():
        missing = "names no folder" if data is None else "does not help: no bfloat16 here"
        print(f"{real_data.VARIABLE} {missing}. {NAME}.json stays as it is.")
        return
    folder = cache_folder() / "benchmarks" / ablations.NAME
    rated = ablations.rated_pictures(data, folder)
    pristine = pristine_pictures(data / "pristine")
    runs: dict[str, list[Any]] = {precision: [] for precision in PRECISIONS}
    for seed in ablations.SEEDS:
        for precision in PRECISIONS:
            file = folder / f"{precision}-{seed}.json"
            runs[precision].append(kept(file, seed, precision, rated, pristine))
    pictures = {"training": ablations.RATED, "validation": len(rated.validation)}
    write(NAME, rounded({"pictures": pictures, **summary(runs)}, DIGITS))


if __name__ == "__main__":
    main()
