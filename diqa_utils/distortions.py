"""Seeded distortions with five levels each: how the sample database is made from photographs.

The five types are those of the LIVE database. Each is a pure function of image, level and seed,
works on uint8 RGB pictures and gets stronger with the level. Their strengths are chosen so that
the levels of all types span about the same range of MS-SSIM, as the levels in LIVE were chosen to
span the same range of quality.

Source:
    Sheikh, Sabir, Bovik: A Statistical Evaluation of Recent Full Reference Image Quality
        Assessment Algorithms. IEEE Trans. Image Processing 15(11), 2006.
        https://doi.org/10.1109/TIP.2006.881959
"""

import io
from collections.abc import Callable

import numpy as np
import pywt
from PIL import Image
from scipy import ndimage

__all__ = ["DISTORTIONS", "LEVELS", "distort"]

#: The levels of every distortion, from hardly visible to severe.
LEVELS = (1, 2, 3, 4, 5)

JPEG_QUALITY = (30, 15, 9, 6, 4)
JPEG2000_RATIO = (20, 45, 80, 130, 220)
NOISE_SIGMA = (8.0, 16.0, 28.0, 46.0, 75.0)
BLUR_SIGMA = (0.8, 1.3, 2.0, 3.0, 4.5)
SENT_RATIO = 10
FADED_SHARE = (0.03, 0.08, 0.16, 0.28, 0.45)

#: JPEG 2000's irreversible wavelet (CDF 9/7), the number of its scales, and the side in
#: coefficients of the blocks that are lost together.
WAVELET, SCALES, BLOCK = "bior4.4", 4, 8


def distort(image: np.ndarray, distortion: str, level: int, *, seed: int = 0) -> np.ndarray:
    """Distorts a picture.

    Args:
        image: uint8 (H, W, 3), values in 0..255.
        distortion: one of `DISTORTIONS`: "jpeg", "jpeg2000", "white_noise", "gaussian_blur" or
            "fast_fading".
        level: 1 (hardly visible) to 5 (severe).
        seed: of the random distortions; one seed gives one result. The same seed at a higher
            level gives the same pattern, stronger.

    Returns:
        uint8 array of the same shape.

    Raises:
        ValueError: if the distortion or the level is not known, or the image is not uint8
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


def _jpeg(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    return _encode_and_decode(image, "JPEG", quality=JPEG_QUALITY[level - 1])


def _jpeg2000(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    ratio = JPEG2000_RATIO[level - 1]
    return _encode_and_decode(image, "JPEG2000", quality_layers=[ratio], irreversible=True)


def _encode_and_decode(image: np.ndarray, file_format: str, **settings: object) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, file_format, **settings)
    with Image.open(buffer) as decoded:
        return np.array(decoded.convert("RGB"))


def _white_noise(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(image.shape)
    return _to_uint8(image + NOISE_SIGMA[level - 1] * noise)


def _gaussian_blur(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    sigma = BLUR_SIGMA[level - 1]
    return _to_uint8(ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0)))


def _fast_fading(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """A lightly compressed picture sent over a Rayleigh fading channel.

    Blocks of wavelet coefficients are sent one after the other while the channel's gain drifts.
    Those that fall into the deepest fades arrive with their signs flipped or not at all, which
    leaves ringing and smears in bursts along the rows.
    """
    compressed = _encode_and_decode(
        image, "JPEG2000", quality_layers=[SENT_RATIO], irreversible=True
    )
    fade = np.sqrt(-2 * np.log(1 - FADED_SHARE[level - 1]))  # a Rayleigh quantile
    deepest = pywt.dwt_max_level(min(image.shape[:2]), WAVELET)
    scales = min(SCALES, max(deepest, 1))  # a small picture has room for fewer
    coefficients = pywt.wavedec2(
        compressed.astype(np.float64), WAVELET, mode="periodization", level=scales, axes=(0, 1)
    )
    for bands in coefficients[1:]:  # the coarsest band is sent first and well protected
        for band in bands:
            rows, columns = (-(-side // BLOCK) for side in band.shape[:2])
            gain = _rayleigh_gains(rows * columns, rng)
            damage = rng.choice([-1.0, 0.0], size=gain.size)
            kept = np.where(gain < fade, damage, 1.0)
            blocks = np.kron(kept.reshape(rows, columns), np.ones((BLOCK, BLOCK)))
            band *= blocks[: band.shape[0], : band.shape[1], None]
    restored = pywt.waverec2(coefficients, WAVELET, mode="periodization", axes=(0, 1))
    return _to_uint8(restored[: image.shape[0], : image.shape[1]])


def _rayleigh_gains(length: int, rng: np.random.Generator, memory: float = 0.7) -> np.ndarray:
    """Returns the gain of a Rayleigh channel over time: |z| of a complex, drifting Gaussian z."""
    steps = rng.standard_normal((2, length))
    drift = steps.copy()  # each part keeps unit variance over time
    for now in range(1, length):
        drift[:, now] = memory * drift[:, now - 1] + np.sqrt(1 - memory**2) * steps[:, now]
    return np.hypot(*drift)


def _to_uint8(image: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


#: Every distortion by its name. Order as in LIVE.
DISTORTIONS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "jpeg2000": _jpeg2000,
    "jpeg": _jpeg,
    "white_noise": _white_noise,
    "gaussian_blur": _gaussian_blur,
    "fast_fading": _fast_fading,
}
