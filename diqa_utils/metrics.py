"""How well predictions agree with opinion: SRCC, PLCC, KRCC and RMSE.

Sources:
    Video Quality Experts Group: Final Report on the Validation of Objective Models of Video
        Quality Assessment, Phase II, 2003 (why PLCC and RMSE are taken after a fit).
    Sheikh, Sabir, Bovik: A Statistical Evaluation of Recent Full Reference Image Quality
        Assessment Algorithms. IEEE Trans. Image Processing 15(11), 2006 (the five-parameter
        logistic). https://doi.org/10.1109/TIP.2006.881959
"""

from typing import Any, Literal

import numpy as np
from scipy import optimize, special, stats

__all__ = ["fit_logistic", "krcc", "logistic", "plcc", "rmse", "srcc"]

Fit = Literal["logistic"] | None

#: The logistic has five parameters; fewer pairs do not determine it.
MINIMUM_PAIRS_FOR_FIT = 6

#: Values that differ by less than this share of the largest are equal.
ROUNDING = 1e-12


def srcc(predictions: Any, targets: Any) -> float:
    """Returns Spearman's rank correlation: do the predictions put the images in the right order?

    Ties share the mean of their ranks.

    Args:
        predictions: one number per image, any scale.
        targets: one number per image, in the same order.

    Returns:
        -1..1; NaN if all predictions or all targets are equal, where no order exists.

    Raises:
        ValueError: if the lengths differ, there are fewer than two images, or a value is NaN or
            infinite.

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = _pairs(predictions, targets)
    return _correlation(stats.rankdata(predictions), stats.rankdata(targets))


def plcc(predictions: Any, targets: Any, *, fit: Fit = "logistic") -> float:
    """Returns Pearson's linear correlation, by default after the five-parameter logistic.

    A predictor need not share the scale of the opinion scores; the field therefore maps its
    predictions to them by a fitted logistic first.

    Args:
        predictions: one number per image, any scale.
        targets: one number per image, in the same order.
        fit: "logistic" maps the predictions first (needs six images or more); None takes them as
            they are.

    Returns:
        -1..1; NaN if all predictions or all targets are equal.

    Raises:
        ValueError: if the lengths differ, there are too few images, a value is NaN or infinite,
            or `fit` is not known.

    References:
        Sheikh, Sabir and Bovik (2006), https://doi.org/10.1109/TIP.2006.881959

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = _pairs(predictions, targets)
    return _correlation(_fitted(predictions, targets, fit), targets)


def krcc(predictions: Any, targets: Any) -> float:
    """Returns Kendall's rank correlation (tau-b): of all pairs, how many are in the right order?

    Args:
        predictions: one number per image, any scale.
        targets: one number per image, in the same order.

    Returns:
        -1..1; NaN if all predictions or all targets are equal.

    Raises:
        ValueError: if the lengths differ, there are fewer than two images, or a value is NaN or
            infinite.

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = _pairs(predictions, targets)
    if _is_constant(predictions) or _is_constant(targets):
        return float("nan")
    return float(stats.kendalltau(predictions, targets).statistic)


def rmse(predictions: Any, targets: Any, *, fit: Fit = None) -> float:
    """Returns the root of the mean squared error, in the units of the targets.

    Args:
        predictions: one number per image; on the targets' scale unless they are fitted.
        targets: one number per image, in the same order.
        fit: "logistic" maps the predictions first (needs six images or more); None takes them as
            they are.

    Returns:
        Zero or more; NaN if a fit is asked for and all predictions are equal.

    Raises:
        ValueError: if the lengths differ, there are too few images, a value is NaN or infinite,
            or `fit` is not known.

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = _pairs(predictions, targets)
    return float(np.sqrt(np.mean((_fitted(predictions, targets, fit) - targets) ** 2)))


def logistic(values: Any, parameters: Any) -> np.ndarray:
    """Applies the field's five-parameter logistic.

    f(x) = b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5.

    Args:
        values: numbers of any shape.
        parameters: b1 to b5, as `fit_logistic` returns them.

    Returns:
        float64 array of the shape of `values`.

    References:
        Sheikh, Sabir and Bovik (2006), https://doi.org/10.1109/TIP.2006.881959

    Chapter: notebooks/08-evaluation.ipynb
    """
    x = np.asarray(values, np.float64)
    b1, b2, b3, b4, b5 = parameters
    return b1 * (special.expit(b2 * (x - b3)) - 0.5) + b4 * x + b5


def fit_logistic(predictions: Any, targets: Any, *, start: Any = None) -> np.ndarray:
    """Fits the five-parameter logistic by least squares.

    The fit starts from the best straight line, which is a logistic with b1 = 0, and from two
    S-curves, rising and falling, and keeps the best result: it is never worse than the line.

    Args:
        predictions: one number per image, not all equal; six images or more.
        targets: one number per image, in the same order.
        start: parameters to start from instead, such as those of a similar sample; one start is
            three times as fast.

    Returns:
        float64 array b1 to b5, for `logistic`.

    Raises:
        ValueError: if the lengths differ, there are fewer than six images, a value is NaN or
            infinite, or all predictions are equal.

    References:
        Sheikh, Sabir and Bovik (2006), https://doi.org/10.1109/TIP.2006.881959

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = _pairs(predictions, targets)
    if len(predictions) < MINIMUM_PAIRS_FOR_FIT:
        raise ValueError(
            f"The logistic needs {MINIMUM_PAIRS_FOR_FIT} images or more, not {len(predictions)}."
        )
    if _is_constant(predictions):
        raise ValueError("All predictions are equal: there is nothing to fit.")
    center, scale = predictions.mean(), predictions.std()
    x = (predictions - center) / scale

    starts = _starts(x, targets)
    if start is not None:
        b1, b2, b3, b4, b5 = start
        starts = [(b1, b2 * scale, (b3 - center) / scale, b4 * scale, b5 + b4 * center)]
    fits = [
        optimize.least_squares(
            _residuals, first, _jacobian, method="lm", max_nfev=100, args=(x, targets)
        )
        for first in starts
    ]
    b1, b2, b3, b4, b5 = min(fits, key=lambda fit: fit.cost).x
    # Back to the predictions' own scale.
    return np.array([b1, b2 / scale, b3 * scale + center, b4 / scale, b5 - b4 * center / scale])


def _starts(x: np.ndarray, targets: np.ndarray) -> list[tuple[float, ...]]:
    """Returns the best line as a logistic, then an S-curve that rises and one that falls."""
    slope, intercept = np.polyfit(x, targets, 1)
    span, mean = np.ptp(targets), targets.mean()
    return [
        (0.0, 1.0, 0.0, slope, intercept),
        (span, 1.0, 0.0, 0.0, mean),
        (-span, 1.0, 0.0, 0.0, mean),
    ]


def _residuals(parameters: np.ndarray, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return logistic(x, parameters) - targets


def _jacobian(parameters: np.ndarray, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    b1, b2, b3, _, _ = parameters
    s = special.expit(b2 * (x - b3))
    slope = b1 * s * (1 - s)
    return np.stack([s - 0.5, slope * (x - b3), -slope * b2, x, np.ones_like(x)], axis=1)


def _fitted(predictions: np.ndarray, targets: np.ndarray, fit: Fit) -> np.ndarray:
    if fit is None:
        return predictions
    if fit != "logistic":
        raise ValueError(f'fit must be "logistic" or None, not {fit!r}.')
    if _is_constant(predictions):
        return np.full_like(predictions, np.nan)
    return logistic(predictions, fit_logistic(predictions, targets))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if _is_constant(first) or _is_constant(second):
        return float("nan")
    return float(stats.pearsonr(first, second).statistic)


def _is_constant(values: np.ndarray) -> bool:
    # Up to rounding; also true for NaN.
    return not np.ptp(values) > ROUNDING * np.abs(values).max()


def _pairs(predictions: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Checks and returns both as float64 vectors."""
    pairs = {
        name: np.atleast_1d(np.asarray(values, np.float64).squeeze())
        for name, values in (("predictions", predictions), ("targets", targets))
    }
    for name, values in pairs.items():
        if values.ndim != 1:
            raise ValueError(f"{name} must hold one number per image, not shape {values.shape}.")
        if not np.isfinite(values).all():
            position = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"{name}[{position}] is {values[position]}, which is not a number.")
    first, second = pairs.values()
    if len(first) != len(second):
        raise ValueError(f"There are {len(first)} predictions but {len(second)} targets.")
    if len(first) < 2:
        raise ValueError(f"A correlation needs two images or more, not {len(first)}.")
    return first, second
