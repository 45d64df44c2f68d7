"""Rows, groups, intervals; PSNR, SSIM and MS-SSIM of a database."""

import json

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import uniform_filter
from scipy.signal import convolve2d
from skimage import data
from skimage.metrics import structural_similarity

from diqa_utils import evaluation
from diqa_utils.evaluation import Estimate, evaluate, full_reference_scores, to_markdown
from diqa_utils.metrics import fit_logistic, krcc, logistic, plcc, rmse, srcc

NAMES = ("srcc", "plcc", "krcc", "rmse")


def opinions(rng, number, *, noise=0.2):
    targets = rng.uniform(0, 1, number)
    return targets + rng.normal(0, noise, number), targets


@pytest.fixture
def pairs(rng):
    return opinions(rng, 60)


def widths(row):
    return {name: getattr(row, name).high - getattr(row, name).low for name in NAMES}


# Rows


def test_values_are_those_of_the_metrics_overall_and_per_group(pairs):
    predictions, targets = pairs
    groups = np.resize(["jpeg", "blur", "noise", "blur"], 60)
    rows = evaluate(predictions, targets, groups=groups, resamples=2)
    assert [(row.group, row.images) for row in rows] == [
        *(("overall", 60), ("blur", 30), ("jpeg", 15), ("noise", 15)),
    ]
    for row, members in ((rows[0], groups != ""), (rows[1], groups == "blur")):
        pair = predictions[members], targets[members]
        assert row.srcc.value == srcc(*pair)
        assert row.krcc.value == krcc(*pair)
        assert row.plcc.value == pytest.approx(plcc(*pair), abs=1e-6)
        mapped = logistic(pair[0], fit_logistic(*pair))
        assert row.rmse.value == pytest.approx(rmse(mapped, pair[1]), rel=1e-6)


def test_a_row_goes_into_json(pairs):
    [row] = evaluate(*pairs, resamples=2)
    read = json.loads(json.dumps(row.to_dict()))
    assert read["srcc"] == {"value": row.srcc.value, "low": row.srcc.low, "high": row.srcc.high}
    assert (read["group"], read["images"]) == ("overall", 60)


def test_markdown_table():
    estimate = Estimate(0.98765, 0.5, 1.0)
    row = evaluation.Agreement("white_noise", 12, estimate, estimate, estimate, estimate)
    assert to_markdown([row]).splitlines() == [
        "| group | images | SRCC | PLCC | KRCC | RMSE |",
        "|---|--:|---|---|---|---|",
        "| white noise | 12 |" + " 0.988 [0.500, 1.000] |" * 4,
    ]


# Intervals


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    truth = krcc(*opinions(np.random.default_rng(99), 20_000))
    covered = 0
    for seed in range(25):
        pairs = opinions(np.random.default_rng(seed), 40)
        [row] = evaluate(*pairs, resamples=60, confidence=0.8)
        covered += row.krcc.low < truth < row.krcc.high
    assert 15 <= covered <= 24  # where 20 are expected


def test_each_seed_has_its_own_result(pairs):
    first, again, other = (evaluate(*pairs, resamples=20, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[0].srcc != other[0].srcc
    assert first[0].srcc.value == other[0].srcc.value


# Clusters


def test_clusters_make_intervals_wider_where_errors_go_together(rng):
    clusters = np.repeat([f"scene {number}" for number in range(10)], 12)
    targets = rng.uniform(0, 1, 120)
    predictions = targets + np.repeat(rng.normal(0, 0.4, 10), 12)
    [apart] = evaluate(predictions, targets, resamples=60)
    [together] = evaluate(predictions, targets, clusters=clusters, resamples=60)
    for name in ("srcc", "krcc", "rmse"):
        assert widths(together)[name] > 1.3 * widths(apart)[name]
    assert together.srcc.value == apart.srcc.value


def test_resamples_in_which_a_metric_is_not_defined_are_left_out(rng):
    # A cluster of seven images and four of one: drawing the small ones alone gives too few.
    clusters = ["large"] * 7 + [f"small {number}" for number in range(4)]
    [row] = evaluate(*opinions(rng, 11), clusters=clusters, resamples=100)
    assert all(np.isfinite(width) for width in widths(row).values())
    # One image differs from the others: a third of the resamples miss it.
    [row] = evaluate(rng.uniform(0, 1, 10), np.eye(10)[0], resamples=60)
    assert np.isfinite([row.srcc.low, row.srcc.high]).all()


# What is not defined


def test_where_all_is_equal_nothing_is_defined_but_the_error(rng):
    constant, numbers = np.full(20, 0.5), rng.uniform(0, 1, 20)
    [row] = evaluate(constant, numbers, resamples=5)
    assert all(np.isnan(getattr(row, name).value) for name in NAMES)
    assert all(np.isnan(width) for width in widths(row).values())
    [row] = evaluate(numbers, constant, resamples=5)
    assert all(np.isnan(getattr(row, name).value) for name in NAMES[:3])
    assert row.rmse.value == pytest.approx(0, abs=1e-6)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["jpeg"] * 59}, "60 predictions but 59 groups"),
        ({"confidence": 95}, "between 0 and 1, not 95"),
        ({"groups": ["overall"] * 60}, "No group may be called 'overall'"),
        ({"groups": ["blur"] * 55 + ["jpeg"] * 5}, "Group 'jpeg' has 5 images; it needs 6 or more"),
        ({"targets": [*np.ones(59), np.nan], "groups": ["a", "b"] * 30}, r"targets\[59\] is nan"),
    ],
)
def test_what_does_not_fit_is_named(options, message, pairs):
    arguments = {"targets": pairs[1], "resamples": 2} | options
    with pytest.raises(ValueError, match=message):
        evaluate(pairs[0], **arguments)


# PSNR, SSIM and MS-SSIM


def database(reference, distorted):
    return tf.data.Dataset.from_tensor_slices(
        {"reference_image": np.stack(reference), "distorted_image": np.stack(distorted)}
    )


def gray_levels(image):
    return (image @ np.array([0.299, 0.587, 0.114]) / 255).astype(np.float32)


def with_noise(image, rng, deviation=20):
    return np.clip(image + rng.normal(0, deviation, image.shape), 0, 255).astype(np.uint8)


def test_ssim_is_scikit_images(photographs, rng):
    reference = photographs["coffee"]
    noisy = with_noise(reference, rng)
    scores = full_reference_scores(
        database([reference, reference], [noisy, reference]), metrics=["ssim", "psnr"]
    )
    gray = [gray_levels(image) for image in (reference, noisy)]
    expected = structural_similarity(
        *gray, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    np.testing.assert_allclose(scores["ssim"], [expected, 1], atol=1e-5)
    error = np.mean((gray[0] - gray[1]) ** 2)
    assert scores["psnr"][0] == pytest.approx(-10 * np.log10(error), abs=1e-3)
    assert scores["psnr"][1] == np.inf


def ms_ssim_by_hand(first, second):
    """The authors' equations on grey levels (H, W) in 0..1, with SciPy and in float64."""
    steps = np.arange(11) - 5
    window = np.exp(-(steps**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    product = 1.0
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, weight in enumerate(weights):
        x, y = first.astype(np.float64), second.astype(np.float64)

        def mean(values, window=window):
            return convolve2d(values, window, mode="valid")

        mean_x, mean_y = mean(x), mean(y)
        covariance = mean(x * y) - mean_x * mean_y
        variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
        similarity = (2 * covariance + 0.03**2) / (variances + 0.03**2)
        if scale == len(weights) - 1:
            similarity *= (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        product *= max(similarity.mean(), 0) ** weight
        first, second = halve(first), halve(second)
    return product


def halve(gray):
    """The mean of every two by two pixels; an odd side repeats its last one."""
    height, width = gray.shape
    even = np.pad(gray, ((0, height % 2), (0, width % 2)), mode="edge")
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3))


@pytest.mark.parametrize("size", [(176, 176), (179, 202)])
def test_ms_ssim_is_what_its_equations_give(size, rng):
    reference = data.coffee()[20 : 20 + size[0], 100 : 100 + size[1]]
    blurred = uniform_filter(reference, size=(5, 5, 1))
    distorted = [with_noise(reference, rng), blurred, reference // 2, reference]
    scores = full_reference_scores(database([reference] * 4, distorted), metrics=["ms_ssim"])
    expected = [ms_ssim_by_hand(gray_levels(reference), gray_levels(d)) for d in distorted]
    np.testing.assert_allclose(scores["ms_ssim"], expected, atol=2e-5)
    assert expected[3] == 1
    assert max(expected[:3]) < 0.99


def test_ms_ssim_of_opposite_structure_is_zero(rng):
    reference = rng.integers(0, 256, (176, 176, 3), np.uint8)
    scores = full_reference_scores(database([reference], [255 - reference]))
    assert scores["ms_ssim"] == [0]
    assert scores["ssim"] < 0
    assert list(scores) == ["psnr", "ssim", "ms_ssim"]


@pytest.mark.parametrize(
    ("width", "number", "metrics", "message"),
    [
        (175, 2, ["ms_ssim"], "Image 1 has 176 x 175 pixels; MS-SSIM needs 176 a side: choose"),
        (48, 2, ["psnr", "vif"], "'vif' is not one of the metrics psnr, ssim, ms_ssim"),
        (48, 0, ["psnr"], "empty"),
    ],
)
def test_databases_that_cannot_be_scored_are_refused(width, number, metrics, message):
    image = np.zeros((2, 176, width, 3), np.uint8)
    with pytest.raises(ValueError, match=message):
        full_reference_scores(database(image, image).take(number), metrics=metrics)
