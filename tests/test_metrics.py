"""SRCC, PLCC, KRCC, RMSE and the logistic, against SciPy and against numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from diqa_utils.metrics import fit_logistic, krcc, logistic, plcc, rmse, srcc

METRICS = [srcc, plcc, krcc, rmse]
CORRELATIONS = [srcc, plcc, krcc]


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
    if decimals == 0:
        assert len(np.unique(predictions)) < 10
    assert metric(predictions, targets) == pytest.approx(reference(predictions, targets).statistic)


def test_correlations_by_hand():
    predictions, targets = [1, 2, 3, 4], [10, 30, 20, 40]
    assert srcc(predictions, targets) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert krcc(predictions, targets) == pytest.approx((5 - 1) / 6)
    assert plcc(predictions, targets, fit=None) == pytest.approx(0.8)


def test_ties_share_the_mean_of_their_ranks():
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    assert srcc([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    # tau-b: five pairs in order, none against, one tied in the predictions.
    assert krcc([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / np.sqrt(5 * 6))


def test_rmse_by_hand():
    assert rmse([1, 2, 3], [1, 4, 7]) == pytest.approx(np.sqrt((0 + 4 + 16) / 3))
    assert rmse([1, 2], [1, 2]) == 0


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_return_plain_floats(metric, pairs):
    assert type(metric(*pairs)) is float


@pytest.mark.parametrize("metric", METRICS)
def test_a_column_and_a_list_are_vectors_too(metric, pairs):
    predictions, targets = pairs
    assert metric(predictions[:, None], targets.tolist()) == metric(predictions, targets)


@pytest.mark.parametrize("metric", [srcc, krcc])
def test_order_is_all_that_rank_correlations_see(metric, pairs):
    predictions, targets = pairs
    assert metric(np.exp(predictions), targets**3) == pytest.approx(metric(predictions, targets))
    assert metric(-predictions, targets) == pytest.approx(-metric(predictions, targets))


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
def test_fit_recovers_a_known_curve(parameters):
    x = np.linspace(0, 1, 40)
    y = logistic(x, parameters)
    np.testing.assert_allclose(logistic(x, fit_logistic(x, y)), y, atol=1e-3)
    assert plcc(x, y) == pytest.approx(1, abs=1e-8)
    assert rmse(x, y, fit="logistic") < 1e-3


@pytest.mark.parametrize("seed", range(20))
def test_fit_is_never_worse_than_the_straight_line(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_t(2, (2, int(rng.integers(6, 30))))
    line = np.polyval(np.polyfit(x, y, 1), x)
    fitted = logistic(x, fit_logistic(x, y))
    assert np.sum((fitted - y) ** 2) <= np.sum((line - y) ** 2) * (1 + 1e-9)


@pytest.mark.parametrize(("slope", "offset"), [(-1, 0), (1000, -5), (1e-4, 3), (-37, 1e4)], ids=str)
def test_fitted_metrics_do_not_depend_on_the_predictions_scale(slope, offset, pairs):
    predictions, targets = pairs
    other = slope * predictions + offset
    assert plcc(other, targets) == pytest.approx(plcc(predictions, targets), abs=1e-5)
    assert rmse(other, targets, fit="logistic") == pytest.approx(
        rmse(predictions, targets, fit="logistic"), rel=1e-4
    )


def test_plcc_is_fitted_unless_told_otherwise(pairs):
    predictions, targets = np.tanh((pairs[1] - 50) / 10), pairs[1]
    raw, fitted = plcc(predictions, targets, fit=None), plcc(predictions, targets)
    assert fitted == plcc(predictions, targets, fit="logistic")
    assert fitted > raw + 0.01
    mapped = logistic(predictions, fit_logistic(predictions, targets))
    assert fitted == pytest.approx(stats.pearsonr(mapped, targets).statistic)


def test_rmse_is_raw_unless_told_otherwise(pairs):
    assert rmse(*pairs) == rmse(*pairs, fit=None)
    assert rmse(*pairs, fit="logistic") < rmse(*pairs)


def test_fit_from_a_given_start_finds_the_same_curve(pairs):
    predictions, targets = pairs
    free = fit_logistic(predictions, targets)
    started = fit_logistic(predictions[:50], targets[:50], start=free)
    np.testing.assert_allclose(
        logistic(predictions, started),
        logistic(predictions, fit_logistic(predictions[:50], targets[:50])),
        atol=0.1,
    )


def test_fit_needs_six_images(pairs):
    predictions, targets = pairs[0][:5], pairs[1][:5]
    with pytest.raises(ValueError, match="needs 6 images or more, not 5"):
        plcc(predictions, targets)
    assert -1 <= plcc(predictions, targets, fit=None) <= 1


def test_fit_of_equal_predictions_is_refused():
    with pytest.raises(ValueError, match="All predictions are equal"):
        fit_logistic(np.ones(8), np.arange(8))


@pytest.mark.parametrize("metric", [plcc, rmse])
def test_unknown_fit_is_refused(metric, pairs):
    with pytest.raises(ValueError, match="'linear'"):
        metric(*pairs, fit="linear")


# What is not defined


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize("constant", ["predictions", "targets", "both"])
def test_correlation_with_a_constant_is_nan(metric, constant, pairs):
    predictions, targets = pairs
    if constant != "targets":
        predictions = np.full(60, 0.1)
    if constant != "predictions":
        targets = np.full(60, 0.7)
    assert np.isnan(metric(predictions, targets))


def test_raw_plcc_of_a_constant_is_nan():
    assert np.isnan(plcc([0.1] * 7, range(7), fit=None))


def test_rmse_of_a_constant_is_defined_without_a_fit():
    assert rmse([2, 2], [1, 4]) == pytest.approx(np.sqrt((1 + 4) / 2))
    assert np.isnan(rmse(np.full(7, 2.0), range(7), fit="logistic"))


def test_predictions_that_say_nothing_do_not_warn():
    predictions, targets = [-1, 1] * 4, [2, 2, 0.1, 0.1] * 2
    assert plcc(predictions, targets, fit=None) == pytest.approx(0, abs=1e-12)
    # The best fit is flat up to rounding, which says nothing either.
    assert np.isnan(plcc(predictions, targets))


# Bad input


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_position_of_a_value_that_is_no_number_is_named(metric, bad, pairs):
    predictions, targets = pairs[0].copy(), pairs[1].copy()
    predictions[7] = bad
    with pytest.raises(ValueError, match=rf"predictions\[7\] is {bad}"):
        metric(predictions, targets)
    with pytest.raises(ValueError, match=rf"targets\[7\] is {bad}"):
        metric(targets, predictions)


@pytest.mark.parametrize("metric", METRICS)
def test_mismatched_lengths_are_named(metric):
    with pytest.raises(ValueError, match="8 predictions but 7 targets"):
        metric(range(8), range(7))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_images_are_refused(metric, number):
    with pytest.raises(ValueError, match=f"two images or more, not {number}"):
        metric([0.5] * number, [0.5] * number)


@pytest.mark.parametrize("metric", METRICS)
def test_a_table_is_refused(metric):
    with pytest.raises(ValueError, match=r"one number per image, not shape \(8, 2\)"):
        metric(np.zeros((8, 2)), np.zeros(8))
