"""SRCC, PLCC, KRCC, RMSE and the logistic, against SciPy and against numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from diqa_utils.metrics import fit_logistic, krcc, logistic, plcc, rmse, srcc

METRICS = [srcc, plcc, krcc, rmse]


@pytest.fixture
def pairs(rng):
    """Predictions on a scale of their own, opinions on 0..100."""
    targets = rng.uniform(10, 90, 60)
    predictions = np.tanh((targets - 50) / 25) + rng.normal(0, 0.2, 60)
    return predictions, targets


# Reference values


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (srcc, stats.spearmanr),
        (krcc, stats.kendalltau),
        (lambda x, y: plcc(x, y, fit=None), stats.pearsonr),
    ],
    ids=["srcc", "krcc", "plcc"],
)
@pytest.mark.parametrize("decimals", [8, 0], ids=["no ties", "ties"])
def test_correlations_are_scipys(metric, reference, decimals, pairs):
    predictions, targets = np.round(pairs[0], decimals), np.round(pairs[1] / 10, decimals)
    assert metric(predictions, targets) == pytest.approx(reference(predictions, targets).statistic)


def test_rmse_by_hand():
    assert rmse([1, 2, 3], [1, 4, 7]) == pytest.approx(np.sqrt((0 + 4 + 16) / 3))


@pytest.mark.parametrize("metric", METRICS)
def test_a_column_and_a_list_are_vectors_too(metric, pairs):
    predictions, targets = pairs
    assert metric(predictions[:, None], targets.tolist()) == metric(predictions, targets)
    assert type(metric(predictions, targets)) is float


# The fit


def test_logistic_by_hand():
    # Halfway up at b3; b1 / 2 above it far to the right; the line is added.
    assert logistic(3.0, [10, 2, 3, 0, 5]) == pytest.approx(5)
    assert logistic(1e3, [10, 2, 3, 0, 5]) == pytest.approx(10)
    assert logistic(4.0, [10, 2, 3, 1.5, 5]) == pytest.approx(
        10 * (0.5 - 1 / (1 + np.exp(2))) + 1.5 * 4 + 5
    )
    assert logistic(np.zeros((2, 3)), [10, 2, 3, 1.5, 5]).shape == (2, 3)


@pytest.mark.parametrize(
    "parameters",
    [(60, 5, 0.4, 0, 50), (-60, 9, 0.6, 0, 50), (40, 12, 0.3, 20, 10), (0, 1, 0, -30, 80)],
    ids=["rising", "falling", "with a line", "only a line"],
)
def test_fit_recovers_the_curve_that_points_lie_on(parameters):
    x = np.linspace(0, 1, 40)
    y = logistic(x, parameters)
    np.testing.assert_allclose(logistic(x, fit_logistic(x, y)), y, atol=1e-3)
    assert plcc(x, y) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("seed", range(20))
def test_fit_is_never_worse_than_the_straight_line(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_t(2, (2, int(rng.integers(6, 30))))
    line = np.polyval(np.polyfit(x, y, 1), x)
    curve = logistic(x, fit_logistic(x, y))
    assert rmse(curve, y) <= rmse(line, y) * (1 + 1e-9)


@pytest.mark.parametrize(("slope", "offset"), [(-1, 0), (1000, -5), (1e-4, 3), (-37, 1e4)], ids=str)
def test_fit_does_not_depend_on_the_scale_of_the_predictions(slope, offset, pairs):
    predictions, targets = pairs
    scaled = slope * predictions + offset
    assert plcc(scaled, targets) == pytest.approx(plcc(predictions, targets), abs=1e-5)


def test_plcc_is_taken_after_the_fit_unless_told_otherwise(pairs):
    predictions, targets = np.tanh((pairs[1] - 50) / 10), pairs[1]
    mapped = logistic(predictions, fit_logistic(predictions, targets))
    assert plcc(predictions, targets) == pytest.approx(stats.pearsonr(mapped, targets).statistic)
    assert plcc(predictions, targets) > plcc(predictions, targets, fit=None) + 0.01


def test_fit_from_a_given_start_leads_to_the_same_curve(pairs):
    predictions, targets = pairs
    start = fit_logistic(predictions, targets)
    np.testing.assert_allclose(
        logistic(predictions, fit_logistic(predictions[:50], targets[:50], start=start)),
        logistic(predictions, fit_logistic(predictions[:50], targets[:50])),
        atol=0.1,
    )


# What is not defined


@pytest.mark.parametrize("metric", [srcc, plcc, krcc, lambda x, y: plcc(x, y, fit=None)])
@pytest.mark.parametrize("constant", ["predictions", "targets", "both"])
def test_correlation_with_a_constant_is_nan(metric, constant, pairs):
    predictions, targets = pairs
    if constant != "targets":
        predictions = np.full(60, 0.1)
    if constant != "predictions":
        targets = np.full(60, 0.7)
    assert np.isnan(metric(predictions, targets))


def test_predictions_that_say_nothing_do_not_warn():
    predictions, targets = [-1, 1] * 4, [2, 2, 0.1, 0.1] * 2
    assert plcc(predictions, targets, fit=None) == pytest.approx(0, abs=1e-12)
    # The best fit is flat up to rounding, which says nothing either.
    assert np.isnan(plcc(predictions, targets))


# Bad input


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("predictions", "targets", "message"),
    [
        ([1, 2, np.nan, 4], [1, 2, 3, 4], r"predictions\[2\] is nan"),
        ([1, 2, 3, 4], [1, -np.inf, 3, 4], r"targets\[1\] is -inf"),
        (range(8), range(7), "8 predictions but 7 targets"),
        ([0.5], [0.5], "two images or more, not 1"),
        (np.zeros((8, 2)), np.zeros(8), r"one number per image, not shape \(8, 2\)"),
    ],
)
def test_what_is_wrong_with_the_numbers_is_named(metric, predictions, targets, message):
    with pytest.raises(ValueError, match=message):
        metric(predictions, targets)


def test_what_cannot_be_fitted_is_refused(pairs):
    with pytest.raises(ValueError, match="needs 6 images or more, not 5"):
        plcc(pairs[0][:5], pairs[1][:5])
    with pytest.raises(ValueError, match="All predictions are equal"):
        fit_logistic(np.ones(8), np.arange(8))
    with pytest.raises(ValueError, match="'linear'"):
        plcc(*pairs, fit="linear")
