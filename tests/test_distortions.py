"""The seeded distortions of the sample database."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from diqa_utils.distortions import DISTORTIONS, LEVELS, distort

RANDOM = ["white_noise", "fast_fading"]
every_distortion = pytest.mark.parametrize("distortion", DISTORTIONS)


def luma(image):
    return image @ np.array([0.299, 0.587, 0.114])


@pytest.fixture
def picture(photographs):
    return photographs["chelsea"]


def test_the_distortions_and_levels_are_those_of_live():
    assert set(DISTORTIONS) == {"jpeg2000", "jpeg", "white_noise", "gaussian_blur", "fast_fading"}
    assert LEVELS == (1, 2, 3, 4, 5)


@every_distortion
@pytest.mark.parametrize("level", LEVELS)
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
@pytest.mark.parametrize("metric", ["SSIM", "PSNR"])
def test_each_level_is_stronger_than_the_one_before(distortion, metric, photographs):
    def quality(reference, distorted):
        if metric == "PSNR":
            return peak_signal_noise_ratio(reference, distorted)
        return structural_similarity(luma(reference), luma(distorted), data_range=255)

    qualities = [
        np.mean([quality(image, distort(image, distortion, level)) for image in images])
        for images in [list(photographs.values())]
        for level in LEVELS
    ]
    assert np.all(np.diff(qualities) < 0), qualities


# Pure functions of image, level and seed


@every_distortion
def test_one_seed_gives_one_result(distortion, picture):
    first = distort(picture, distortion, 3, seed=7)
    np.random.seed(99)  # noqa: NPY002 - the global generator must not matter
    np.testing.assert_array_equal(distort(picture, distortion, 3, seed=7), first)


@every_distortion
def test_the_seed_matters_to_random_distortions_only(distortion, picture):
    first, second = (distort(picture, distortion, 3, seed=seed) for seed in (1, 2))
    assert np.any(first != second) == (distortion in RANDOM)


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


# Each does what its name says


@pytest.mark.parametrize(("level", "sigma"), [(1, 8), (2, 16), (3, 28)])
def test_white_noise_is_white_and_independent_in_each_channel(level, sigma):
    noise = distort(np.full((200, 200, 3), 128, np.uint8), "white_noise", level) - 128.0
    assert noise.mean() == pytest.approx(0, abs=0.5)
    assert noise.std() == pytest.approx(sigma, rel=0.03)
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.03
    neighbours = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.03


def test_white_noise_has_the_same_pattern_at_every_level():
    flat = np.full((100, 100, 3), 128, np.uint8)
    weak, strong = (distort(flat, "white_noise", level) - 128.0 for level in (1, 3))
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("level", LEVELS)
def test_gaussian_blur_does_not_change_a_flat_picture_nor_mix_channels(level):
    flat = np.full((60, 70, 3), (10, 128, 250), np.uint8)
    np.testing.assert_array_equal(distort(flat, "gaussian_blur", level), flat)


@pytest.mark.parametrize(("level", "sigma"), [(1, 0.8), (2, 1.3), (3, 2.0)])
def test_gaussian_blur_turns_a_step_into_the_normal_distribution(level, sigma):
    step = np.zeros((60, 60, 3), np.uint8)
    step[:, 30:] = 255
    blurred = distort(step, "gaussian_blur", level)[30, :, 0]
    expected = 255 * norm.cdf((np.arange(60) - 29.5) / sigma)
    np.testing.assert_allclose(blurred, expected, atol=4)


def test_jpeg_shows_its_blocks(picture):
    steps = np.abs(np.diff(luma(distort(picture, "jpeg", 5)), axis=1)).mean(axis=0)
    at_borders = np.arange(1, picture.shape[1]) % 8 == 0
    assert steps[at_borders].mean() > 2 * steps[~at_borders].mean()


def test_jpeg2000_takes_away_fine_detail_without_blocks(picture):
    detail = np.abs(np.diff(luma(picture), axis=1)).mean(axis=0)
    kept = np.abs(np.diff(luma(distort(picture, "jpeg2000", 5)), axis=1)).mean(axis=0)
    at_borders = np.arange(1, picture.shape[1]) % 8 == 0
    assert kept.mean() < 0.8 * detail.mean()
    assert kept[at_borders].mean() < 1.5 * kept[~at_borders].mean()


def test_fast_fading_strikes_in_places(picture):
    def unevenness(distortion):
        damage = np.abs(distort(picture, distortion, 2).astype(float) - picture).mean(axis=-1)
        blocks = damage[:152, :200].reshape(19, 8, 25, 8).mean(axis=(1, 3))
        return np.quantile(blocks, 0.95) / np.median(blocks)

    assert unevenness("fast_fading") > 1.5 * unevenness("white_noise")


# Bad input


def test_an_unknown_distortion_is_named_with_the_known_ones(picture):
    with pytest.raises(ValueError, match=r"no distortion 'rain'; known: jpeg2000, jpeg, "):
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
