"""The study of what each part is worth leaves out what it says, and nothing else."""

import numpy as np
import pytest

from benchmarks import ablations
from diqa_utils import notebook
from diqa_utils.maps import average_reliability_map, downscale, error_map
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.preprocessing import normalize, to_gray


def test_every_variant_has_a_title_and_results():
    found = notebook.results("ablations")
    for group, variants in (("parts", ablations.ABLATIONS), ("choices", ablations.CHOICES)):
        titles = ablations.TITLES[group]
        assert {name for name, _ in titles} == {"whole", *variants}
        assert found["titles"][group] == [list(title) for title in titles]
    assert set(found["variants"]) == set(ablations.VARIANTS)


def test_the_whole_networks_are_those_of_the_library():
    whole = ablations.VARIANTS["whole"]
    error_map_model = ablations.build_error_map_variant(whole)
    extractor = error_map_model.get_layer("feature_extractor")
    for ours, expected in (
        (error_map_model, build_error_map_model()),
        (ablations.build_score_variant(extractor, whole), build_score_model()),
    ):
        shapes = [[weights.shape for weights in model.weights] for model in (ours, expected)]
        assert shapes[0] == shapes[1]


@pytest.fixture
def pairs(rng):
    return rng.integers(0, 256, (2, 2, 64, 64, 3), dtype=np.uint8)


def test_the_whole_method_is_that_of_the_library(pairs):
    distorted, target, weights = ablations.error_map_example(pairs, ablations.VARIANTS["whole"])
    reference, expected = (normalize(to_gray(pairs[:, place])) for place in (0, 1))
    np.testing.assert_allclose(distorted, expected, atol=1e-6)
    np.testing.assert_allclose(target, downscale(error_map(reference, expected)), atol=1e-6)
    reliability = downscale(average_reliability_map(expected))
    np.testing.assert_allclose(weights, reliability, atol=1e-6)


def test_what_is_left_out_is_left_out(pairs):
    def example(name):
        return ablations.error_map_example(pairs, ablations.VARIANTS[name])

    assert np.all(np.asarray(example("without_reliability")[2]) == 1)
    plain = to_gray(pairs[:, 1]) - 0.5
    np.testing.assert_allclose(example("without_normalization")[0], plain, atol=1e-6)
    reference, distorted = (normalize(to_gray(pairs[:, place])) for place in (0, 1))
    expected = downscale(np.abs(reference - distorted))
    np.testing.assert_allclose(example("plain_difference")[1], expected, atol=1e-6)
