"""Fast fading, the one type of LIVE that KADID-10k does not have."""

import numpy as np
import pywt

from diqa_utils.distortions.common import to_uint8
from diqa_utils.distortions.compression import encode_as_jpeg2000

SENT_RATIO = 10
FADED_SHARE = (0.03, 0.08, 0.16, 0.28, 0.45)

#: JPEG 2000's irreversible wavelet (CDF 9/7), the number of its scales, and the side in
#: coefficients of the blocks that are lost together.
WAVELET, SCALES, BLOCK = "bior4.4", 4, 8


def fast_fading(image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """A lightly compressed picture sent over a Rayleigh fading channel.

    Blocks of wavelet coefficients are sent one after the other while the channel's gain drifts.
    Those that fall into the deepest fades arrive with their signs flipped or not at all, which
    leaves ringing and smears in bursts along the rows.
    """
    compressed = encode_as_jpeg2000(image, SENT_RATIO)
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
    return to_uint8(restored[: image.shape[0], : image.shape[1]])


def _rayleigh_gains(length: int, rng: np.random.Generator, memory: float = 0.7) -> np.ndarray:
    """Returns the gain of a Rayleigh channel over time: |z| of a complex, drifting Gaussian z."""
    steps = rng.standard_normal((2, length))
    drift = steps.copy()  # each part keeps unit variance over time
    for now in range(1, length):
        drift[:, now] = memory * drift[:, now - 1] + np.sqrt(1 - memory**2) * steps[:, now]
    return np.hypot(*drift)
