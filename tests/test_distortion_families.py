"""Each distortion does what its name says, and the levels of one seed have one pattern."""

import warnings
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
from diqa_utils.distortions.lab import from_lab, to_lab

every_level = pytest.mark.parametrize("level", LEVELS)


def luma(image):
    return image @ np.array([0.299, 0.587, 0.114])


def flat(value, side=200):
    return np.full((side, side, 3), value, np.uint8)


def gray_ramp():
    return np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=-1)


def dot(side=61):
    picture = flat(0, side)
    picture[side // 2, side // 2] = 255
    return picture


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
    directions = []
    for level in (3, 4, 5):
        line = distort(dot(), "motion_blur", level, seed=seed)[..., 0].astype(float)
        y, x = np.indices(line.shape) - len(line) // 2
        spread = np.cov(np.stack([x.ravel(), y.ravel()]), aweights=line.ravel(), bias=True)
        (narrow, wide), axes = np.linalg.eigh(spread)
        assert np.sqrt(narrow) < 0.8
        # of a uniform distribution as long as the line
        assert np.sqrt(wide) == pytest.approx(
            blurs.MOTION_LENGTH[level - 1] / np.sqrt(12), rel=0.15
        )
        directions.append(axes[:, 1])
    alike = [abs(one @ other) for one, other in combinations(directions, 2)]
    assert min(alike) > 0.99


# Colours


def test_lab_leads_back(rng):
    image = rng.integers(0, 256, (100, 100, 3), dtype=np.uint8)
    np.testing.assert_allclose(from_lab(to_lab(image)), image, atol=0.1)


def test_colours_that_srgb_lacks_are_clipped_without_a_warning():
    lab = np.array([[[50, 0, 400], [0, 0, 30], [100, 0, -400], [60, 300, 0]]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rgb = from_lab(lab)
    assert rgb.min() >= 0
    assert rgb.max() <= 255
    assert rgb[0, 0, 2] == 0  # yellow: no blue is left
    assert rgb[0, 2, 2] == 255


@every_level
def test_color_diffusion_blurs_colours_and_keeps_lightness(muted, level):
    before, after = (color.rgb2lab(i) for i in (muted, distort(muted, "color_diffusion", level)))
    sigma = colors.DIFFUSION_SIGMA[level - 1]
    blurred = gaussian_filter(before[..., 1:], (sigma, sigma, 0))
    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=0.5)
    np.testing.assert_allclose(after[..., 1:], blurred, atol=1)


def test_color_shift_moves_green_at_edges_only(picture):
    image = step(60, 180)
    shifted = distort(image, "color_shift", 4)
    np.testing.assert_array_equal(shifted[..., [0, 2]], image[..., [0, 2]])
    changed = np.flatnonzero(np.any(shifted[..., 1] != image[..., 1], axis=0))
    assert len(changed)
    assert np.abs(changed - 29.5).max() < 8


@every_level
def test_color_quantization_leaves_few_colours(picture, level):
    few = distort(picture, "color_quantization", level)
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= colors.PALETTE_SIZE[level - 1]


def test_color_quantization_keeps_the_mean_colour_by_dithering(picture):
    few = distort(picture, "color_quantization", 3)
    np.testing.assert_allclose(few.mean(axis=(0, 1)), picture.mean(axis=(0, 1)), atol=2)


@every_level
def test_color_saturation_1_multiplies_the_saturation_of_hsv(picture, level):
    hsv = color.rgb2hsv(picture)
    hsv[..., 1] *= colors.HSV_FACTOR[level - 1]
    expected = 255 * color.hsv2rgb(hsv)
    np.testing.assert_allclose(distort(picture, "color_saturation_1", level), expected, atol=0.51)


def test_color_saturation_2_multiplies_the_colours_of_lab(muted):
    before, after = (color.rgb2lab(i) for i in (muted, distort(muted, "color_saturation_2", 2)))
    expected = before * [1, *[colors.LAB_FACTOR[1]] * 2]
    np.testing.assert_allclose(after, expected, atol=1)


# Compression and fading


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


def test_multiplicative_noise_grows_with_brightness():
    dark, bright = (distort(flat(value), "multiplicative_noise", 2) for value in (40, 160))
    assert dark.std() == pytest.approx(noise.MULTIPLICATIVE_SIGMA[1] * 40, rel=0.03)
    assert bright.std() == pytest.approx(noise.MULTIPLICATIVE_SIGMA[1] * 160, rel=0.03)
    assert np.all(distort(flat(0), "multiplicative_noise", 5) == 0)


@every_level
def test_denoising_leaves_little_noise_and_little_detail(picture, level):
    left = distort(flat(128), "denoising", level).std()
    assert 0 < left < 0.4 * noise.DENOISED_SIGMA[level - 1]
    detail, kept = (
        np.abs(np.diff(luma(image), axis=1)).mean()
        for image in (picture, distort(picture, "denoising", level))
    )
    assert kept < 0.95 * detail


# Brightness


@pytest.mark.parametrize(
    ("distortion", "exponents"),
    [("brighten", brightness.BRIGHTEN_EXPONENT), ("darken", brightness.DARKEN_EXPONENT)],
)
@every_level
def test_lightness_is_bent_between_black_and_white(distortion, exponents, level):
    lab = color.rgb2lab(gray_ramp())
    lab[..., 0] = 100 * (lab[..., 0] / 100) ** exponents[level - 1]
    expected = 255 * color.lab2rgb(lab)
    bent = distort(gray_ramp(), distortion, level)
    np.testing.assert_allclose(bent, expected, atol=0.7)
    assert bent[0, 0].tolist() == [0] * 3
    assert bent[0, -1].tolist() == [255] * 3


def test_mean_shift_adds_or_takes_away_the_same():
    shifted = [distort(flat(128, 48), "mean_shift", 2, seed=seed) for seed in range(20)]
    assert all(np.ptp(one) == 0 for one in shifted)
    assert {int(one[0, 0, 0]) for one in shifted} == {128 - 18, 128 + 18}


def test_mean_shift_clips():
    assert distort(flat(250, 48), "mean_shift", 5).max() in (175, 255)


@pytest.mark.parametrize("distortion", ["mean_shift", "contrast_change"])
@pytest.mark.parametrize("seed", range(6))
def test_one_seed_changes_to_one_side_at_all_levels(distortion, seed):
    levels = [distort(flat(190, 48), distortion, level, seed=seed)[0, 0, 0] for level in LEVELS]
    steps = np.diff([190, *levels])
    assert np.all(steps > 0) or np.all(steps < 0)


# Spatial distortions


def test_jitter_takes_pixels_from_nearby():
    across = np.repeat(np.linspace(0, 255, 200)[None, :, None].astype(np.uint8), 200, axis=0)
    image = np.repeat(across, 3, axis=-1)
    weak, strong = (distort(image, "jitter", level)[..., 0] for level in (3, 5))
    per_pixel = 255 / 199
    inside = (slice(None), slice(20, -20))
    moved = [(moved.astype(float) - image[..., 0])[inside] / per_pixel for moved in (weak, strong)]
    assert moved[0].std() == pytest.approx(spatial.JITTER_SIGMA[2], rel=0.08)
    assert moved[1].std() == pytest.approx(spatial.JITTER_SIGMA[4], rel=0.08)
    assert np.corrcoef(moved[0].ravel(), moved[1].ravel())[0, 1] > 0.9


def squares_by_level(distortion, image):
    """Which pixels each level of one seed has changed."""
    return [np.any(distort(image, distortion, level) != image, axis=-1) for level in LEVELS]


@pytest.mark.parametrize("distortion", ["color_block", "non_eccentricity_patch"])
@pytest.mark.parametrize("size", [(48, 48), (160, 240)])
def test_squares_of_one_level_stay_and_others_join_them(distortion, size, rng):
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    levels = squares_by_level(distortion, image)
    for weak, strong in pairwise(levels):
        assert np.all(strong[weak])
        assert strong.sum() > weak.sum()


@pytest.mark.parametrize("distortion", ["color_block", "non_eccentricity_patch"])
def test_the_first_square_may_lie_anywhere(distortion, rng):
    image = rng.integers(0, 256, (160, 240, 3), dtype=np.uint8)
    results = [distort(image, distortion, 1, seed=seed) for seed in range(30)]
    middles = [np.argwhere(np.any(one != image, axis=-1)).mean(axis=0) for one in results]
    assert np.all(np.ptp(middles, axis=0) > [80, 120])


def test_color_blocks_are_squares_of_one_colour_that_do_not_overlap(rng):
    image = rng.integers(0, 256, (160, 240, 3), dtype=np.uint8)
    blocks = distort(image, "color_block", 5)
    _, counts = np.unique(blocks.reshape(-1, 3), axis=0, return_counts=True)
    large = counts >= 200  # a random picture holds no colour so often
    assert counts[large] == pytest.approx(np.full(large.sum(), 20 * 20), abs=3)
    cells = (160 // 30) * (240 // 30)
    assert large.sum() == np.ceil(spatial.BLOCK_SHARE[-1] * cells)


def test_patches_come_from_nearby():
    y, x = np.mgrid[:160, :240]
    image = np.stack([y, x, 0 * x], axis=-1).astype(np.uint8)  # each pixel tells its place
    patched = distort(image, "non_eccentricity_patch", 5).astype(int)
    distance = np.abs(patched - image).max(axis=(0, 1))
    assert 0 < distance.max() <= spatial.REACH
    assert np.any(patched != image, axis=-1).mean() > 0.25


@pytest.mark.parametrize("size", [(90, 90), (90, 144)])
def test_pixelate_averages_blocks(size, rng):
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    rows, columns = size[0] // 9, size[1] // 9
    means = image.reshape(rows, 9, columns, 9, 3).mean(axis=(1, 3))
    expected = means.repeat(9, axis=0).repeat(9, axis=1)
    np.testing.assert_allclose(distort(image, "pixelate", 5), expected, atol=1)


@every_level
def test_quantization_leaves_few_values(picture, level):
    values = np.unique(distort(picture, "quantization", level))
    assert len(values) == spatial.QUANTIZED_VALUES[level - 1]


def test_quantization_leaves_the_values_with_the_least_squared_error(rng):
    values = rng.choice(256, 11, replace=False).astype(np.uint8)
    image = rng.choice(values, (40, 40, 3))
    ordered = np.sort(values)

    def means(cuts):  # of the three classes between two cuts
        classes = np.split(ordered, cuts)
        centres = [image[np.isin(image, one)].mean() for one in classes]
        return dict(zip(ordered.tolist(), np.repeat(centres, [*map(len, classes)]), strict=True))

    def error(mean):
        return sum((image == value).sum() * (value - centre) ** 2 for value, centre in mean.items())

    best = min((means(cuts) for cuts in combinations(range(1, 11), 2)), key=error)
    expected = np.vectorize(best.get)(image)
    np.testing.assert_allclose(distort(image, "quantization", 5), expected, atol=0.51)


def test_quantization_of_fewer_values_changes_nothing():
    image = step(10, 200)
    np.testing.assert_array_equal(distort(image, "quantization", 5), image)


# Sharpness and contrast


@every_level
def test_high_sharpen_adds_what_a_blur_takes_away(level):
    image = step(100, 150)
    offsets = np.arange(-10, 11)
    weights = np.exp(-0.5 * (offsets / contrast.SHARPEN_SIGMA) ** 2)
    row = image[30, :, 0].astype(float)
    blurred = np.convolve(np.pad(row, 10, mode="edge"), weights / weights.sum(), mode="valid")
    expected = np.clip(row + contrast.SHARPEN_AMOUNT[level - 1] * (row - blurred), 0, 255)
    np.testing.assert_allclose(distort(image, "high_sharpen", level)[30, :, 1], expected, atol=1)


def test_high_sharpen_keeps_colours(picture):
    added = distort(picture, "high_sharpen", 1).astype(int) - picture
    inside = np.all((picture > 60) & (picture < 195), axis=-1)
    assert np.ptp(added[inside], axis=-1).max() <= 1


def test_contrast_change_is_an_s_or_its_mirror_image():
    several = [distort(gray_ramp(), "contrast_change", 3, seed=seed) for seed in range(10)]
    curves = list(np.unique(several, axis=0))
    assert len(curves) == 2
    slopes = []
    for curve in (c[0, :, 0].astype(int) for c in curves):
        assert curve[[0, 255]].tolist() == [0, 255]
        assert np.all(np.diff(curve) >= 0)
        np.testing.assert_allclose(curve + curve[::-1], 255, atol=1)
        slopes.append((curve[138] - curve[118]) / 20)
    assert min(slopes) < 0.8
    assert max(slopes) > 1.25
    (steep, *_), (gentle, *_) = sorted(curves, key=lambda c: c[0, 200, 0], reverse=True)
    np.testing.assert_allclose(gentle[steep[:, 0], 0], np.arange(256), atol=4)
