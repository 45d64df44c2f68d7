"""Protocols: agreement with opinion, with intervals, per distortion and overall.

An interval comes from the bootstrap. Images of one reference are not independent of each other,
so whole references (or scenes) are drawn with replacement wherever their ids are given.

Source:
    Efron, Tibshirani: An Introduction to the Bootstrap. Chapman & Hall, 1993.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from diqa_utils.metrics import (
    MINIMUM_PAIRS_FOR_FIT,
    checked_pairs,
    fit_logistic,
    is_constant,
    krcc,
    logistic,
    plcc,
    rmse,
    srcc,
)
from diqa_utils.preprocessing import to_gray

__all__ = ["Agreement", "Estimate", "evaluate", "full_reference_scores", "to_markdown"]

#: The row for all images together.
OVERALL = "overall"

#: The window of 11 pixels must fit into the coarsest of five scales, as its authors ask.
MINIMUM_SIZE_FOR_MS_SSIM = 11 * 2**4


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Agreement:
    """One row of an evaluation: a group of images and how well its predictions agree.

    PLCC and RMSE are taken after the five-parameter logistic, fitted within the group.
    """

    group: str
    images: int
    srcc: Estimate
    plcc: Estimate
    krcc: Estimate
    rmse: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as plain nested dictionaries, ready for JSON."""
        return asdict(self)


def evaluate(
    predictions: Any,
    targets: Any,
    *,
    groups: Sequence[str] | None = None,
    clusters: Sequence[str] | None = None,
    resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Agreement]:
    """Measures agreement overall and per group, each with a bootstrap interval.

    Args:
        predictions: One number per image, on any scale.
        targets: One number per image, in the same order.
        groups: A name per image, for example its distortion; None for the overall row only.
        clusters: The reference or scene of each image, drawn as a whole by the bootstrap; None
            draws single images, which is right only if they are independent. With fewer than ten
            clusters, as in the sample database, intervals are rough.
        resamples: Number of bootstrap samples.
        confidence: Share of the bootstrap samples inside the interval, between 0 and 1.
        seed: Seed of the bootstrap; one seed gives one result.

    Returns:
        The row "overall", then one per group in alphabetical order. Resamples in which a metric
        is not defined (all values equal, too few images) are left out of its interval.

    Raises:
        ValueError: If predictions, targets, groups and clusters are not one per image, a number is
            NaN or infinite, a group has fewer than six images or is called "overall", or
            `confidence` is not between 0 and 1.

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = checked_pairs(predictions, targets)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}.")
    for name, labels in (("groups", groups), ("clusters", clusters)):
        if labels is not None and len(labels) != predictions.size:
            raise ValueError(f"There are {predictions.size} predictions but {len(labels)} {name}.")
    draw_by = np.arange(predictions.size) if clusters is None else np.asarray(clusters)
    members = {OVERALL: np.arange(predictions.size)}
    if groups is not None:
        group_of = np.asarray(groups)
        if OVERALL in group_of:
            raise ValueError(f"No group may be called {OVERALL!r}, the name of the row of all.")
        members |= {str(name): np.flatnonzero(group_of == name) for name in np.unique(group_of)}

    rows = []
    for group, indices in members.items():
        if len(indices) < MINIMUM_PAIRS_FOR_FIT:
            raise ValueError(
                f"Group {group!r} has {len(indices)} images; it needs {MINIMUM_PAIRS_FOR_FIT} or "
                "more."
            )
        samples = _bootstrap(draw_by[indices], resamples, np.random.default_rng(seed))
        estimates = _estimate_all(predictions[indices], targets[indices], samples, confidence)
        rows.append(Agreement(group=group, images=len(indices), **estimates))
    return rows


def to_markdown(rows: Iterable[Agreement]) -> str:
    """Returns an evaluation as a Markdown table.

    Args:
        rows: Rows of `evaluate`.

    Returns:
        A table with a line per row: value and interval of each metric.
    """
    lines = ["| group | images | SRCC | PLCC | KRCC | RMSE |", "|---|--:|---|---|---|---|"]
    for row in rows:
        cells = (row.group, row.images, row.srcc, row.plcc, row.krcc, row.rmse)
        lines.append("| " + " | ".join(str(cell).replace("_", " ") for cell in cells) + " |")
    return "\n".join(lines)


def full_reference_scores(
    dataset: tf.data.Dataset, *, metrics: Sequence[str] = ("psnr", "ssim", "ms_ssim")
) -> dict[str, np.ndarray]:
    """Scores every image of a database with PSNR, SSIM and MS-SSIM, which see the reference.

    All are computed on grey levels in 0..1: PSNR and SSIM by scikit-image, MS-SSIM by TensorFlow
    with its authors' five scales and weights. Both kinds of SSIM have the Gaussian window of their
    authors, 11 pixels wide.

    Args:
        dataset: Images of a database, with `reference_image` and `distorted_image` (H, W, 3),
            uint8; at least 48 pixels a side, and for MS-SSIM 176, so that the window fits into
            the coarsest scale, which is a sixteenth.
        metrics: Names among "psnr", "ssim" and "ms_ssim".

    Returns:
        "psnr" in decibels (infinite where the images are equal), "ssim" in -1..1 and "ms_ssim" in
        0..1 (0 too where contrast and structure disagree altogether at some scale), an array each,
        one number per image in the dataset's order; higher is better.

    Raises:
        ValueError: If the dataset is empty, a metric is not known, or an image is too small.

    References:
        Wang, Bovik, Sheikh and Simoncelli (2004), https://doi.org/10.1109/TIP.2003.819861
        Wang, Simoncelli and Bovik (2003), https://doi.org/10.1109/ACSSC.2003.1292216

    Chapter: notebooks/08-evaluation.ipynb
    """
    if unknown := [name for name in metrics if name not in FULL_REFERENCE]:
        raise ValueError(f"{unknown[0]!r} is not one of the metrics {', '.join(FULL_REFERENCE)}.")
    scores: dict[str, list[float]] = {name: [] for name in metrics}
    number = 0
    for number, features in enumerate(dataset, start=1):
        reference = to_gray(features["reference_image"]).numpy()  # (H, W, 1)
        distorted = to_gray(features["distorted_image"]).numpy()
        if "ms_ssim" in metrics and min(reference.shape[:2]) < MINIMUM_SIZE_FOR_MS_SSIM:
            raise ValueError(
                f"Image {number} has {reference.shape[0]} x {reference.shape[1]} pixels; MS-SSIM "
                f"needs {MINIMUM_SIZE_FOR_MS_SSIM} a side: choose metrics without it."
            )
        for name in metrics:
            scores[name].append(float(FULL_REFERENCE[name](reference, distorted)))
    if not number:
        raise ValueError("The dataset is empty: there is nothing to score.")
    return {name: np.array(values) for name, values in scores.items()}


def _psnr(reference: np.ndarray, distorted: np.ndarray) -> float:
    with np.errstate(divide="ignore"):  # equal images
        return peak_signal_noise_ratio(reference, distorted, data_range=1)


def _ssim(reference: np.ndarray, distorted: np.ndarray) -> float:
    authors_window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pair = reference[..., 0], distorted[..., 0]
    return structural_similarity(*pair, data_range=1, **authors_window)


# Compiled once, for images of any size: some fifty small operations take long one by one.
@tf.function(input_signature=[tf.TensorSpec((None, None, 1))] * 2, autograph=False)
def _ms_ssim(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
    return tf.image.ssim_multiscale(reference, distorted, max_val=1)


#: The metrics that see the reference, on grey levels (H, W, 1) in 0..1.
FULL_REFERENCE: dict[str, Callable] = {"psnr": _psnr, "ssim": _ssim, "ms_ssim": _ms_ssim}


def _bootstrap(clusters: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draws whole clusters with replacement; returns the row numbers of each sample."""
    names = np.unique(clusters)
    rows = [np.flatnonzero(clusters == name) for name in names]
    return [
        np.concatenate([rows[cluster] for cluster in rng.integers(len(names), size=len(names))])
        for _ in range(count)
    ]


def _estimate_all(
    predictions: np.ndarray, targets: np.ndarray, samples: list[np.ndarray], confidence: float
) -> dict[str, Estimate]:
    """Returns every metric with its interval."""
    start = None if is_constant(predictions) else fit_logistic(predictions, targets)
    resampled = [
        _all_metrics(predictions[rows], targets[rows], start)
        for rows in samples
        if len(rows) >= MINIMUM_PAIRS_FOR_FIT
    ]
    tail = (1 - confidence) / 2
    estimates = {}
    for name, value in _all_metrics(predictions, targets).items():
        defined = [sample[name] for sample in resampled if np.isfinite(sample[name])]
        low, high = np.quantile(defined, [tail, 1 - tail]) if defined else (np.nan, np.nan)
        estimates[name] = Estimate(value, float(low), float(high))
    return estimates


def _all_metrics(
    predictions: np.ndarray, targets: np.ndarray, start: np.ndarray | None = None
) -> dict[str, float]:
    """Returns every metric; the logistic is fitted once for both PLCC and RMSE."""
    ranks = {"srcc": srcc(predictions, targets), "krcc": krcc(predictions, targets)}
    if is_constant(predictions):
        return ranks | {"plcc": float("nan"), "rmse": float("nan")}
    mapped = logistic(predictions, fit_logistic(predictions, targets, start=start))
    return ranks | {"plcc": plcc(mapped, targets, fit=None), "rmse": rmse(mapped, targets)}
