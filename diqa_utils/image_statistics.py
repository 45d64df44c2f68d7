"""Statistics of a picture: what normalisation takes away, and what else people judge by.

Normalisation removes brightness, contrast and colour, and pooled features say little about how
noise and sharpness are spread. This module makes a few maps of the picture at four scales and sums
each map up by its moments. Where in the picture things are matters too: a sharp face before a
blurred wall is a good photograph, the reverse is none. So some of the moments are also taken in
each of 8 x 8 regions, and it is noted how they are spread over these.

Every number is a function of sums over the pixels of regions, and regions are fixed shares of the
picture. So a large picture can be measured tile by tile: the sums of its tiles add up to those of
the whole.

Sources:
    Mittal, Moorthy, Bovik: No-Reference Image Quality Assessment in the Spatial Domain. IEEE Trans.
        Image Processing 21(12), 2012. https://doi.org/10.1109/TIP.2012.2214050
    Ruderman: The Statistics of Natural Images. Network: Computation in Neural Systems 5(4), 1994.
        https://doi.org/10.1088/0954-898X_5_4_006
"""

from typing import Any

import numpy as np
import tensorflow as tf

from diqa_utils._internal.checks import as_batch, like, to_unit_range
from diqa_utils.images import LUMA_WEIGHTS
from diqa_utils.preprocessing import BINOMIAL_ROW

__all__ = [
    "OF_WHOLE",
    "STATISTICS",
    "image_statistics",
    "region_positions",
    "region_sums",
    "statistics_of_batch",
    "statistics_of_sums",
]

#: A picture is cut into so many rows and columns of regions.
REGIONS = 8

#: A region of fewer positions has no moments worth the name: those of the whole stand for it.
FEWEST_POSITIONS = 16

#: Halvings of the picture at which it is measured: 0 is the picture itself.
SCALES = (0, 1, 2, 3)

#: Halvings at which colour is measured.
COLOUR_SCALE = 2

#: Keeps the normalised contrast of flat regions small: one grey level.
SATURATION = 1 / 255

#: (rows, columns) from a pixel to the neighbour that it is multiplied with.
NEIGHBOURS = {
    "to the right": (0, 1),
    "below": (1, 0),
    "below right": (1, 1),
    "below left": (1, -1),
}

#: Keeps logarithms finite: a quarter of a grey level.
SMALL = 1e-3

#: Luma below and above which a pixel is as good as black or white.
DARK, BRIGHT = 0.02, 0.98

#: How a map is summed up, and the variance below which a map counts as flat.
MOMENTS = ("mean", "log deviation", "shape", "skewness", "log kurtosis")
FLAT_VARIANCE = 1e-4

COLOURS = ("luma", "blue", "red", "saturation", "brightest channel", "darkest channel")
CHROMA = COLOURS[1:3]


def _at(scale: int) -> str:
    return f"at 1/{2**scale}"


#: Each map that is summed up by its moments, and the scale whose positions it has.
_MAPS = (
    *((f"{colour} {_at(COLOUR_SCALE)}", COLOUR_SCALE) for colour in COLOURS),
    *(
        (f"{name} {_at(scale)}", scale)
        for scale in SCALES
        for name in (
            "contrast",
            *(f"contrast times that {neighbour}" for neighbour in NEIGHBOURS),
            "log deviation",
            *(f"{colour} contrast" for colour in (CHROMA if scale else ())),
        )
    ),
)
_SHARES = ("dark", "bright", "with a channel at its maximum", "with a channel at its minimum")
_DETAILS = tuple(
    (f"{colour} {_at(scale)}", scale)
    for scale in SCALES
    for colour in (("luma", *CHROMA) if scale else ("luma",))
)

#: The names of what is measured of the picture as a whole, the first of `STATISTICS`.
OF_WHOLE = (
    *(f"{moment} of {name}" for moment in MOMENTS for name, _ in _MAPS),
    *(f"share of pixels {share}" for share in _SHARES),
    *(f"log detail of {name}" for name, _ in _DETAILS),
    *(f"log ratio of steps across and down {_at(scale)}" for scale in SCALES),
)

#: What is measured of each region as well.
_OF_REGIONS = (
    *(f"mean of {colour} {_at(COLOUR_SCALE)}" for colour in COLOURS[:4]),
    f"log deviation of luma {_at(COLOUR_SCALE)}",
    *(
        f"{name} {_at(scale)}"
        for scale in SCALES
        for name in (
            "log detail of luma",
            "mean of log deviation",
            "log kurtosis of contrast",
            "log deviation of contrast",
            "mean of contrast times that to the right",
        )
    ),
)

#: Which of the 64 regions, from the least on, stands for a share of them.
_ORDERED = {"least": 0, "10 %": 6, "25 %": 16, "50 %": 32, "75 %": 47, "90 %": 57, "most": 63}
_SUMMARIES = (*_ORDERED, "deviation", "centre less mean", "top less bottom")

#: The name of each number that `image_statistics` returns, in its order.
STATISTICS = (
    *OF_WHOLE,
    *(f"{summary} over regions of {name}" for summary in _SUMMARIES for name in _OF_REGIONS),
)

#: How many maps there are of colour, and of contrast at each scale.
_MAPS_AT_ONCE = (
    len(COLOURS),
    *(sum(at == scale for _, at in _MAPS[len(COLOURS) :]) for scale in SCALES),
)

#: What powers of the maps are taken about, unless something else is said.
ABOUT_ZERO = np.zeros(len(_MAPS), np.float32)

#: (top, left, height, width) of a part of a picture, in pixels.
Box = tuple[Any, Any, Any, Any]
Pair = tuple[Any, Any]


def image_statistics(picture: Any) -> tf.Tensor:
    """Returns 448 statistics of a picture: brightness, colour, contrast, sharpness, noise.

    Thirty-six maps are summed up by five moments each: luma, chroma, saturation and the brightest
    and darkest channel at a quarter of the size; at four scales the contrast (each pixel less its
    local mean, over the local deviation), its products with four neighbours, and the logarithm of
    the local deviation; the contrast of chroma. Then come the shares of clipped pixels, the detail
    that a small blur takes away, and whether luma changes more across or down: 198 numbers.

    Twenty-five of them are measured in each of 8 x 8 regions too, and ten numbers say how each is
    spread over the regions: from the least to the most, and how the centre differs from the mean
    and the upper half from the lower. Regions of fewer than 16 positions, as pictures of less than
    256 pixels have them at an eighth of the size, are given the numbers of the whole.

    Args:
        picture: (H, W, 3) or (N, H, W, 3); uint8 in 0..255, or floating-point in 0..1; at least
            48 x 48 pixels.

    Returns:
        float32 tensor (448,) or (N, 448), finite, named by `STATISTICS`.

    Raises:
        ValueError: Rank, channels, dtype, size or value range are not as above, or a value is
            NaN. Values are checked eagerly only.

    References:
        Mittal, Moorthy and Bovik (2012), https://doi.org/10.1109/TIP.2012.2214050

    Chapter: notebooks/11-human-ratings.ipynb
    """
    batch = to_unit_range(as_batch(picture, name="picture", channels=(3,)), name="picture")
    return like(statistics_of_batch(batch), picture)


def statistics_of_batch(pictures: tf.Tensor, *, dtype: tf.DType = tf.float64) -> tf.Tensor:
    """Returns the statistics of pictures that fit into memory as a whole.

    Args:
        pictures: float32 (N, H, W, 3) in 0..1.
        dtype: Precision of the moments. In float32 the pictures are measured twice, the second time
            about their means, which loses digits only where they are flat everywhere.

    Returns:
        float32 (N, 448), as `image_statistics` has them.
    """
    height, width = tf.shape(pictures)[1], tf.shape(pictures)[2]
    whole = (0, 0, height, width), (0, 0), (height, width)
    positions = region_positions(height, width)
    sums, centres = region_sums(pictures, *whole), ABOUT_ZERO
    if dtype == tf.float32:
        means = tf.reduce_sum(sums, axis=[1, 2]) / tf.reduce_sum(positions, axis=[0, 1])
        centres = tf.reduce_mean(means, axis=0)[: len(_MAPS)]
        sums = region_sums(pictures, *whole, centres=centres)
    return statistics_of_sums(sums, positions, centres=centres, dtype=dtype)


def region_sums(
    pictures: tf.Tensor, box: Box, corner: Pair, size: Pair, *, centres: Any = ABOUT_ZERO
) -> tf.Tensor:
    """Sums all that the statistics are made of over the regions of a part of each picture.

    The sums of parts that tile a picture add up to those of the whole.

    Args:
        pictures: float32 (N, H, W, 3) in 0..1, the part with its surroundings. Outside of them
            they are mirrored.
        box: (top, left, height, width) of the part in `pictures`, in pixels. Its corner is a
            multiple of 8, and so are its sides unless they end where the picture does.
        corner: (top, left) of the part in the whole picture, multiples of 8.
        size: (height, width) of the whole picture.
        centres: Value of each map about which its powers are taken, (36,).

    Returns:
        float32 (N, 8, 8, M): five power sums of each map, shares, squared details, and steps; zero
        for the regions that the part does not meet.
    """
    planes = _planes(pictures)
    clipped = _Part(box, corner, size, 0).sums(_clipped(planes))
    of_colours, *of_contrasts = tf.split(centres, _MAPS_AT_ONCE)
    power_sums: list[tf.Tensor] = []
    details: list[tf.Tensor] = []
    steps: list[tf.Tensor] = []
    for scale in SCALES:
        part = _Part(box, corner, size, scale)
        if scale == COLOUR_SCALE:
            power_sums.insert(0, part.power_sums(planes - _MIDDLES, of_colours))
        channels = planes[:, :3] if scale else planes[:, :1]
        detail, deviation = _detail_and_deviation(channels)
        maps = _contrast_maps(detail, deviation)
        power_sums.append(part.power_sums(maps, of_contrasts[scale]))
        details.append(part.sums(tf.square(detail)))
        steps.append(part.sums(_steps(planes[:, :1])))
        planes = _halved(planes)
    by_moment = tf.concat(power_sums, axis=-1)  # (N, 8, 8, 5, maps)
    flat = tf.reshape(by_moment, [-1, REGIONS, REGIONS, len(MOMENTS) * len(_MAPS)])
    return tf.concat([flat, clipped, *details, *steps], axis=-1)


def region_positions(height: Any, width: Any) -> tf.Tensor:
    """Counts the positions over which each number of `region_sums` is summed in a whole picture.

    Args:
        height: Rows of the picture.
        width: Columns of the picture.

    Returns:
        float32 (8, 8, M): what turns the sums of the whole into means.
    """
    counts = []
    for scale in SCALES:
        lengths = height // 2**scale, width // 2**scale
        rows, columns = (tf.reduce_sum(_regions_of(0, n, n), axis=1) for n in lengths)
        counts.append(rows[:, tf.newaxis] * columns)
    return tf.gather(tf.stack(counts, axis=-1), _SCALE_OF, axis=-1)


def statistics_of_sums(
    sums: tf.Tensor,
    positions: tf.Tensor,
    *,
    centres: Any = ABOUT_ZERO,
    dtype: tf.DType = tf.float64,
) -> tf.Tensor:
    """Turns sums over the regions of whole pictures into their statistics.

    Args:
        sums: (N, 8, 8, M), what `region_sums` gives of whole pictures.
        positions: (8, 8, M), what `region_positions` gives of their size.
        centres: Value of each map about which `region_sums` took its powers, (36,).
        dtype: Precision. Central moments are small differences of large numbers, unless the
            centres are the means.

    Returns:
        float32 (N, 448), as `image_statistics` has them.
    """
    sums, positions, centres = (tf.cast(each, dtype) for each in (sums, positions, centres))
    whole = tf.reduce_sum(sums, axis=[1, 2]) / tf.reduce_sum(positions, axis=[0, 1])
    means = tf.where(
        positions >= FEWEST_POSITIONS,
        sums / tf.maximum(positions, 1),
        whole[:, tf.newaxis, tf.newaxis],
    )
    of_regions = tf.gather(_statistics_of_means(means, centres), _REGIONAL, axis=-1)
    statistics = tf.concat([_statistics_of_means(whole, centres), _spread(of_regions)], axis=-1)
    return tf.cast(statistics, tf.float32)


def _statistics_of_means(means: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
    """Turns means over pixels (..., M) into the statistics of the whole: (..., 198)."""
    parts = (len(MOMENTS) * len(_MAPS), len(_SHARES), len(_DETAILS), 2 * len(SCALES))
    of_maps, shares, details, steps = tf.split(means, parts, axis=-1)
    first, absolute, second, third, fourth = tf.split(of_maps, len(MOMENTS), axis=-1)
    variance = tf.nn.relu(second - first**2)
    cubic = third - 3 * first * second + 2 * first**3
    quartic = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
    around = variance + FLAT_VARIANCE
    mean = first + centres
    moments = (
        mean,
        tf.math.log(around) / 2,
        absolute / tf.sqrt(variance + mean**2 + FLAT_VARIANCE),
        cubic / around**1.5,
        tf.math.log((tf.nn.relu(quartic) + FLAT_VARIANCE**2) / around**2),
    )
    log_steps = tf.math.log(steps + SMALL)
    ratios = log_steps[..., 0::2] - log_steps[..., 1::2]
    log_details = tf.math.log(tf.sqrt(details) + SMALL)
    return tf.concat([*moments, shares, log_details, ratios], axis=-1)


def _spread(values: tf.Tensor) -> tf.Tensor:
    """Sums up by ten numbers how values are spread over the regions: (N, 8, 8, K) to (N, 10 K)."""
    flat = tf.reshape(values, [-1, REGIONS**2, values.shape[-1]])
    ordered = tf.sort(flat, axis=1)
    quarter, half = REGIONS // 4, REGIONS // 2
    inner = slice(quarter, REGIONS - quarter)
    mean = tf.reduce_mean(flat, axis=1)
    summaries = [ordered[:, rank] for rank in _ORDERED.values()]
    summaries.append(tf.math.reduce_std(flat, axis=1))
    summaries.append(tf.reduce_mean(values[:, inner, inner], axis=[1, 2]) - mean)
    summaries.append(tf.reduce_mean(values[:, :half] - values[:, half:], axis=[1, 2]))
    return tf.concat(summaries, axis=-1)


#: The middle of each colour plane, from which it is measured.
_MIDDLES = np.array([0.5, 0.0, 0.0, 0.0, 0.5, 0.5], np.float32)[:, None, None]

#: Where the statistics of regions stand among those of the whole.
_REGIONAL = [OF_WHOLE.index(name) for name in _OF_REGIONS]

_SCALE_OF = [
    *[scale for _ in MOMENTS for _, scale in _MAPS],
    *[0 for _ in _SHARES],
    *[scale for _, scale in _DETAILS],
    *[scale for scale in SCALES for _ in ("across", "down")],
]

#: How many numbers `region_sums` gives of a region.
SUMS = len(_SCALE_OF)

# Below, planes and maps are (N, C, H, W): so each can be taken, blurred and summed by itself.


def _planes(pictures: tf.Tensor) -> tf.Tensor:
    """Luma, two differences of colour, saturation, brightest and darkest channel: (N, 6, H, W)."""
    red, green, blue = tf.split(tf.transpose(pictures, [0, 3, 1, 2]), 3, axis=1)
    luma = sum(weight * c for weight, c in zip(LUMA_WEIGHTS, (red, green, blue), strict=True))
    brightest = tf.maximum(tf.maximum(red, green), blue)
    darkest = tf.minimum(tf.minimum(red, green), blue)
    saturation = (brightest - darkest) / (brightest + SATURATION)
    chroma = 0.564 * (blue - luma), 0.713 * (red - luma)
    return tf.concat([luma, *chroma, saturation, brightest, darkest], axis=1)


def _clipped(planes: tf.Tensor) -> tf.Tensor:
    """Says of every pixel whether it is dark, bright, or has a channel at an end: (N, 4, H, W)."""
    level = 0.5 / 255  # half a level: rounding makes no difference
    luma, brightest, darkest = planes[:, :1], planes[:, 4:5], planes[:, 5:]
    flags = [luma < DARK, luma > BRIGHT, brightest > 1 - level, darkest < level]
    return tf.cast(tf.concat(flags, axis=1), tf.float32)


def _detail_and_deviation(channels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns each pixel less the mean around it, and the root mean square of that around it.

    No difference of large numbers is taken: where the picture is flat, nothing is left to chance.
    """
    detail = channels - _blurred(channels)
    return detail, tf.sqrt(_blurred(tf.square(detail)))


def _contrast_maps(detail: tf.Tensor, deviation: tf.Tensor) -> tf.Tensor:
    """Contrast of luma, its products, its log deviation, contrast of chroma: (N, 6 or 8, H, W)."""
    contrast = detail / (deviation + SATURATION)
    luma = contrast[:, :1]
    products = [luma * neighbour for neighbour in _neighbours(luma, *NEIGHBOURS)]
    log_deviation = tf.math.log(deviation[:, :1] + SMALL) + 4.0  # about zero, as the others are
    return tf.concat([luma, *products, log_deviation, contrast[:, 1:]], axis=1)


def _steps(luma: tf.Tensor) -> tf.Tensor:
    """How far each pixel is from its neighbours across and down: (N, 2, H, W)."""
    return tf.abs(tf.concat(_neighbours(luma, "to the right", "below"), axis=1) - luma)


def _neighbours(values: tf.Tensor, *names: str) -> list[tf.Tensor]:
    """The neighbours of each pixel, mirrored at the borders."""
    height, width = tf.shape(values)[2], tf.shape(values)[3]
    padded = tf.pad(values, [[0, 0], [0, 0], [0, 1], [1, 1]], mode="REFLECT")
    return [
        padded[:, :, rows : rows + height, 1 + columns : 1 + columns + width]
        for rows, columns in (NEIGHBOURS[name] for name in names)
    ]


def _blurred(planes: tf.Tensor) -> tf.Tensor:
    """Blurs each plane with the binomial window, mirrored at the borders."""
    margin = len(BINOMIAL_ROW) // 2
    sides = [[0, 0], [0, 0], [margin, margin], [margin, margin]]
    blurred = _as_pictures(tf.pad(planes, sides, mode="REFLECT"))
    window = np.array(BINOMIAL_ROW, np.float32)
    for kernel in (window[:, None, None, None], window[None, :, None, None]):  # down, across
        blurred = tf.nn.conv2d(blurred, kernel, strides=1, padding="VALID")
    return tf.reshape(blurred, tf.shape(planes))


def _halved(planes: tf.Tensor) -> tf.Tensor:
    """Averages each plane over blocks of 2 x 2; a last odd row or column is left out."""
    number, channels, height, width = tf.unstack(tf.shape(planes))
    halved = tf.nn.avg_pool2d(_as_pictures(planes), 2, 2, padding="VALID")
    return tf.reshape(halved, [number, channels, height // 2, width // 2])


def _as_pictures(planes: tf.Tensor) -> tf.Tensor:
    """Takes each plane for a picture of its own: (N, C, H, W) to (N C, H, W, 1)."""
    number, channels, height, width = tf.unstack(tf.shape(planes))
    return tf.reshape(planes, [number * channels, height, width, 1])


class _Part:
    """A part of a picture that was halved some times, and the regions that its pixels lie in."""

    def __init__(self, box: Box, corner: Pair, size: Pair, scale: int) -> None:
        step = 2**scale
        top, left, height, width = box
        self.top, self.left = top // step, left // step
        self.bottom, self.right = (top + height) // step, (left + width) // step
        self.sides = rows, columns = self.bottom - self.top, self.right - self.left
        self.regions_down = _regions_of(corner[0] // step, rows, size[0] // step)
        self.regions_across = _regions_of(corner[1] // step, columns, size[1] // step)

    def sums(self, maps: tf.Tensor) -> tf.Tensor:
        """Sums (N, C, H, W) over the pixels of the part, region by region: (N, 8, 8, C)."""
        return tf.transpose(self._by_region(self._inside(maps)), [0, 3, 2, 1])

    def power_sums(self, maps: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
        """Sums d, |m|, d^2, d^3 and d^4 of each map m, d = m - centre: (N, 8, 8, 5, maps)."""
        maps = self._inside(maps)
        off = maps - centres[:, tf.newaxis, tf.newaxis]
        squares = tf.square(off)
        powers = (off, tf.abs(maps), squares, squares * off, tf.square(squares))
        sums = tf.stack([self._by_region(power) for power in powers], axis=1)
        return tf.transpose(sums, [0, 4, 3, 1, 2])

    def _inside(self, maps: tf.Tensor) -> tf.Tensor:
        return maps[:, :, self.top : self.bottom, self.left : self.right]

    def _by_region(self, inside: tf.Tensor) -> tf.Tensor:
        """Sums (N, C, H, W) over regions: (N, C, 8 across, 8 down)."""
        channels, (rows, columns) = inside.shape[1], self.sides
        lines = tf.reshape(inside, [-1, columns])  # plain products: a batch of them is slow
        lines = tf.matmul(lines, self.regions_across, transpose_b=True)
        lines = tf.transpose(tf.reshape(lines, [-1, rows, REGIONS]), [0, 2, 1])
        sums = tf.matmul(tf.reshape(lines, [-1, rows]), self.regions_down, transpose_b=True)
        return tf.reshape(sums, [-1, channels, REGIONS, REGIONS])


def _regions_of(start: Any, length: Any, whole: Any) -> tf.Tensor:
    """Says of some rows or columns of a picture in which region each lies: 0 or 1, (8, length)."""
    return tf.one_hot((start + tf.range(length)) * REGIONS // whole, REGIONS, axis=0)
