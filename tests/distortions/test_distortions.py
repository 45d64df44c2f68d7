"""What holds for every distortion, whatever it does."""

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
COLOUR_ONLY = {"color_diffusion", "color_saturation_1", "color_saturation_2"}
every_distortion = pytest.mark.parametrize("distortion", DISTORTIONS)


def luma(image):
    return image @ np.array([0.299, 0.587, 0.114])


@pytest.fixture
def picture(photographs):
    return photographs["chelsea"]


def test_the_families_are_those_of_kadid10k_in_its_order():
    assert tuple(itertools.chain(*FAMILIES.values())) == kadid10k.DISTORTIONS
    assert len(FAMILIES) == 7


@every_distortion
@pytest.mark.parametrize("size", [(48, 48), (50, 67), (200, 51)])
def test_sizes_need_not_be_multiples_of_a_block(distortion, size, rng):
    picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    distorted = distort(picture, distortion, 5)
    assert (distorted.shape, distorted.dtype) == (picture.shape, np.uint8)
    for colour in ((0, 0, 0), (255, 255, 255), (77, 20, 190)):  # without a warning
        flat = np.full_like(picture, colour)
        assert [distort(flat, distortion, level).shape for level in (1, 5)] == [flat.shape] * 2


@every_distortion
def test_a_grey_picture_is_distorted_too(distortion, picture):
    gray = np.repeat(luma(picture)[..., None].astype(np.uint8), 3, axis=-1)
    changed = np.any(distort(gray, distortion, 3) != gray)
    assert changed == (distortion not in COLOUR_ONLY)


@every_distortion
def test_each_level_is_worse_than_the_one_before(distortion, photographs):
    def by_colour(reference, distorted):
        return color.deltaE_ciede2000(*map(color.rgb2lab, (reference, distorted))).mean()

    def by_structure(reference, distorted):
        return 1 - structural_similarity(luma(reference), luma(distorted), data_range=255)

    difference = by_colour if distortion in BY_COLOUR else by_structure
    measured = []
    for image in photographs.values():
        levels = [distort(image, distortion, level) for level in LEVELS]
        measured.append(
            [(peak_signal_noise_ratio(image, level), difference(image, level)) for level in levels]
        )
    ratios, differences = np.mean(measured, axis=0).T
    assert np.all(np.diff(ratios) < 0), ratios
    assert ratios[0] - ratios[-1] > 5  # in decibels: 1.8 times the error, and more
    assert np.all(np.diff(differences) > 0), differences
    assert differences[-1] > 2 * differences[0]


@every_distortion
def test_the_result_depends_on_image_level_and_seed_only(distortion, picture):
    first = distort(picture, distortion, 3, seed=7)
    np.random.seed(99)  # noqa: NPY002 - the global generator must not matter
    np.testing.assert_array_equal(distort(picture, distortion, np.int64(3), seed=7), first)
    others = [distort(picture, distortion, 3, seed=seed) for seed in range(7)]
    assert any(np.any(first != other) for other in others) == (distortion in RANDOM)


@every_distortion
def test_tensors_views_and_read_only_arrays_are_taken(distortion, picture):
    locked = picture.copy()
    locked.setflags(write=False)
    expected = distort(locked, distortion, 2)
    np.testing.assert_array_equal(distort(tf.constant(picture), distortion, 2), expected)
    view = picture[:, ::-1]
    np.testing.assert_array_equal(
        distort(view, distortion, 2), distort(np.ascontiguousarray(view), distortion, 2)
    )


GOOD = np.zeros((60, 60, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "distortion", "level", "words"),
    [
        (GOOD, "rain", 1, r"no distortion 'rain'; known: gaussian_blur, lens_blur, "),
        (GOOD, "jpeg", 0, r"level must be one of \(1, 2, 3, 4, 5\), not 0"),
        (GOOD, "jpeg", 6, "not 6"),
        (GOOD, "jpeg", 2.0, r"not 2\.0"),
        (GOOD, "jpeg", "1", "not '1'"),
        (GOOD, "jpeg", None, "not None"),
        (GOOD / 255, "jpeg", 1, r"uint8 of shape \(H, W, 3\), not float64"),
        (GOOD[..., 0], "jpeg", 1, r"not uint8 of shape \(60, 60\)"),
        (GOOD[..., :1], "jpeg", 1, r"not uint8 of shape \(60, 60, 1\)"),
        (GOOD[None], "jpeg", 1, r"not uint8 of shape \(1, 60, 60, 3\)"),
    ],
)
def test_bad_input_is_refused(image, distortion, level, words):
    with pytest.raises(ValueError, match=words):
        distort(image, distortion, level)
