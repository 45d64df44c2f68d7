"""How well the chapters' short training run does on held-out references, for three seeds.

`python -m benchmarks.sample_training` trains each seed (or takes it from the cache), measures it on
the test split of the sample database, which no setting was chosen on, prints a table and writes
`results/sample_training.json`.
"""

from statistics import median

import numpy as np

from benchmarks.results import write
from diqa_utils import datasets
from diqa_utils.metrics import plcc, srcc
from diqa_utils.pipelines import error_map_batches, score_batches
from diqa_utils.sample_training import Recipe, trained_error_map_model, trained_score_model
from diqa_utils.training import best_constant_map, evaluate_error_map_model

SEEDS = (0, 1, 2)


def measure(seed: int, split: str) -> dict[str, float]:
    recipe = Recipe(seed=seed)
    images = datasets.load("sample_iqa", split=split)

    error_map_model, _ = trained_error_map_model(recipe)
    batches = error_map_batches(images, batch_size=10, exponent=recipe.exponent, alpha=recipe.alpha)
    _, baseline = best_constant_map(batches)

    score_model, _ = trained_score_model(recipe)
    predictions, qualities = [], []
    for inputs, quality in score_batches(images, batch_size=10, alpha=recipe.alpha):
        predictions.append(score_model(inputs, training=False)[:, 0])
        qualities.append(quality)
    predicted, opinion = np.concatenate(predictions), np.concatenate(qualities)
    return {
        "error_map_ratio": evaluate_error_map_model(error_map_model, batches) / baseline,
        "srcc": srcc(predicted, opinion),
        "plcc": plcc(predicted, opinion),
    }


def main() -> None:
    results: dict[str, object] = {"seeds": list(SEEDS)}
    for split in ("validation", "test"):
        runs = [measure(seed, split) for seed in SEEDS]
        summary = {
            name: {
                "values": [round(run[name], 4) for run in runs],
                "median": round(median(run[name] for run in runs), 4),
            }
            for name in runs[0]
        }
        for name, row in summary.items():
            print(f"{split:10} {name:16} {row['values']}  median {row['median']}")
        # The test split is the result; validation chose the settings and the epochs.
        results |= summary if split == "test" else {"validation": summary}
    write("sample_training", results)


if __name__ == "__main__":
    main()
