"""How well predictors that learnt from BIQ2021 agree with people.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.human_ratings

`FOLDER/biq2021` holds BIQ2021 or a part of it, `FOLDER/pristine` pictures without visible faults.
The extended predictor is trained with three seeds, DIQA as the paper has it with one, by the
recipes as they are by default, and all are measured on the 500 pictures set aside for validation.
Runs are kept in the library's cache folder, and go on there when they were stopped.

The official test split is not touched; `diqa evaluate --database biq2021 --split test` measures on
it.
"""

from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import real_data, results
from diqa_utils._internal.files import cache_folder
from diqa_utils.inference import load_predictor
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.runs import RatingsRun

NAME = "human_ratings"
SEEDS = {"extended": (0, 1, 2), "diqa": (0,)}
METRICS = ("srcc", "plcc", "krcc", "rmse")


def trained_card(data: Path, predictor: str, seed: int) -> dict[str, Any]:
    """Returns the card of a predictor, which is trained first where that has not been done."""
    folder = cache_folder() / "benchmarks" / NAME
    run = RatingsRun(
        DatabasePart("biq2021", "train", manual_dir=str(data / "biq2021"), partial=True),
        folder=str(folder / f"{predictor}-{seed}"),
        pristine=str(data / "pristine"),
        pictures=str(folder / "pictures"),
    )
    place = Path(run.folder) / "predictor"
    if not (place / "card.json").exists() or "validation" not in load_predictor(place).card:
        run.train(replace(RatingsRecipe(predictor=predictor), seed=seed))
    return load_predictor(place).card


def summary(cards: list[dict[str, Any]]) -> dict[str, Any]:
    """Puts the cards of several seeds together: each value, and the median."""
    agreements = [card["validation"]["agreement"] for card in cards]
    values = {metric: [row[metric]["value"] for row in agreements] for metric in METRICS}
    middle = int(np.argsort(values["srcc"])[(len(cards) - 1) // 2])
    return {
        "seeds": {name: {"values": row, "median": median(row)} for name, row in values.items()},
        "agreement_of_median_seed": agreements[middle],
        "inside_interval": [card["validation"]["inside_interval"] for card in cards],
        "half_width": [card["interval"]["half_width"] for card in cards],
        "seconds_of_last_call": [card["seconds"] for card in cards],
        "parameters": cards[0]["parameters"],
        "pictures": cards[0]["pictures"],
    }


def main() -> None:
    data = real_data.needed()
    measured = {
        predictor: summary([trained_card(data, predictor, seed) for seed in seeds])
        for predictor, seeds in SEEDS.items()
    }
    results.write(NAME, measured)


if __name__ == "__main__":
    main()
