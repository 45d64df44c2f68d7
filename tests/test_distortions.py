"""The seeded distortions: those of KADID-10k, and fast fading."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from skimage import color
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from diqa_utils.datasets.kadid10k import kadid10k_dataset_builder as kadid10k
from diqa_utils.distortions import DISTORTIONS, FAMILIES, LEVELS, distort

RANDOM = {
    *("motion_blur", "color_shift", "white_noise", "color_component_noise", "impulse_noise"),
    *("multiplicative_noise", "denoising", "mean_shift", "jitter", "non_eccentricity_patch"),
    *("color_block", "contrast_change", "fast_fading"),
}
#: What grey levels show badly is judged by the difference of colours.
BY_COLOUR = {*FAMILIES["color"], *FAMILIES["brightness"]}
every_distortion = pytest.mark.parametrize("distortion", DISTORTIONS)
every_level = pytest.mark.parametrize("level", LEVELS)


def luma(image):
    return image @ np.array([0.299, 0.587, 0.114])


@pytest.fixture
def picture(photographs):
    return photographs["chelsea"]


def test_the_families_are_those_of_kadid10k_in_its_order():
    assert tuple(itertools.chain(*FAMILIES.values())) == kadid10k.DISTORTIONS
    assert len(FAMILIES) == 7
    assert set(DISTORTIONS) == {*kadid10k.DISTORTIONS, "fast_fading"}
    assert LEVELS == (1, 2, 3, 4, 5)


@every_distortion
@every_level
def test_result_is_another_uint8_picture_of_the_same_shape(distortion, level, picture):
    distorted = distort(picture, distortion, level)
    assert distorted.dtype == np.uint8
    assert distorted.shape == picture.shape
    assert np.any(distorted != picture)


@every_distortion
@pytest.mark.parametrize("size", [(48, 48), (50, 67), (143, 145), (200, 51), (64, 128)])
def test_sizes_need_not_be_multiples_of_a_block(distortion, size, rng):
    picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    assert distort(picture, distortion, 5).shape == picture.shape


@every_distortion
@pytest.mark.parametrize("value", [(0, 0, 0), (255, 255, 255), (77, 20, 190)])
def test_a_picture_of_one_colour_is_distorted_without_a_warning(distortion, value):
    picture = np.full((48, 50, 3), value, np.uint8)
    for level in (1, 5):
        assert distort(picture, distortion, level).shape == picture.shape


@every_distortion
def test_a_grey_picture_is_distorted_too(distortion, picture):
    gray = np.repeat(luma(picture)[..., None].astype(np.uint8), 3, axis=-1)
    changed = np.any(distort(gray, distortion, 3) != gray)
    colour_only = {"color_diffusion", "color_saturation_1", "color_saturation_2"}
    assert changed == (distortion not in colour_only)


@pytest.fixture(scope="module")
def all_levels(photographs):
    """For each type, its five levels of each photograph."""
    return {
        name: [[distort(image, name, level) for level in LEVELS] for image in photographs.values()]
        for name in DISTORTIONS
    }


def mean_by_level(metric, photographs, distorted):
    rows = zip(photographs.values(), distorted, strict=True)
    return np.mean([[metric(image, version) for version in row] for image, row in rows], axis=0)


@every_distortion
def test_each_level_has_a_larger_error_than_the_one_before(distortion, photographs, all_levels):
    ratios = mean_by_level(peak_signal_noise_ratio, photographs, all_levels[distortion])
    assert np.all(np.diff(ratios) < 0), ratios
    assert ratios[0] - ratios[-1] > 6  # in decibels: twice the error, and more


@every_distortion
def test_each_level_looks_worse_than_the_one_before(distortion, photographs, all_levels):
    def difference(reference, distorted):
        if distortion in BY_COLOUR:
            return color.deltaE_ciede2000(*map(color.rgb2lab, (reference, distorted))).mean()
        return 1 - structural_similarity(luma(reference), luma(distorted), data_range=255)

    differences = mean_by_level(difference, photographs, all_levels[distortion])
    assert np.all(np.diff(differences) > 0), differences
    assert differences[-1] > 2 * differences[0]


# Pure functions of image, level and seed


@every_distortion
def test_one_seed_gives_one_result(distortion, picture):
    first = distort(picture, distortion, 3, seed=7)
    np.random.seed(99)  # noqa: NPY002 - the global generator must not matter
    np.testing.assert_array_equal(distort(picture, distortion, 3, seed=7), first)


@every_distortion
def test_the_seed_matters_to_random_distortions_only(distortion, picture):
    first, *others = (distort(picture, distortion, 3, seed=seed) for seed in range(8))
    assert any(np.any(first != other) for other in others) == (distortion in RANDOM)


@every_distortion
def test_the_picture_is_left_as_it_was(distortion, picture):
    before = picture.copy()
    distort(picture, distortion, 5)
    np.testing.assert_array_equal(picture, before)


@every_distortion
def test_tensors_views_and_read_only_arrays_are_taken(distortion, picture):
    locked = picture.copy()
    locked.setflags(write=False)
    expected = distort(locked, distortion, 2)
    np.testing.assert_array_equal(distort(tf.constant(picture), distortion, 2), expected)
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    np.testing.assert_array_equal(
        distort(picture[:, ::-1], distortion, 2), distort(mirrored, distortion, 2)
    )


# Bad input


def test_an_unknown_distortion_is_named_with_the_known_ones(picture):
    with pytest.raises(
        ValueError, match=r"no distortion 'rain'; known: gaussian_blur, lens_blur, "
    ):
        distort(picture, "rain", 1)


@pytest.mark.parametrize("level", [0, 6, -1, 1.5, 2.0, "1", None])
def test_an_unknown_level_is_named_with_the_known_ones(picture, level):
    with pytest.raises(ValueError, match=r"level must be one of \(1, 2, 3, 4, 5\), not ") as caught:
        distort(picture, "jpeg", level)
    assert repr(level) in str(caught.value)


def test_a_level_from_numpy_is_a_level(picture):
    np.testing.assert_array_equal(
        distort(picture, "jpeg", np.int64(2)), distort(picture, "jpeg", 2)
    )


@every_distortion
@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((60, 60, 3), np.float32), r"uint8 of shape \(H, W, 3\), not float32"),
        (np.zeros((60, 60), np.uint8), r"not uint8 of shape \(60, 60\)"),
        (np.zeros((60, 60, 1), np.uint8), r"not uint8 of shape \(60, 60, 1\)"),
        (np.zeros((2, 60, 60, 3), np.uint8), r"not uint8 of shape \(2, 60, 60, 3\)"),
    ],
)
def test_what_is_no_uint8_colour_picture_is_refused(distortion, image, words):
    with pytest.raises(ValueError, match=words):
        distort(image, distortion, 1)
