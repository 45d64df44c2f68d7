"""Seeded distortions with five levels each: 25 types in seven families, and nine others.

The 25 are those of the KADID-10k database; the five of which the sample database is made are those
of LIVE. Each is a pure function of image, level and seed, works on uint8 RGB pictures and gets
stronger with the level.

What a type does follows the papers; how, and how strongly, is this library's own. The strengths of
the five types of LIVE are chosen so that their levels span about the same range of MS-SSIM, as the
levels in LIVE were chosen to span the same range of quality.

Source:
    Lin, Hosu, Saupe: KADID-10k: A Large-scale Artificially Distorted IQA Database. QoMEX 2019.
        https://doi.org/10.1109/QoMEX.2019.8743252
    Sheikh, Sabir, Bovik: A Statistical Evaluation of Recent Full Reference Image Quality
        Assessment Algorithms. IEEE Trans. Image Processing 15(11), 2006.
        https://doi.org/10.1109/TIP.2006.881959
"""

from collections.abc import Callable

import numpy as np

from diqa_utils.distortions import (
    blurs,
    brightness,
    colors,
    compression,
    contrast,
    enlarging,
    fading,
    noise,
    spatial,
)

__all__ = ["DISTORTIONS", "FAMILIES", "LEVELS", "distort"]

Distortion = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]

#: The levels of every distortion, from hardly visible to severe.
LEVELS = (1, 2, 3, 4, 5)

_FAMILIES: dict[str, tuple[Distortion, ...]] = {
    "blur": (blurs.gaussian_blur, blurs.lens_blur, blurs.motion_blur),
    "color": (
        colors.color_diffusion,
        colors.color_shift,
        colors.color_quantization,
        colors.color_saturation_1,
        colors.color_saturation_2,
    ),
    "compression": (compression.jpeg2000, compression.jpeg),
    "noise": (
        noise.white_noise,
        noise.color_component_noise,
        noise.impulse_noise,
        noise.multiplicative_noise,
        noise.denoising,
    ),
    "brightness": (brightness.brighten, brightness.darken, brightness.mean_shift),
    "spatial": (
        spatial.jitter,
        spatial.non_eccentricity_patch,
        spatial.pixelate,
        spatial.quantization,
        spatial.color_block,
    ),
    "sharpness and contrast": (contrast.high_sharpen, contrast.contrast_change),
}

#: The 25 types of KADID-10k in its seven families, both in its order.
FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(function.__name__ for function in functions)
    for family, functions in _FAMILIES.items()
}

#: Distortions that are none of KADID-10k's: one of LIVE's, and what befalls pictures on their way.
_OTHERS: tuple[Distortion, ...] = (
    fading.fast_fading,
    enlarging.enlarge_nearest,
    enlarging.enlarge_bilinear,
    enlarging.enlarge_bicubic,
    enlarging.enlarge_lanczos,
    enlarging.enlarge_and_sharpen,
    enlarging.enlarge_jpeg,
    compression.recompression,
    noise.wiped_texture,
)

#: Every distortion by its name, those of `FAMILIES` and others.
#:
#: :meta hide-value:
DISTORTIONS: dict[str, Distortion] = {
    function.__name__: function
    for functions in (*_FAMILIES.values(), _OTHERS)
    for function in functions
}


def distort(image: np.ndarray, distortion: str, level: int, *, seed: int = 0) -> np.ndarray:
    """Distorts a picture.

    Args:
        image: uint8 (H, W, 3), values in 0..255.
        distortion: Name of one of `DISTORTIONS`, such as "jpeg" or "motion_blur". Diffusion and
            saturation of colours leave a grey picture as it is.
        level: Strength, 1 (hardly visible) to 5 (severe).
        seed: Seed for the random distortions; one seed gives one result. The same seed at a
            higher level gives the same pattern, stronger.

    Returns:
        uint8 array of the same shape.

    Raises:
        ValueError: If the distortion or the level is not known, or the image is not uint8
            (H, W, 3).

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    if distortion not in DISTORTIONS:
        raise ValueError(f"There is no distortion {distortion!r}; known: {', '.join(DISTORTIONS)}.")
    if level not in LEVELS or not isinstance(level, int | np.integer):
        raise ValueError(f"level must be one of {LEVELS}, not {level!r}.")
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"image must be uint8 of shape (H, W, 3), not {image.dtype} of shape {image.shape}."
        )
    return DISTORTIONS[distortion](image, level, np.random.default_rng(seed))
