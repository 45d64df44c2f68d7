"""What a search for better settings gains, and how far it overfits the validation pictures.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.search

`FOLDER/biq2021` holds BIQ2021 or a part of it. From the first thousand rated photographs, the
search learns from 800 and judges its trials by 100; the 100 for calibration are not looked at. Of
the others 1,000 are held out. Only after the last trial has ended, they are read: every finished
trial is measured on them, and then the best recipe and the defaults with fresh seeds. The search
lies in the library's cache folder, and goes on there when it was stopped.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from scipy import stats

from benchmarks import real_data, results
from diqa_utils._internal.files import cache_folder
from diqa_utils.metrics import srcc
from diqa_utils.ratings.pictures import RatedPictures
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.runs import deal_out, prepared_pictures
from diqa_utils.ratings.search import SearchSpace, search
from diqa_utils.ratings.training import train_on_ratings

NAME = "search"
KNOWN, HELD_OUT = "train[:1000]", "train[1000:2000]"
TRIALS = 50
SEEDS = range(1, 9)

#: The ratings alone, without worse copies and without step 1, so that a trial takes seconds.
FIXED = {"error_maps": {"epochs": 0}, "statistics": {"copies_weight": 0.0}}
RANGES: dict[str, dict[str, Any]] = {
    "statistics.epochs": {"from": 4, "to": 24},
    "statistics.batch_size": {"one_of": [32, 64, 128]},
    "statistics.learning_rate": {"from": 1e-4, "to": 1e-2, "log": True},
    "statistics.weight_decay": {"from": 0.001, "to": 0.5, "log": True},
    "statistics.units": {"from": 32, "to": 256, "log": True},
    "statistics.dropout": {"from": 0.0, "to": 0.6},
}


def agreement(
    recipe: RatingsRecipe,
    known: RatedPictures,
    ids: dict[str, list[str]],
    held_out: RatedPictures,
    place: Path,
) -> dict[str, float]:
    """SRCC on validation and held-out pictures of what was trained in a folder, or now is."""
    trained = train_on_ratings(
        recipe,
        known,
        training=ids["train"],
        validation=ids["validation"],
        folder=place,
        progress=False,
    )
    rows = known.rows_of(ids["validation"])
    parts = {
        "validation": (known.extras[rows], known.quality[rows]),
        "held_out": (held_out.extras, held_out.quality),
    }
    return {
        part: srcc(trained.score_model(statistics, training=False)[:, 0], quality)
        for part, (statistics, quality) in parts.items()
    }


def main() -> None:
    root, folder = real_data.needed(), cache_folder() / "benchmarks" / NAME
    place: dict[str, Any] = {"manual_dir": str(root / "biq2021"), "partial": True}
    part = DatabasePart("biq2021", KNOWN, **place)
    space = SearchSpace(FIXED, RANGES)
    study = search(space, part, trials=TRIALS, folder=folder)

    ids = {name: chosen.tolist() for name, chosen in deal_out(part.table()).items()}
    known = prepared_pictures(RatingsRecipe(), part, folder / "pictures")
    held_out_part = DatabasePart("biq2021", HELD_OUT, **place)
    held_out = prepared_pictures(RatingsRecipe(), held_out_part, folder / "pictures")
    trials = []
    for trial in study.trials:
        if trial.state.name not in ("COMPLETE", "PRUNED"):
            continue
        row = {"settings": trial.params, "epochs": len(trial.intermediate_values)}
        if trial.state.name == "COMPLETE":
            folder_of_trial = folder / "trials" / f"{trial.number:04}"
            recipe = space.recipe(trial.params)
            row |= agreement(recipe, known, ids, held_out, folder_of_trial)
        trials.append(row)
        print(row, flush=True)

    fresh: dict[str, Any] = {}
    for name, recipe in {
        "defaults": space.recipe({}),
        "best": space.recipe(study.best_params),
    }.items():
        rows = [
            agreement(replace(recipe, seed=seed), known, ids, held_out, folder / f"{name}-{seed}")
            for seed in SEEDS
        ]
        print(name, rows, flush=True)
        fresh[name] = {part: [row[part] for row in rows] for part in rows[0]} | {
            "mean": {part: float(np.mean([row[part] for row in rows])) for part in rows[0]}
        }
    after, before = fresh["best"]["held_out"], fresh["defaults"]["held_out"]
    interval = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    finished = [row for row in trials if "held_out" in row]
    best = max(finished, key=lambda row: row["validation"])
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    results.write(
        NAME,
        {
            "pictures": {
                "training": len(ids["train"]),
                "validation": len(ids["validation"]),
                "held_out": len(held_out),
            },
            "ranges": RANGES,
            "defaults": {
                name: getattr(RatingsRecipe().statistics, name.split(".")[1]) for name in RANGES
            },
            "counts": {"finished": len(finished), "pruned": len(trials) - len(finished)},
            "trials": trials,
            "best": best,
            "importance": optuna.importance.get_param_importances(study, evaluator=evaluator),
            "fresh": fresh,
            "gain": {
                "mean": float(np.mean(after) - np.mean(before)),
                "low": float(interval.low),
                "high": float(interval.high),
            },
        },
    )


if __name__ == "__main__":
    main()
