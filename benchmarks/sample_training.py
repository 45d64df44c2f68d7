"""How well the chapters' short training run does on held-out references, for three seeds.

    python -m benchmarks.sample_training

Trains each seed, or takes it from the cache, and measures it on the test split of the sample
database, which no setting was chosen on.
"""

from statistics import median

import numpy as np

from benchmarks import results
from diqa_utils import datasets
from diqa_utils.metrics import plcc, srcc
from diqa_utils.pipelines import error_map_batches, score_batches
from diqa_utils.sample_training import Recipe, trained_error_map_model, trained_score_model
from diqa_utils.training import best_constant_map, evaluate_error_map_model

SEEDS = (0, 1, 2)


def measure(seed: int) -> dict[str, float]:
    recipe = Recipe(seed=seed)
    images = datasets.load("sample_iqa", split="test")
    error_map_model, _ = trained_error_map_model(recipe)
    batches = error_map_batches(images, batch_size=10, exponent=recipe.exponent, alpha=recipe.alpha)
    _, baseline = best_constant_map(batches)

    score_model, _ = trained_score_model(recipe)
    scored = [
        (score_model(inputs, training=False)[:, 0], quality)
        for inputs, quality in score_batches(images, batch_size=10, alpha=recipe.alpha)
    ]
    predicted, quality = (np.concatenate(column) for column in zip(*scored, strict=True))
    return {
        "error_map_ratio": evaluate_error_map_model(error_map_model, batches) / baseline,
        "srcc": srcc(predicted, quality),
        "plcc": plcc(predicted, quality),
    }


def main() -> None:
    runs = [measure(seed) for seed in SEEDS]
    values = {name: [run[name] for run in runs] for name in runs[0]}
    results.write(
        "sample_training",
        {name: {"values": row, "median": median(row)} for name, row in values.items()},
    )


if __name__ == "__main__":
    main()
