"""What others reach without a reference on BIQ2021: a constant, BRISQUE, and its features.

    python -m pip install -e ".[benchmark]"
    DIQA_DATA_DIR=FOLDER python -m benchmarks.no_reference_baselines

`FOLDER/biq2021` holds BIQ2021 or a part of it. Of its training pictures `datasets.set_aside` sets
500 aside for validation, on which everything here is measured, and 500 for calibration, which
nothing here looks at; what is trained is trained on the rest. PLCC and RMSE are taken after the
logistic, except of the constant, which is the mean quality of the training pictures.

The score is that of the package `brisque`, with the model that it brings, which has never seen
BIQ2021. The 36 features are those of OpenCV, which brings no model: a support vector machine learns
the opinions from them, as BRISQUE's authors did. No maintained package was found that computes NIQE
or PIQE without fetching something while it runs.

Source:
    Mittal, Moorthy, Bovik: No-Reference Image Quality Assessment in the Spatial Domain. IEEE Trans.
        Image Processing 21(12), 2012. https://doi.org/10.1109/TIP.2012.2214050
"""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from tqdm.auto import tqdm

from benchmarks import real_data
from benchmarks.results import rounded, write
from diqa_utils import datasets
from diqa_utils._internal.files import cache_folder
from diqa_utils.evaluation import Agreement, Estimate, evaluate, to_markdown
from diqa_utils.metrics import plcc, rmse, srcc

NAME = "no_reference_baselines"
DIGITS = 4

SET_ASIDE = {"validation": 500, "calibration": 500}

#: Numbers of training pictures for the curve; the result itself has them all.
SIZES = (250, 500, 1000, 2000)
#: At most so many samples of each size, no two of which share a picture.
SAMPLES = 3

#: What cross-validation chooses from.
GRID = {
    "svr__C": [0.3, 1, 3],
    "svr__gamma": [0.003, 0.01, 0.03, 0.1],
    "svr__epsilon": [0.02, 0.05, 0.1],
}
FOLDS = 5

RESAMPLES = 1000

INSTALL = 'Install BRISQUE with `python -m pip install -e ".[benchmark]"`'

Measure = Callable[[np.ndarray], Any]


# --- BRISQUE --------------------------------------------------------------------------------------


def missing() -> str:
    """Says in a sentence what has to be installed; nothing where all is there."""
    if find_spec("brisque") and find_spec("cv2"):
        import cv2

        if hasattr(cv2, "quality"):  # OpenCV without its extra modules has no BRISQUE
            return ""
    return INSTALL


def brisque_score() -> Measure:
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


def measured(
    image_ids: np.ndarray, folder: Path, measure: Measure, settings: dict[str, Any]
) -> np.ndarray:
    """Measures pictures of BIQ2021, in the order of their ids; each result is kept in a file."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {image_id: folder / f"{image_id}.npy" for image_id in image_ids}
    wanted = [image_id for image_id, file in files.items() if not file.exists()]
    if wanted:
        pictures = datasets.load("biq2021", split="train", references=wanted, **settings)
        for picture in tqdm(pictures.as_numpy_iterator(), folder.name, len(wanted), leave=False):
            file = files[picture["image_id"].decode()]
            part = file.with_suffix(".part.npy")
            np.save(part, measure(picture["distorted_image"]))
            os.replace(part, file)  # a run that is stopped leaves no half of a file behind
    return np.array([np.load(file) for file in files.values()])


# --- Predictors -----------------------------------------------------------------------------------


def fitted_svr(features: np.ndarray, quality: np.ndarray) -> GridSearchCV:
    """Trains a support vector machine; cross-validation on the same rows chooses its settings."""
    # A picture of one colour has no features: medians stand in for them.
    machine = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), SVR())
    # The pictures come in the order of their SHA-256: folds in a row are as good as shuffled.
    return GridSearchCV(machine, GRID, cv=FOLDS, n_jobs=2).fit(features, quality)


def constant(value: float, quality: np.ndarray) -> Agreement:
    """Measures a predictor that says the same to all: no correlation exists, only RMSE does."""
    random = np.random.default_rng(0)
    draws = random.integers(len(quality), size=(RESAMPLES, len(quality)))
    errors = [rmse(np.full(len(drawn), value), drawn) for drawn in quality[draws]]
    undefined = Estimate(math.nan, math.nan, math.nan)
    error = rmse(np.full(len(quality), value), quality)
    low, high = np.quantile(errors, [0.025, 0.975])
    return Agreement(
        group="constant",
        images=len(quality),
        srcc=undefined,
        plcc=undefined,
        krcc=undefined,
        rmse=Estimate(error, float(low), float(high)),
    )


def samples(number: int, size: int) -> list[slice]:
    """Returns the rows of samples that share no picture: three, or as many as there are."""
    return [slice(k * size, (k + 1) * size) for k in range(min(SAMPLES, number // size))]


# --- Results --------------------------------------------------------------------------------------


def agreement(name: str, predicted: np.ndarray, quality: np.ndarray) -> Agreement:
    return replace(evaluate(predicted, quality, resamples=RESAMPLES)[0], group=name)


def baselines(folder: Path, cache: Path) -> dict[str, Any]:
    """Measures every baseline on the validation pictures of the copy of BIQ2021 in a folder."""
    import cv2

    settings = {"manual_dir": folder, "partial": True}
    table = datasets.read_table("biq2021", split="train", **settings)
    quality_of = dict(zip(table["image_id"], table["quality"], strict=True))
    parts = datasets.set_aside(table["image_id"], SET_ASIDE)
    quality = {part: np.array([quality_of[name] for name in ids]) for part, ids in parts.items()}
    versions = {"brisque": metadata.version("brisque"), "opencv": cv2.__version__}

    place = cache / f"brisque-score-{versions['brisque']}"
    score = measured(parts["validation"], place, brisque_score(), settings)
    place = cache / f"brisque-features-{versions['opencv']}"
    features = {
        part: measured(parts[part], place, brisque_features, settings)
        for part in ("train", "validation")
    }
    machine = fitted_svr(features["train"], quality["train"])
    rows = [
        constant(quality["train"].mean(), quality["validation"]),
        # Lower is better in BRISQUE: its sign is turned, so that a good predictor has SRCC > 0.
        agreement("brisque_score", -score, quality["validation"]),
        agreement("brisque_svr", machine.predict(features["validation"]), quality["validation"]),
    ]
    print(to_markdown(rows), flush=True)
    return {row.group: row.to_dict() for row in rows} | {
        "pictures": {part: len(ids) for part, ids in parts.items()},
        "without_features": {
            part: int(np.isnan(found).any(axis=1).sum()) for part, found in features.items()
        },
        "packages": versions,
        "brisque_svr_settings": machine.best_params_,
        "brisque_svr_by_training_pictures": {
            str(size): samples_of(size, features, quality)
            for size in SIZES
            if size < len(parts["train"])
        },
    }


def samples_of(
    size: int, features: dict[str, np.ndarray], quality: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Trains on samples of the training pictures; measures on the validation pictures."""
    runs = []
    for rows in samples(len(features["train"]), size):
        machine = fitted_svr(features["train"][rows], quality["train"][rows])
        runs.append(machine.predict(features["validation"]))
    measures = {
        metric.__name__: [metric(run, quality["validation"]) for run in runs]
        for metric in (srcc, plcc)
    }
    print(f"SVR on {size} pictures: {rounded(measures, DIGITS)}", flush=True)
    return {name: {"values": all_, "median": median(all_)} for name, all_ in measures.items()}


def main() -> None:
    data = real_data.folder()
    if data is None:
        print(f"{real_data.VARIABLE} names no folder: {NAME}.json stays as it is.")
        return
    if sentence := missing():
        print(f"{sentence}: {NAME}.json stays as it is.")
        return
    results = rounded(baselines(data / "biq2021", cache_folder() / "benchmarks"), DIGITS)
    write(NAME, results)


if __name__ == "__main__":
    main()
