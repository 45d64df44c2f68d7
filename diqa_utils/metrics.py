"""Agreement of predictions with opinion: SRCC, PLCC, KRCC and RMSE.

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

__all__ = [
    "checked_pairs",
    "fit_logistic",
    "is_constant",
    "krcc",
    "logistic",
    "plcc",
    "rmse",
    "srcc",
]

#: The logistic has five parameters; fewer pairs do not determine it.
MINIMUM_PAIRS_FOR_FIT = 6


def srcc(predictions: Any, targets: Any) -> float:
    """Returns Spearman's rank correlation: do the predictions put the images in the right order?

    Ties share the mean of their ranks.

    Args:
        predictions: One number per image, on any scale.
        targets: One number per image, in the same order.

    Returns:
        -1..1; NaN if all predictions or all targets are equal, where no order exists.

    Raises:
        ValueError: If the lengths differ, there are fewer than two images, or a value is NaN or
            infinite.

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = checked_pairs(predictions, targets)
    if is_constant(predictions) or is_constant(targets):
        return float("nan")
    ranks = stats.rankdata(predictions), stats.rankdata(targets)
    return float(stats.pearsonr(*ranks).statistic)


def plcc(predictions: Any, targets: Any, *, fit: Literal["logistic"] | None = "logistic") -> float:
    """Returns Pearson's linear correlation, by default after the five-parameter logistic.

    A predictor need not share the scale of the opinion scores; the field therefore maps its
    predictions to them by a fitted logistic first.

    Args:
        predictions: One number per image, on any scale.
        targets: One number per image, in the same order.
        fit: "logistic" to map the predictions first, for which six images or more are needed;
            None to take them unchanged.

    Returns:
        -1..1; NaN if all predictions or all targets are equal.

    Raises:
        ValueError: If the lengths differ, there are too few images, a value is NaN or infinite,
            or `fit` is neither of the two.

    References:
        Sheikh, Sabir and Bovik (2006), https://doi.org/10.1109/TIP.2006.881959

    Chapter: notebooks/08-evaluation.ipynb
    """
    if fit not in ("logistic", None):
        raise ValueError(f'fit must be "logistic" or None, not {fit!r}.')
    predictions, targets = checked_pairs(predictions, targets)
    if fit == "logistic" and not is_constant(predictions):
        predictions = logistic(predictions, fit_logistic(predictions, targets))
    if is_constant(predictions) or is_constant(targets):
        return float("nan")
    return float(stats.pearsonr(predictions, targets).statistic)


def krcc(predictions: Any, targets: Any) -> float:
    """Returns Kendall's rank correlation (tau-b): of all pairs, how many are in the right order?

    Args:
        predictions: One number per image, on any scale.
        targets: One number per image, in the same order.

    Returns:
        -1..1; NaN if all predictions or all targets are equal.

    Raises:
        ValueError: If the lengths differ, there are fewer than two images, or a value is NaN or
            infinite.

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = checked_pairs(predictions, targets)
    if is_constant(predictions) or is_constant(targets):
        return float("nan")
    return float(stats.kendalltau(predictions, targets).statistic)


def rmse(predictions: Any, targets: Any) -> float:
    """Returns the root of the mean squared error, in the units of the targets.

    Args:
        predictions: One number per image, on the scale of the targets; `logistic` with the
            parameters of `fit_logistic` maps them to it.
        targets: One number per image, in the same order.

    Returns:
        Zero or more.

    Raises:
        ValueError: If the lengths differ, there are fewer than two images, or a value is NaN or
            infinite.

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = checked_pairs(predictions, targets)
    return float(np.sqrt(np.mean((predictions - targets) ** 2)))


def logistic(values: Any, parameters: Any) -> np.ndarray:
    """Applies the field's five-parameter logistic.

    f(x) = b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5.

    Args:
        values: Numbers of any shape.
        parameters: The five numbers b1 to b5 that `fit_logistic` returns.

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
        predictions: One number per image, not all equal; six images or more.
        targets: One number per image, in the same order.
        start: Parameters to start from instead, such as those of a similar sample; one start is
            three times as fast.

    Returns:
        float64 array b1 to b5, for `logistic`.

    Raises:
        ValueError: If the lengths differ, there are fewer than six images, a value is NaN or
            infinite, or all predictions are equal.

    References:
        Sheikh, Sabir and Bovik (2006), https://doi.org/10.1109/TIP.2006.881959

    Chapter: notebooks/08-evaluation.ipynb
    """
    predictions, targets = checked_pairs(predictions, targets)
    if len(predictions) < MINIMUM_PAIRS_FOR_FIT:
        raise ValueError(
            f"The logistic needs {MINIMUM_PAIRS_FOR_FIT} images or more, not {len(predictions)}."
        )
    if is_constant(predictions):
        raise ValueError("All predictions are equal: there is nothing to fit.")
    center, scale = predictions.mean(), predictions.std()
    x = (predictions - center) / scale

    if start is None:
        slope, intercept = np.polyfit(x, targets, 1)
        span, mean = np.ptp(targets), targets.mean()
        line = (0.0, 1.0, 0.0, slope, intercept)
        starts = [line, (span, 1.0, 0.0, 0.0, mean), (-span, 1.0, 0.0, 0.0, mean)]
    else:
        b1, b2, b3, b4, b5 = start
        starts = [(b1, b2 * scale, (b3 - center) / scale, b4 * scale, b5 + b4 * center)]

    def residuals(parameters: np.ndarray) -> np.ndarray:
        return logistic(x, parameters) - targets

    def jacobian(parameters: np.ndarray) -> np.ndarray:
        b1, b2, b3, _, _ = parameters
        s = special.expit(b2 * (x - b3))
        slope = b1 * s * (1 - s)
        return np.stack([s - 0.5, slope * (x - b3), -slope * b2, x, np.ones_like(x)], axis=1)

    fits = [
        optimize.least_squares(residuals, first, jacobian, method="lm", max_nfev=100)
        for first in starts
    ]
    b1, b2, b3, b4, b5 = min(fits, key=lambda fit: fit.cost).x
    # Back to the predictions' own scale.
    return np.array([b1, b2 / scale, b3 * scale + center, b4 / scale, b5 - b4 * center / scale])


def is_constant(values: np.ndarray) -> bool:
    """Tells whether all values are equal up to rounding, where no correlation exists.

    Args:
        values: (N,) numbers, one or more.

    Returns:
        Whether they differ by no more than 10^-12 of the largest; True if one is NaN.
    """
    return not np.ptp(values) > 1e-12 * np.abs(values).max()


def checked_pairs(predictions: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Checks predictions and targets of the same images, and returns both as vectors.

    Args:
        predictions: N finite numbers, (N,) or with axes of length one besides.
        targets: As many numbers, in the same order.

    Returns:
        Two float64 arrays (N,).

    Raises:
        ValueError: If the lengths differ, there are fewer than two images, or a value is NaN or
            infinite.
    """
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
