"""What others reach without a reference on BIQ2021: a constant, BRISQUE, and its features.

    python -m pip install -e ".[benchmark]"
    DIQA_DATA_DIR=FOLDER python -m benchmarks.no_reference_baselines

`FOLDER/biq2021` holds BIQ2021 or a part of it. Everything is measured on the 500 validation
pictures that the library's own predictors are measured on, and what is trained is trained on their
training pictures. PLCC and RMSE are taken after the logistic, except of the constant, which is the
mean quality of the training pictures.

The score is that of the package `brisque`, with the model that it brings, which has never seen
BIQ2021. The 36 features are those of OpenCV, which brings no model: a support vector machine learns
the opinions from them, as BRISQUE's authors did.

Source:
    Mittal, Moorthy, Bovik: No-Reference Image Quality Assessment in the Spatial Domain. IEEE Trans.
        Image Processing 21(12), 2012. https://doi.org/10.1109/TIP.2012.2214050
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from tqdm.auto import tqdm

from benchmarks import real_data, results
from diqa_utils import datasets
from diqa_utils.evaluation import evaluate
from diqa_utils.metrics import rmse
from diqa_utils.ratings.runs import deal_out

#: What cross-validation chooses from.
GRID = {
    "svr__C": [0.3, 1, 3],
    "svr__gamma": [0.003, 0.01, 0.03, 0.1],
    "svr__epsilon": [0.02, 0.05, 0.1],
}


def brisque_score() -> Callable[[np.ndarray], float]:
    """Returns the package's score of an image, uint8 (H, W, 3); it is low for good images."""
    import brisque

    class Brisque(brisque.BRISQUE):
        def scale_features(self, features: Any) -> np.ndarray:
            # Its fits give arrays of one number, which NumPy 2.4 no longer takes for a number.
            return super().scale_features([np.asarray(number).item() for number in features])

    return Brisque(url=False).score


def brisque_features(image: np.ndarray) -> np.ndarray:
    """Returns OpenCV's 36 features of an image, uint8 (H, W, 3); all NaN for one of one colour."""
    import cv2

    bgr = np.ascontiguousarray(image[..., ::-1])
    features = np.ravel(cv2.quality.QualityBRISQUE_computeFeatures(bgr))
    return features if np.isfinite(features).all() else np.full_like(features, np.nan)


def fitted_svr(features: np.ndarray, quality: np.ndarray) -> GridSearchCV:
    """Trains a support vector machine; cross-validation on the same rows chooses its settings."""
    # A picture of one colour has no features: medians stand in for them.
    machine = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), SVR())
    # The pictures come in the order of their SHA-256: folds in a row are as good as shuffled.
    return GridSearchCV(machine, GRID, cv=5, n_jobs=2).fit(features, quality)


def baselines(folder: Path) -> dict[str, Any]:
    """Measures every baseline on the validation pictures of the copy of BIQ2021 in a folder."""
    settings: dict[str, Any] = {"split": "train", "manual_dir": folder, "partial": True}
    dealt = deal_out(datasets.read_table("biq2021", **settings))
    score_of = brisque_score()
    scores, features, quality = {}, {}, {}
    pictures = datasets.load("biq2021", **settings)
    for picture in tqdm(pictures.as_numpy_iterator(), "measuring", len(pictures)):
        image_id, image = picture["image_id"].decode(), picture["distorted_image"]
        features[image_id], quality[image_id] = brisque_features(image), picture["quality"]
        if image_id in dealt["validation"]:
            scores[image_id] = score_of(image)

    def column(values: dict[str, Any], part: str) -> np.ndarray:
        return np.array([values[image_id] for image_id in dealt[part]])

    opinions = column(quality, "validation")
    machine = fitted_svr(column(features, "train"), column(quality, "train"))
    predicted = {
        # Lower is better in BRISQUE: its sign is turned, so that a good predictor has SRCC > 0.
        "brisque_score": -column(scores, "validation"),
        "brisque_svr": machine.predict(column(features, "validation")),
    }
    constant = np.full_like(opinions, column(quality, "train").mean())
    return {
        "pictures": {part: len(image_ids) for part, image_ids in dealt.items()},
        "constant": {"rmse": {"value": rmse(constant, opinions)}},
        **{
            name: evaluate(row, opinions, resamples=1000)[0].to_dict()
            for name, row in predicted.items()
        },
    }


if __name__ == "__main__":
    results.write("no_reference_baselines", baselines(real_data.needed() / "biq2021"))
