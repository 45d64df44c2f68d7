"""How well predictors that learnt from BIQ2021 agree with people, and what each part is worth.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.human_ratings

`FOLDER/biq2021` holds BIQ2021 or a part of it, `FOLDER/pristine` pictures without visible faults.
The extended predictor is trained with three seeds by the recipe as it is by default, but for step
1, which has no part in its score; then with fewer numbers, without copies, and without the order
between scenes. All are measured on the 500 pictures set aside for validation, and on copies of the
pristine pictures that are held out. What DIQA reaches is on the card of the packaged predictor.
Runs are kept in the library's cache folder, and go on there when they were stopped.

The official test split is not touched; `diqa evaluate --database biq2021 --split test` measures on
it.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf
from skimage import data

from benchmarks import real_data, results
from diqa_utils._internal.files import cache_folder
from diqa_utils._internal.tensorflow import compiled
from diqa_utils.distortions import DISTORTIONS, LEVELS, distort
from diqa_utils.evaluation import evaluate
from diqa_utils.image_statistics import OF_WHOLE, STATISTICS, image_statistics
from diqa_utils.inference import load_predictor, load_pretrained
from diqa_utils.maps import hand_crafted_features
from diqa_utils.metrics import srcc
from diqa_utils.ratings.copies import WorseCopies, order_of_copies
from diqa_utils.ratings.pictures import RatedPictures
from diqa_utils.ratings.pretraining import pristine_pictures
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.runs import (
    RatingsRun,
    copies_to_learn,
    deal_out,
    held_out_copies,
    prepared_pictures,
)
from diqa_utils.ratings.training import train_on_ratings

NAME = "human_ratings"
SEEDS = (0, 1, 2)
METRICS = ("srcc", "plcc", "krcc", "rmse")


def recipe_without_step_1(seed: int, **statistics: Any) -> RatingsRecipe:
    """The default recipe, but for step 1 and for some settings of step 2."""
    recipe = RatingsRecipe(seed=seed)
    return replace(
        recipe,
        error_maps=replace(recipe.error_maps, epochs=0),
        statistics=replace(recipe.statistics, **statistics),
    )


def trained_card(part: DatabasePart, root: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Returns the card of a predictor, which is trained first where that has not been done."""
    run = RatingsRun(
        part,
        folder=str(folder / f"extended-{seed}"),
        pristine=str(root / "pristine"),
        pictures=str(folder / "pictures"),
    )
    place = Path(run.folder) / "predictor"
    if not (place / "card.json").exists() or "copies" not in load_predictor(place).card:
        run.train(recipe_without_step_1(seed))
    return load_predictor(place).card


def summary(cards: list[dict[str, Any]]) -> dict[str, Any]:
    """Puts the cards of several seeds together: each value, and the median."""
    agreements = [card["validation"]["agreement"] for card in cards]
    values = {metric: [row[metric]["value"] for row in agreements] for metric in METRICS}
    middle = int(np.argsort(values["srcc"])[(len(cards) - 1) // 2])
    return {
        "seeds": {name: {"values": row, "median": median(row)} for name, row in values.items()},
        "agreement_of_median_seed": agreements[middle],
        "parameters": cards[0]["parameters"],
    }


def two_numbers(part: DatabasePart, pictures: RatedPictures) -> np.ndarray:
    """DIQA's two numbers of each picture, and zeros: (N, 448)."""
    numbers = np.zeros_like(pictures.extras)
    measure = compiled(hand_crafted_features)
    rows = {name: row for row, name in enumerate(pictures.image_ids.tolist())}
    for example in part.load().as_numpy_iterator():
        row = rows[example["image_id"].decode()]
        numbers[row, :2] = measure(tf.constant(example["distorted_image"])).numpy()
    return numbers


def only_whole(statistics: np.ndarray) -> np.ndarray:
    """The numbers of the picture as a whole, and zeros for those of its regions."""
    return np.where(np.arange(statistics.shape[-1]) < len(OF_WHOLE), statistics, np.float32(0))


def parts_worth(
    part: DatabasePart, root: Path, folder: Path, cards: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The agreement and the order of copies as one part comes to another, three seeds each."""
    recipe = recipe_without_step_1(0)
    pristine = pristine_pictures(root / "pristine")
    ids = {name: chosen.tolist() for name, chosen in deal_out(part.table()).items()}
    place = folder / "pictures"
    pictures = prepared_pictures(recipe, part, place)
    copies = copies_to_learn(recipe, part, ids["train"], pristine, place)
    held_out = held_out_copies(recipe, pristine, place)

    def row(
        name: str,
        change: Callable[[np.ndarray], np.ndarray] | None = None,
        extras: np.ndarray | None = None,
        learn: WorseCopies | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        shown = copy.copy(pictures)
        shown.extras = change(pictures.extras) if change else pictures.extras
        shown.extras = shown.extras if extras is None else extras
        values: dict[str, list[float]] = {"srcc": [], "levels": [], "scenes": []}
        for seed in SEEDS:
            trained = train_on_ratings(
                recipe_without_step_1(seed, **settings),
                shown,
                training=ids["train"],
                validation=ids["validation"],
                copies=learn,
                folder=folder / f"{name.replace(' ', '-').replace(',', '')}-{seed}",
            )
            rows = shown.rows_of(ids["validation"])
            values["srcc"].append(srcc(trained.predict(shown, rows)[:, 0], shown.quality[rows]))
            if extras is None:
                statistics = held_out.statistics.reshape(-1, len(STATISTICS))
                statistics = change(statistics) if change else statistics
                quality = trained.score_model.predict(statistics, verbose=0)[:, 0]
                order = order_of_copies(held_out, quality.reshape(len(held_out.kinds), -1))
                values["levels"].append(order["levels"])
                values["scenes"].append(order["scenes"])
        print(name, values, flush=True)
        return named(name, values)

    alone = {"copies_weight": 0.0}
    none = replace(copies, pristine=np.zeros_like(copies.pristine))  # nothing between scenes
    return [
        row("two numbers", extras=two_numbers(part, pictures), **alone),
        row("statistics", only_whole, **alone),
        row("statistics and regions", **alone),
        row("and copies, in the order of their levels", learn=none),
        row("and between scenes, without a teacher", learn=copies, teacher_weight=0.0),
        named(
            "all of it",
            {
                "srcc": [card["validation"]["agreement"]["srcc"]["value"] for card in cards],
                "levels": [card["copies"]["levels"] for card in cards],
                "scenes": [card["copies"]["scenes"] for card in cards],
            },
        ),
    ]


def named(name: str, values: dict[str, list[float]]) -> dict[str, Any]:
    """A row of the table of parts: the values of the seeds and their median."""
    found = {key: {"values": row, "median": median(row)} for key, row in values.items() if row}
    return {"part": name, **found}


def by_source(part: DatabasePart, folder: Path) -> dict[str, Any]:
    """The agreement of the first seed on each of BIQ2021's sources: ss01, ss02, ss03."""
    pictures = prepared_pictures(RatingsRecipe(), part, folder / "pictures")
    ids = deal_out(part.table())["validation"].tolist()
    rows = pictures.rows_of(ids)
    model = load_predictor(folder / "extended-0").score_model
    scores = model.predict(pictures.extras[rows], verbose=0)[:, 0]
    groups = [name.split()[0] for name in ids]
    measured = evaluate(scores, pictures.quality[rows], groups=groups)
    return {row.group: row.to_dict() for row in measured}


def versions(
    part: DatabasePart, pictures: RatedPictures, folder: Path
) -> dict[str, dict[str, list[float]]]:
    """Scores of one photograph as it is damaged, by networks that learnt ratings alone or all."""
    ids = {name: chosen.tolist() for name, chosen in deal_out(part.table()).items()}
    alone = train_on_ratings(
        recipe_without_step_1(0, copies_weight=0.0),
        pictures,
        training=ids["train"],
        validation=ids["validation"],
        folder=folder / "statistics-and-regions-0",
    )
    models = {"ratings alone": alone.score_model}
    models["all of it"] = load_predictor(folder / "extended-0").score_model
    scores: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    for kind in DISTORTIONS:
        copies = [data.coffee(), *(distort(data.coffee(), kind, level) for level in LEVELS)]
        statistics = image_statistics(np.stack(copies))
        for name, model in models.items():
            quality = np.clip(model(statistics).numpy()[:, 0], 0, 1)
            scores[name][kind] = [round(float(value), 4) for value in quality]
    return scores


def main() -> None:
    root, folder = real_data.needed(), cache_folder() / "benchmarks" / NAME
    part = DatabasePart("biq2021", "train", manual_dir=str(root / "biq2021"), partial=True)
    place = folder / "pictures"
    cards = [trained_card(part, root, folder, seed) for seed in SEEDS]
    measured = {
        "extended": summary(cards),
        "diqa": summary([load_pretrained("diqa").card]),
        "sources": by_source(part, folder),
        "parts": parts_worth(part, root, folder, cards),
        "versions": versions(part, prepared_pictures(RatingsRecipe(), part, place), folder),
    }
    results.write(NAME, measured)


if __name__ == "__main__":
    main()
