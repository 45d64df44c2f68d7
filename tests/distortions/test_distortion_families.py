"""Each distortion does what its name says, and the levels of one seed have one pattern."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import norm
from skimage import color

from diqa_utils.distortions import (
    LEVELS,
    blurs,
    brightness,
    colors,
    contrast,
    distort,
    noise,
    spatial,
)

every_level = pytest.mark.parametrize("level", LEVELS)


def luma(image):
    return image @ np.array([0.299, 0.587, 0.114])


def flat(value, side=200):
    return np.full((side, side, 3), value, np.uint8)


def gray_ramp():
    return np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=-1)


def step(low, high, side=60):
    picture = flat(low, side)
    picture[:, side // 2 :] = high
    return picture


@pytest.fixture
def picture(photographs):
    return photographs["chelsea"]


@pytest.fixture
def muted(rng):
    """Colours that stay inside sRGB when they are changed a little."""
    return rng.integers(100, 150, (60, 60, 3), dtype=np.uint8)


@pytest.fixture
def confetti(rng):
    return rng.integers(0, 256, (160, 240, 3), dtype=np.uint8)


# Blurs


@pytest.mark.parametrize("distortion", ["gaussian_blur", "lens_blur", "motion_blur"])
@every_level
def test_a_blur_does_not_change_a_flat_picture_nor_mix_channels(distortion, level):
    same = np.full((60, 70, 3), (10, 128, 250), np.uint8)
    np.testing.assert_array_equal(distort(same, distortion, level), same)


@pytest.mark.parametrize(("level", "sigma"), [(1, 0.8), (2, 1.3), (3, 2.0)])
def test_gaussian_blur_turns_a_step_into_the_normal_distribution(level, sigma):
    blurred = distort(step(0, 255), "gaussian_blur", level)[30, :, 0]
    expected = 255 * norm.cdf((np.arange(60) - 29.5) / sigma)
    np.testing.assert_allclose(blurred, expected, atol=4)


@pytest.mark.parametrize("level", [3, 4, 5])
def test_lens_blur_turns_a_step_into_the_share_of_a_disc_behind_it(level):
    blurred = distort(step(0, 255), "lens_blur", level)[30, :, 0]
    across = np.clip((np.arange(60) - 29.5) / blurs.LENS_RADIUS[level - 1], -1, 1)
    share = 0.5 + (across * np.sqrt(1 - across**2) + np.arcsin(across)) / np.pi
    np.testing.assert_allclose(blurred, 255 * share, atol=5)


@pytest.mark.parametrize("seed", range(4))
def test_motion_blur_spreads_a_dot_along_one_direction_at_all_levels(seed):
    dot = flat(0, 61)
    dot[30, 30] = 255
    directions = []
    for level in (3, 4, 5):
        line = distort(dot, "motion_blur", level, seed=seed)[..., 0].astype(float)
        y, x = np.indices(line.shape) - 30
        spread = np.cov(np.stack([x.ravel(), y.ravel()]), aweights=line.ravel(), bias=True)
        (narrow, wide), axes = np.linalg.eigh(spread)
        uniform = blurs.MOTION_LENGTH[level - 1] / np.sqrt(12)  # deviation along such a line
        assert np.sqrt(narrow) < 0.8
        assert np.sqrt(wide) == pytest.approx(uniform, rel=0.15)
        directions.append(axes[:, 1])
    assert min(abs(first @ second) for first, second in combinations(directions, 2)) > 0.99


# Colours and lightness


def with_hsv_saturation(image, level):
    return color.hsv2rgb(color.rgb2hsv(image) * [1, colors.HSV_FACTOR[level - 1], 1])


def with_lightness(exponents):
    def bent(image, level):
        lab = color.rgb2lab(image)
        lab[..., 0] = 100 * (lab[..., 0] / 100) ** exponents[level - 1]
        return color.lab2rgb(lab)

    return bent


@every_level
@pytest.mark.parametrize(
    ("distortion", "expected"),
    [
        ("color_saturation_1", with_hsv_saturation),
        ("brighten", with_lightness(brightness.BRIGHTEN_EXPONENT)),
        ("darken", with_lightness(brightness.DARKEN_EXPONENT)),
    ],
)
def test_saturation_and_lightness_are_changed_as_scikit_image_does(
    distortion, expected, level, muted
):
    for image in (muted, gray_ramp()):
        distorted = distort(image, distortion, level)
        np.testing.assert_allclose(distorted, 255 * expected(image, level), atol=0.7)


def blurred_colours(lab, level):
    sigma = colors.DIFFUSION_SIGMA[level - 1]
    return gaussian_filter(lab, (sigma, sigma, 0))


def multiplied_colours(lab, level):
    return lab * colors.LAB_FACTOR[level - 1]


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize(
    ("distortion", "expected"),
    [("color_diffusion", blurred_colours), ("color_saturation_2", multiplied_colours)],
)
def test_colours_of_lab_are_changed_and_lightness_is_kept(distortion, expected, level, muted):
    before, after = (color.rgb2lab(image) for image in (muted, distort(muted, distortion, level)))
    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=0.5)
    np.testing.assert_allclose(after[..., 1:], expected(before, level)[..., 1:], atol=1)


def test_color_shift_moves_green_at_edges_only():
    image = step(60, 180)
    shifted = distort(image, "color_shift", 4)
    np.testing.assert_array_equal(shifted[..., [0, 2]], image[..., [0, 2]])
    changed = np.flatnonzero(np.any(shifted[..., 1] != image[..., 1], axis=0))
    assert len(changed)
    assert np.abs(changed - 29.5).max() < 8


@every_level
def test_color_quantization_leaves_few_colours_and_keeps_their_mean(picture, level):
    dithered = distort(picture, "color_quantization", level)
    assert len(np.unique(dithered.reshape(-1, 3), axis=0)) <= colors.PALETTE_SIZE[level - 1]
    if level <= 3:
        np.testing.assert_allclose(dithered.mean((0, 1)), picture.mean((0, 1)), atol=2)


# Noise


@pytest.mark.parametrize(("level", "sigma"), [(1, 8), (2, 16), (3, 28)])
def test_white_noise_is_white_and_independent_in_each_channel(level, sigma):
    added = distort(flat(128), "white_noise", level) - 128.0
    assert added.mean() == pytest.approx(0, abs=0.5)
    assert added.std() == pytest.approx(sigma, rel=0.03)
    channels = np.corrcoef(added.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.03
    neighbours = np.corrcoef(added[:, 1:].ravel(), added[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.03


@pytest.mark.parametrize(
    "distortion", ["white_noise", "color_component_noise", "multiplicative_noise"]
)
def test_noise_has_the_same_pattern_at_every_level(distortion):
    weak, strong = (distort(flat(128), distortion, level) - 128.0 for level in (1, 3))
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.99


def test_color_component_noise_is_independent_in_luma_and_colours():
    added = distort(flat(128), "color_component_noise", 2) - 128.0
    red, green, blue = np.moveaxis(added, -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    components = np.stack([part.ravel() for part in (y, 0.564 * (blue - y), 0.713 * (red - y))])
    np.testing.assert_allclose(components.std(axis=1), noise.COMPONENT_SIGMA[1], rtol=0.03)
    assert np.abs(np.corrcoef(components) - np.eye(3)).max() < 0.03


def test_impulse_noise_sets_a_share_to_black_or_white_and_more_at_the_next_level():
    before = np.zeros((200, 200, 3), bool)
    for level, share in zip(LEVELS, noise.IMPULSE_SHARE, strict=True):
        noisy = distort(flat(128), "impulse_noise", level)
        assert set(np.unique(noisy)) == {0, 128, 255}
        hit = noisy != 128
        assert hit.mean() == pytest.approx(share, rel=0.15)
        assert np.all(hit[before])
        before = hit
    assert (noisy == 0).sum() == pytest.approx((noisy == 255).sum(), rel=0.05)


@pytest.mark.parametrize("value", [0, 40, 160])
def test_multiplicative_noise_grows_with_brightness(value):
    deviation = distort(flat(value), "multiplicative_noise", 2).std()
    assert deviation == pytest.approx(noise.MULTIPLICATIVE_SIGMA[1] * value, rel=0.03)


@every_level
def test_denoising_leaves_little_noise_and_little_detail(picture, level):
    left = distort(flat(128), "denoising", level).std()
    assert 0 < left < 0.4 * noise.DENOISED_SIGMA[level - 1]
    detail, kept = (
        np.abs(np.diff(luma(image), axis=1)).mean()
        for image in (picture, distort(picture, "denoising", level))
    )
    assert kept < 0.95 * detail


# Values and contrast


def test_mean_shift_adds_or_takes_away_the_same_and_clips():
    for value, shifted in ((128, {110, 146}), (250, {232, 255})):
        results = [distort(flat(value, 48), "mean_shift", 2, seed=seed) for seed in range(20)]
        assert set(np.unique(results)) == shifted
        assert max(map(np.ptp, results)) == 0


@pytest.mark.parametrize("distortion", ["mean_shift", "contrast_change"])
@pytest.mark.parametrize("seed", range(6))
def test_one_seed_changes_to_one_side_at_all_levels(distortion, seed):
    levels = [distort(flat(190, 48), distortion, level, seed=seed)[0, 0, 0] for level in LEVELS]
    steps = np.diff([190, *levels])
    assert np.all(steps > 0) or np.all(steps < 0)


@every_level
def test_high_sharpen_adds_what_a_blur_takes_away(level):
    image = step(100, 150)
    offsets = np.arange(-10, 11)
    weights = np.exp(-0.5 * (offsets / contrast.SHARPEN_SIGMA) ** 2)
    row = image[30, :, 0].astype(float)
    blurred = np.convolve(np.pad(row, 10, mode="edge"), weights / weights.sum(), mode="valid")
    expected = np.clip(row + contrast.SHARPEN_AMOUNT[level - 1] * (row - blurred), 0, 255)
    np.testing.assert_allclose(distort(image, "high_sharpen", level)[30, :, 1], expected, atol=1)


def test_contrast_change_is_an_s_or_its_mirror_image():
    results = [distort(gray_ramp(), "contrast_change", 3, seed=seed) for seed in range(10)]
    gentle, steep = sorted(np.unique(results, axis=0)[:, 0, :, 0].astype(int), key=lambda c: c[200])
    for curve in (gentle, steep):
        assert curve[[0, 255]].tolist() == [0, 255]
        assert np.all(np.diff(curve) >= 0)
        np.testing.assert_allclose(curve + curve[::-1], 255, atol=1)
    assert (gentle[138] - gentle[118]) / 20 < 0.8
    assert (steep[138] - steep[118]) / 20 > 1.25
    np.testing.assert_allclose(gentle[steep], np.arange(256), atol=4)


# Spatial distortions


def test_jitter_takes_pixels_from_nearby():
    image = np.repeat(np.linspace(0, 255, 200)[None, :, None].astype(np.uint8), 200, axis=0)
    image = np.repeat(image, 3, axis=-1)
    moves = []  # in columns, away from the borders
    for level in (3, 5):
        change = distort(image, "jitter", level)[..., 0].astype(float) - image[..., 0]
        moves.append(change[:, 20:-20] * 199 / 255)
        assert moves[-1].std() == pytest.approx(spatial.JITTER_SIGMA[level - 1], rel=0.08)
    assert np.corrcoef(moves[0].ravel(), moves[1].ravel())[0, 1] > 0.9


squares = pytest.mark.parametrize("distortion", ["color_block", "non_eccentricity_patch"])


@squares
@pytest.mark.parametrize("size", [(48, 48), (160, 240)])
def test_squares_of_one_level_stay_and_others_join_them(distortion, size, confetti):
    image = confetti[: size[0], : size[1]]
    levels = [np.any(distort(image, distortion, level) != image, axis=-1) for level in LEVELS]
    for weak, strong in pairwise(levels):
        assert np.all(strong[weak])
        assert strong.sum() > weak.sum()


def test_color_blocks_are_squares_of_one_colour_that_do_not_overlap(confetti):
    blocks = distort(confetti, "color_block", 5)
    _, counts = np.unique(blocks.reshape(-1, 3), axis=0, return_counts=True)
    large = counts[counts >= 200]  # a random picture holds no colour so often
    assert large == pytest.approx(np.full(len(large), 20 * 20), abs=3)
    cells = (160 // 30) * (240 // 30)
    assert len(large) == np.ceil(spatial.BLOCK_SHARE[-1] * cells)


def test_patches_come_from_nearby():
    y, x = np.mgrid[:160, :240]
    image = np.stack([y, x, 0 * x], axis=-1).astype(np.uint8)  # each pixel tells its place
    distance = np.abs(distort(image, "non_eccentricity_patch", 5).astype(int) - image)
    assert 0 < distance.max() <= spatial.REACH
    assert np.any(distance, axis=-1).mean() > 0.25


def test_pixelate_averages_blocks(confetti):
    image = confetti[:90, :144]
    means = image.reshape(10, 9, 16, 9, 3).mean(axis=(1, 3))
    expected = means.repeat(9, axis=0).repeat(9, axis=1)
    np.testing.assert_allclose(distort(image, "pixelate", 5), expected, atol=1)


def test_quantization_leaves_the_values_with_the_least_squared_error(rng):
    values = np.sort(rng.choice(256, 11, replace=False))
    image = rng.choice(values, (40, 40, 3)).astype(np.uint8)

    def error(cuts):
        """The squared error of the three classes between two cuts, each at its mean."""
        classes = [image[np.isin(image, members)] for members in np.split(values, cuts)]
        return sum(members.size * members.var() for members in classes)

    quantized = distort(image, "quantization", 5).astype(float)
    assert len(np.unique(quantized)) == 3
    least = min(map(error, combinations(range(1, 11), 2)))
    assert np.square(quantized - image).sum() == pytest.approx(least, rel=0.01)


# Fading


def test_fast_fading_strikes_in_places(picture):
    def unevenness(distortion):
        damage = np.abs(distort(picture, distortion, 2).astype(float) - picture).mean(axis=-1)
        blocks = damage[:152, :200].reshape(19, 8, 25, 8).mean(axis=(1, 3))
        return np.quantile(blocks, 0.95) / np.median(blocks)

    assert unevenness("fast_fading") > 1.5 * unevenness("white_noise")


# Enlargement, and what else befalls pictures on their way


ENLARGED = ("enlarge_nearest", "enlarge_bilinear", "enlarge_bicubic", "enlarge_lanczos")


@pytest.mark.parametrize("distortion", [*ENLARGED, "enlarge_and_sharpen", "enlarge_jpeg"])
def test_an_enlarged_picture_stays_in_its_place(distortion, picture):
    wanted = gaussian_filter(luma(picture), 3)
    errors = {
        move: np.abs(luma(np.roll(distort(picture, distortion, 2), move, axis=1)) - wanted).mean()
        for move in (-1, 0, 1)
    }
    assert min(errors, key=errors.get) == 0


def test_enlarging_by_nearest_repeats_pixels(picture):
    for level, times in enumerate((2, 3, 4, 5, 6), start=1):
        enlarged = distort(picture[:120, :180], "enlarge_nearest", level)
        few = enlarged[::times, ::times]
        np.testing.assert_array_equal(enlarged, few.repeat(times, axis=0).repeat(times, axis=1))


def test_sharpening_gives_an_enlarged_picture_its_edges_back(picture):
    def steepness(image):
        return np.abs(np.diff(luma(image), axis=1)).mean()

    soft, sharp = (distort(picture, f"enlarge_{how}", 3) for how in ("bicubic", "and_sharpen"))
    assert steepness(soft) < 0.8 * steepness(picture)
    assert steepness(sharp) > 1.2 * steepness(soft)


def test_compressing_again_moves_the_blocks(picture):
    """The steps at the borders of blocks stand at several columns, not at every eighth."""

    def steps(image):
        down = np.abs(np.diff(luma(image), axis=1)).mean(axis=0)
        return np.array([down[start::8].mean() for start in range(8)])

    once, again = steps(distort(picture, "jpeg", 4)), steps(distort(picture, "recompression", 4))
    assert once.max() / np.median(once) > 1.2 * again.max() / np.median(again)


def test_wiping_takes_texture_and_leaves_edges():
    noise_seed = np.random.default_rng(0)
    textured = step(60, 180).astype(float) + noise_seed.normal(0, 4, (60, 60, 1))
    wiped = luma(distort(textured.astype(np.uint8), "wiped_texture", 3))
    assert wiped[5:55, 5:20].std() < 0.4 * luma(textured)[5:55, 5:20].std()
    assert wiped[:, 45:].mean() - wiped[:, :15].mean() == pytest.approx(120, abs=3)
    assert np.abs(np.diff(wiped, axis=1)).max() > 60
