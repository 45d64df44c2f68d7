"""What shrinking a photograph does to its score, and to what the score says of damage.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.score_sizes

`FOLDER/pristine` holds pictures without visible faults. Only those are taken that both packaged
predictors have not learnt from. Each is damaged in three ways at five levels, and then it and its
damaged copies are shrunk. A few minutes on one core.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks import real_data, results
from diqa_utils.distortions import LEVELS, distort
from diqa_utils.inference import Predictor, load_pretrained
from diqa_utils.metrics import srcc
from diqa_utils.ratings.pretraining import pristine_pictures
from diqa_utils.ratings.recipe import RatingsRecipe

NAME = "score_sizes"
PREDICTORS = ("diqa", "biq2021")
KINDS = ("jpeg", "gaussian_blur", "white_noise")

#: Width and height, as a share of those of the photograph.
SIZES = {"1": 1.0, "3/4": 0.75, "1/2": 0.5, "1/4": 0.25}


def shrunk(picture: np.ndarray, share: float) -> np.ndarray:
    """Shrinks a picture to a share of its width and height, with an antialiased Lanczos kernel."""
    if share == 1:
        return picture
    height, width = (round(share * side) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def versions(picture: np.ndarray, kind: str) -> list[np.ndarray]:
    """The picture, and copies of it at all levels of one kind of damage."""
    return [picture, *(distort(picture, kind, level, seed=0) for level in LEVELS)]


def scores_of(judge: Predictor, pictures: Sequence[np.ndarray], share: float) -> np.ndarray:
    """Scores of all versions of all pictures, shrunk: (pictures, kinds, levels from 0)."""
    scores = [
        [judge.score([shrunk(one, share) for one in versions(picture, kind)]) for kind in KINDS]
        for picture in tqdm(pictures, f"at {share:g}", leave=False)
    ]
    return np.array(scores, dtype=float)


def summary(scores: np.ndarray) -> dict[str, Any]:
    """What scores (pictures, kinds, levels from 0) say of damage.

    Returns:
        For each kind of damage the SRCC of the score with the level within a picture, its sign
        changed so that 1 means a score that falls from each level to the next ("order", the mean
        over pictures); "fall", how much lower the score is at a level than without damage, the mean
        over kinds, from level 0 on.
    """
    levels = -np.arange(scores.shape[2])
    order = np.array([[srcc(one, levels) for one in kinds] for kinds in scores])
    fall = (scores[..., :1] - scores).mean(axis=(0, 1)).tolist()
    kinds = {kind: {"order": float(order[:, number].mean())} for number, kind in enumerate(KINDS)}
    return {"fall": fall} | kinds


def main() -> None:
    pristine = pristine_pictures(real_data.needed() / "pristine")
    pictures = RatingsRecipe().error_maps.held_out(pristine)
    measured = {
        name: {
            size: summary(scores_of(load_pretrained(name), pictures, share))
            for size, share in SIZES.items()
        }
        for name in PREDICTORS
    }
    results.write(NAME, {"pictures": len(pictures), **measured})


if __name__ == "__main__":
    main()
