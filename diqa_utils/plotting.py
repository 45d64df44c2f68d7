"""The figures of the book. They need NumPy, Pillow and Matplotlib, and take tensors and arrays.

Pictures and maps come as a `Gallery`, which a notebook shows as HTML, pixel by pixel. Charts and
drawings come as Matplotlib figures. Make either the last expression of its cell.

The colours of curves are those of Okabe and Ito, which the colour-blind can tell apart, but for two
that are too pale on white; lines and markers differ in shape too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator
from PIL import Image

from diqa_utils._internal import gallery_html

__all__ = [
    "Gallery",
    "draw_architecture",
    "draw_pipeline",
    "show_contact_sheet",
    "show_distributions",
    "show_history",
    "show_images",
    "show_intervals",
    "show_lines",
    "show_maps",
    "show_overlay",
    "show_scatter",
    "show_slider",
    "stretch",
]

#: Width of a chart in inches: 614 pixels on a page, and letters are still legible at half of that.
WIDTH = 6.4

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6B3FD4", "#704214", "#000000")
BLUE, BLACK = COLOURS[0], COLOURS[-1]
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"

#: Points from which on a chart holds them as pixels, because each as a shape would take too much.
MANY_POINTS = 1000

#: Size of the letters inside drawings, in points.
LETTERS = 10.5


def stretch(image_map: Any) -> np.ndarray:
    """Rescales images to 0..1 for display, each by its own minimum and maximum.

    Args:
        image_map: One image, (H, W) or (H, W, C), or a batch, (N, H, W, C); any finite numbers.

    Returns:
        float32 array of the same shape in 0..1; zeros where an image is constant.

    Raises:
        ValueError: If the rank is not 2, 3 or 4, there are no values, or one is NaN or infinite.
    """
    values = np.asarray(image_map).astype(np.float64)
    if values.ndim not in (2, 3, 4) or values.size == 0:
        raise ValueError(f"Expected an image or a batch of images, got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("An image with NaN or infinite values cannot be stretched.")
    axes = tuple(range(values.ndim))[-3:]
    lowest = values.min(axis=axes, keepdims=True)
    extent = values.max(axis=axes, keepdims=True) - lowest
    return ((values - lowest) / np.where(extent > 0, extent, 1)).astype(np.float32)


# --- Pictures and maps ----------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Gallery:
    """Pictures with titles, which a notebook shows in rows; the sum of two is one above the other.

    Attributes:
        html: The pictures as HTML. It needs no other file.
        titles: What each picture is called.
    """

    html: str
    titles: tuple[str, ...]

    def __add__(self, other: "Gallery") -> "Gallery":
        return Gallery(f"{self.html}\n{other.html}", self.titles + other.titles)

    def __repr__(self) -> str:
        return f"Gallery of {len(self.titles)}: {', '.join(self.titles)}"

    def _repr_html_(self) -> str:
        return f'<div class="picture-gallery" role="group">\n{self.html}\n</div>'


def show_images(
    images: Any, titles: Sequence[str] | None = None, *, columns: int | None = None
) -> Gallery:
    """Shows pictures side by side, each at its true aspect.

    The page may scale a picture, but its pixels are kept, up to 1440 on a side. To show damage
    pixel by pixel, pass a part of the picture.

    Args:
        images: One picture, (H, W), (H, W, 1) or (H, W, 3), a list of them, or a batch
            (N, H, W, C); uint8 in 0..255, or floating-point in 0..1.
        titles: Title of each picture, in plain text.
        columns: Pictures in a row; at most three if None. A narrow page has fewer.

    Returns:
        The gallery.

    Raises:
        ValueError: If a shape, dtype or value is none of those above, or titles are not one each.
    """
    pictures = [_as_picture(image) for image in _as_list(images)]
    return Gallery(*gallery_html.rows(pictures, titles, columns))


def show_maps(
    maps: Any,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    cmap: str | None = None,
    shared_range: bool = True,
    symmetric: bool = False,
    label: str | None = None,
) -> Gallery:
    """Shows maps of any numbers in colours, with a colour bar.

    Args:
        maps: One map, (H, W) or (H, W, 1), a list of them, or a batch (N, H, W, 1); NaN is grey.
        titles: Title of each map, in plain text.
        columns: Maps in a row; at most three if None. A narrow page has fewer.
        cmap: Matplotlib's name of the colours; if None, `magma`, or `RdBu_r` if `symmetric`.
        shared_range: Whether all maps share one colour bar; otherwise each has its own. For groups
            with a bar each, add their galleries: `show_maps(...) + show_maps(...)`.
        symmetric: Whether zero is in the middle of the colour bar, for values of both signs.
        label: Meaning of the colours, below the colour bar.

    Returns:
        The gallery.

    Raises:
        ValueError: If a shape is none of those above, titles are not one each, or Matplotlib knows
            no such colours.
    """
    arrays = [_as_map(image_map) for image_map in _as_list(maps)]
    colours = gallery_html.colour_map(cmap or ("RdBu_r" if symmetric else "magma"))
    groups = [arrays] * len(arrays) if shared_range else [[array] for array in arrays]
    ranges = [_range_of(group, symmetric) for group in groups]
    pictures = [
        gallery_html.paint(array, ends, colours) for array, ends in zip(arrays, ranges, strict=True)
    ]
    ends_of_bars = ranges[:1] if shared_range else ranges
    bars = [gallery_html.colour_bar(ends, colours, label or "") for ends in ends_of_bars]
    return Gallery(*gallery_html.rows(pictures, titles, columns, bars, "map"))


def show_overlay(image: Any, error_map: Any) -> Gallery:
    """Shows a picture, its error map at the picture's size, and the map laid over the picture.

    Args:
        image: The picture, in a shape and range that `show_images` takes.
        error_map: (h, w) or (h, w, 1), of the whole picture at any scale; enlarged bilinearly.

    Returns:
        The gallery.

    Raises:
        ValueError: If a shape, dtype or value is none of those above.
    """
    picture, errors = _as_picture(image), _as_map(error_map)
    colours, ends = gallery_html.colour_map("magma"), _range_of([errors])
    size = picture.shape[1], picture.shape[0]
    enlarged = Image.fromarray(errors.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    painted = gallery_html.paint(np.asarray(enlarged), ends, colours)
    # The picture in grey, so that no colours mix.
    grey = picture.mean(axis=-1, keepdims=True) if picture.ndim == 3 else picture[..., None]
    mixed = np.rint(0.4 * grey + 0.6 * painted).astype(np.uint8)
    titles = ("picture", "error map", "map over picture")
    bar = gallery_html.colour_bar(ends, colours, "error")
    return Gallery(*gallery_html.rows([picture, painted, mixed], titles, bars=[bar]))


def show_contact_sheet(
    families: Mapping[str, Mapping[str, Sequence[Any]]], *, labels: Sequence[str]
) -> Gallery:
    """Shows many kinds of pictures, a strip of each, in families; two strips stand side by side.

    Parts of 96 pixels keep a page with many pictures light, and show each pixel.

    Args:
        families: Kinds of each family, and of each kind the pictures of its strip, equally many
            and of one size, in a shape and range that `show_images` takes.
        labels: Label of each picture of a strip, such as its level.

    Returns:
        The gallery.

    Raises:
        ValueError: If pictures are none of those above, or labels are not one for each of a strip.
    """
    checked = {
        family: {kind: [_as_picture(one) for one in strip] for kind, strip in kinds.items()}
        for family, kinds in families.items()
    }
    titles = tuple(kind for kinds in families.values() for kind in kinds)
    return Gallery(gallery_html.sheet(checked, labels), titles)


def show_slider(galleries: Mapping[str, Gallery], *, label: str) -> Gallery:
    """Shows one of several galleries at a time, chosen by a slider.

    In print, and where scripts are off, the middle one stands still.

    Args:
        galleries: Galleries of one shape; for each a value of what the slider changes.
        label: What the slider changes.

    Returns:
        The gallery.

    Raises:
        ValueError: If there are no galleries.
    """
    html = {value: gallery.html for value, gallery in _not_empty(galleries).items()}
    return Gallery(gallery_html.slider(html, label), tuple(html))


# --- Curves, points and intervals -----------------------------------------------------------------


def show_lines(
    x: Any,
    lines: Mapping[str, Any],
    *,
    xlabel: str,
    ylabel: str,
    logx: bool = False,
    logy: bool = False,
) -> Figure:
    """Draws curves over a common axis.

    Args:
        x: (N,) numbers; where all are integers, so are the ticks.
        lines: (N,) numbers for each label.
        xlabel: Text below the axis.
        ylabel: Text beside the axis.
        logx: Whether the x axis is logarithmic.
        logy: Whether the y axis is logarithmic.

    Returns:
        The figure.

    Raises:
        ValueError: If there are no curves, or one has more or fewer values than `x`.
    """
    positions = np.ravel(x)
    figure, axes = _plot(xlabel, ylabel)
    axes.set_prop_cycle(color=COLOURS, linestyle=LINE_STYLES)
    for label, values in _not_empty(lines).items():
        heights = np.ravel(values)
        if heights.size != positions.size:
            raise ValueError(
                f"The line '{label}' has {heights.size} values, and x has {positions.size}."
            )
        axes.plot(positions, heights, label=label, linewidth=2)
    if logx:
        axes.set_xscale("log")
        _tick_logarithms(axes.xaxis)
    elif positions.dtype.kind in "iu":  # levels and epochs have no halves
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if logy:
        axes.set_yscale("log")
        _tick_logarithms(axes.yaxis)
    _add_legend(figure)
    return figure


def show_history(
    history: Mapping[str, Sequence[float]],
    *,
    ylabel: str = "loss",
    baseline: Mapping[str, float] | None = None,
) -> Figure:
    """Draws what training recorded, epoch by epoch.

    Args:
        history: For each label a number per epoch, from epoch 1 on.
        ylabel: Meaning of the numbers.
        baseline: For each label a number to compare with, drawn as a dashed level.

    Returns:
        The figure.

    Raises:
        ValueError: If the history is empty.
    """
    figure, axes = _plot("epoch", ylabel)
    axes.set_prop_cycle(color=COLOURS, marker=MARKERS)
    for label, values in _not_empty(history).items():
        axes.plot(range(1, len(values) + 1), values, label=label, markersize=5)
    for label, level in (baseline or {}).items():
        axes.axhline(level, color=GREY, linestyle="--", label=label)
    axes.set_xlim(0.5, max(map(len, history.values())) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _add_legend(figure)
    return figure


def show_distributions(groups: Mapping[str, Any], *, xlabel: str) -> Figure:
    """Draws every value of each group as a point, the median, and a box between the quartiles.

    Args:
        groups: Numbers of each label.
        xlabel: Meaning of the numbers.

    Returns:
        The figure.

    Raises:
        ValueError: If there are no groups, or one has no numbers.
    """
    figure, axes = _plot(xlabel, "", height=0.9 + 0.5 * len(groups))
    random = np.random.default_rng(0)
    for row, (label, values) in enumerate(_not_empty(groups).items()):
        numbers = np.ravel(values)
        if numbers.size == 0:
            raise ValueError(f"The group '{label}' has no numbers.")
        heights = row + random.uniform(-0.2, 0.2, numbers.size)
        colour = COLOURS[row % len(COLOURS)]
        axes.scatter(numbers, heights, s=20, color=colour, **_dots(numbers.size))
        low, median, high = np.percentile(numbers, [25, 50, 75])
        axes.barh(row, high - low, left=low, height=0.6, facecolor="none", edgecolor=GREY)
        axes.plot([median, median], [row - 0.3, row + 0.3], color=BLACK, linewidth=2)
    _name_rows(axes, list(groups))
    return figure


def show_scatter(
    predicted: Any,
    actual: Any,
    *,
    groups: Sequence[str] | None = None,
    curve: tuple[Any, Any] | None = None,
    xlabel: str = "predicted quality",
    ylabel: str = "quality",
) -> Figure:
    """Draws the actual score of each picture over the predicted one.

    Args:
        predicted: (N,) numbers, one or more.
        actual: (N,) numbers.
        groups: Group of each point, such as its distortion.
        curve: x and y of a curve to draw below the points, such as a fitted function, or the loss
            on which the points are the steps of gradient descent.
        xlabel: Meaning of the predictions.
        ylabel: Meaning of the actual scores.

    Returns:
        The figure.

    Raises:
        ValueError: If the lengths differ, or there are no points.
    """
    x, y = np.ravel(predicted), np.ravel(actual)
    names = np.full(x.size, "") if groups is None else np.ravel(groups)
    if not 0 < x.size == y.size == names.size:
        raise ValueError(
            "Predicted and actual scores and groups need equally many values, one or more, not "
            f"{x.size}, {y.size} and {names.size}."
        )
    figure, axes = _plot(xlabel, ylabel, height=4.4)
    if curve is not None:
        axes.plot(np.ravel(curve[0]), np.ravel(curve[1]), color=GREY, linewidth=2)
    looks = zip(dict.fromkeys(names.tolist()), cycle(COLOURS), cycle(MARKERS), strict=False)
    for name, colour, marker in looks:
        look = _dots(x.size) | {"label": name, "color": colour, "marker": marker, "zorder": 2}
        axes.scatter(x[names == name], y[names == name], s=36, **look)
    if groups is not None:
        _add_legend(figure)
    return figure


def show_intervals(
    rows: Sequence[tuple[str, float, float, float]], *, xlabel: str, reference: float | None = None
) -> Figure:
    """Draws estimates with their intervals, one below the other.

    Args:
        rows: Label, estimate, lower end and upper end of each.
        xlabel: Meaning of the estimates.
        reference: A value to compare with, drawn as a dashed line.

    Returns:
        The figure.

    Raises:
        ValueError: If there are no rows, or a lower end lies above its upper end.
    """
    figure, axes = _plot(xlabel, "", height=0.9 + 0.42 * len(rows))
    for number, (label, estimate, low, high) in enumerate(_not_empty(rows)):
        if low > high:
            raise ValueError(f"The interval of '{label}' runs from {low} down to {high}.")
        axes.plot([low, high], [number, number], color=BLUE, linewidth=2.5, solid_capstyle="butt")
        axes.plot(estimate, number, color=BLUE, marker="o", markersize=8)
    if reference is not None:
        axes.axvline(reference, color=GREY, linestyle="--", zorder=0)
    _name_rows(axes, [row[0] for row in rows])
    return figure


# --- What the functions above share ---------------------------------------------------------------


def _as_list(images: Any) -> list[Any]:
    """A list or batch as a list; one picture, an array of rank 2 or 3, as a list of one."""
    if not isinstance(images, list | tuple):
        array = np.asarray(images)
        images = list(array) if array.ndim == 4 else [array]
    return list(_not_empty(images))


def _as_picture(image: Any) -> np.ndarray:
    """A picture as uint8, (H, W) or (H, W, 3), after a check of its values."""
    picture = _without_single_channel(image)
    if picture.ndim != 2 and picture.shape[2:] != (3,):
        raise ValueError(
            f"A picture has shape (H, W), (H, W, 1) or (H, W, 3), not {picture.shape}."
        )
    low, high = picture.min(), picture.max()
    is_float = np.issubdtype(picture.dtype, np.floating)
    if picture.dtype != np.uint8 and not (is_float and low >= 0 and high <= 1):
        raise ValueError(
            f"A picture is uint8, or floating-point in 0..1, not {picture.dtype} in "
            f"{low:.3g}..{high:.3g}; show other values with stretch() or with show_maps()."
        )
    return gallery_html.reduced(np.rint(255.0 * picture).astype(np.uint8) if is_float else picture)


def _as_map(image_map: Any) -> np.ndarray:
    """A map as (H, W), in float64."""
    array = _without_single_channel(image_map)
    if array.ndim != 2:
        raise ValueError(f"A map has shape (H, W) or (H, W, 1), not {array.shape}.")
    return array.astype(np.float64)


def _without_single_channel(image: Any) -> np.ndarray:
    array = np.asarray(image)
    return array[..., 0] if array.shape[2:] == (1,) else array


def _range_of(arrays: Sequence[np.ndarray], symmetric: bool = False) -> tuple[float, float]:
    values = np.concatenate([array[np.isfinite(array)] for array in arrays])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    largest = max(-low, high)
    return (-largest, largest) if symmetric else (low, high)


def _plot(xlabel: str, ylabel: str, height: float = 3.8) -> tuple[Figure, Axes]:
    # Not of pyplot, which would show it a second time.
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _dots(count: int) -> dict[str, Any]:
    """The look of points: white rims keep apart those that overlap."""
    return {"edgecolor": "white", "linewidths": 0.5, "rasterized": count >= MANY_POINTS}


def _add_legend(figure: Figure) -> None:
    """Adds a legend below the plot, where it hides no data, to be read row by row."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    # Letters that a line takes, a handle with its space being as wide as six.
    widths = {
        columns: sum(max(map(len, labels[first::columns])) + 6 for first in range(columns))
        for columns in range(1, min(len(labels), 3) + 1)
    }
    columns = max((columns for columns, width in widths.items() if width <= 70), default=1)
    # Matplotlib fills column after column.
    ordered = [handle for first in range(columns) for handle in handles[first::columns]]
    figure.legend(handles=ordered, loc="outside lower center", ncols=columns, frameon=False)


def _tick_logarithms(axis: Any) -> None:
    """Writes 0.1, 1, 10 in full, with 2 and 5 between them where there is room."""
    low, high = axis.get_view_interval()
    if high / low < 1e3:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Labels rows 0, 1, ... from the top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)


def _not_empty(values: Any) -> Any:
    if not values:
        raise ValueError(f"There is nothing to show: got an empty {type(values).__name__}.")
    return values


# --- Drawings; their unit is an inch --------------------------------------------------------------

#: (filters, stride) of the convolutions of f; a test compares them with those of `models`.
_CONVOLUTIONS = ((48, 1), (48, 2), (64, 1), (64, 2), (64, 1), (64, 1), (128, 1), (128, 1))

#: Middles of five boxes in a row, and half their width and height.
_COLUMNS, _HALF, _HALF_HEIGHT = (0.68, 1.94, 3.2, 4.46, 5.72), 0.5, 0.27
_ROUNDED = "round,pad=0,rounding_size=0.08"

#: Inner and outer colour of boxes with what is computed, what is learnt, and what is learnt from.
_DATA, _LEARNT, _TARGET = ("#F2F2F2", GREY), ("#CFE6F5", BLUE), ("#FBE3C0", "#B97700")


def draw_pipeline() -> Figure:
    """Draws the method: normalisation, step 1 on error maps, step 2 on opinions.

    Returns:
        The figure.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819
    """
    figure, axes = _canvas(height=7.0)
    first, second, third, fourth, fifth = _COLUMNS

    _panel(axes, 5.45, 6.95, "Normalise: keep the fine detail")
    y = 5.85
    _row(axes, y, {"picture": _DATA, "grey": _DATA, "low band:\nblurred": _DATA})
    circle = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": GREY}
    axes.text(fourth, y, "−", ha="center", va="center", fontsize=16, bbox=circle)
    _box(axes, fifth, y, "normalised\n$\\hat{I}$")
    _arrow(axes, (third + _HALF, y), (fourth - 0.18, y))
    over = y + 0.5
    _arrow(axes, (second, y + _HALF_HEIGHT), (second, over), (fourth, over), (fourth, y + 0.18))
    _arrow(axes, (fourth + 0.18, y), (fifth - _HALF, y))

    _panel(axes, 2.3, 5.3, "Step 1: learn error maps, which need no opinion")
    top, middle, bottom = 4.6, 3.65, 2.7
    above, below = middle + _HALF_HEIGHT, middle - _HALF_HEIGHT
    error_map = "error map\n$|\\hat{I}_r - \\hat{I}_d|^p$"
    _row(axes, top, {"reference\n$\\hat{I}_r$": _DATA, error_map: _TARGET})
    row = {"distorted\n$\\hat{I}_d$": _DATA, "features\n$f$": _LEARNT, "head\n$g$": _LEARNT}
    _row(axes, middle, row | {"predicted\nerror map": _DATA, "weighted\nloss": _TARGET})
    _box(axes, second, bottom, "reliability\n$\\hat{r}$", _TARGET)
    _arrow(axes, (first + 0.3, above), (second - 0.3, top - _HALF_HEIGHT))
    _arrow(axes, (first + 0.3, below), (second - 0.3, bottom + _HALF_HEIGHT))
    _arrow(axes, (second + _HALF, top), (fifth, top), (fifth, above))
    _arrow(axes, (second + _HALF, bottom), (fifth, bottom), (fifth, below))

    _panel(axes, 0.05, 2.15, "Step 2: learn the score that people gave")
    top, bottom = 1.4, 0.5
    above, below = bottom + _HALF_HEIGHT, top - _HALF_HEIGHT
    row = {"distorted\n$\\hat{I}_d$": _DATA, "features\n$f$, kept": _LEARNT}
    row |= {"average of\neach map": _DATA, "head\n$h$": _LEARNT, "predicted\nquality": _DATA}
    _row(axes, top, row)
    _box(axes, first, bottom, "distorted\npicture")
    _box(axes, third, bottom, "$\\mu_r$ and\n$\\sigma_{low}$")
    _box(axes, fifth, bottom, "quality by\nopinion", _TARGET)
    _arrow(axes, (first, above), (first, below))
    _arrow(axes, (first + _HALF, bottom), (third - _HALF, bottom))
    _arrow(axes, (third + _HALF, bottom), (fourth, bottom), (fourth, below))
    _arrow(axes, (fifth, above), (fifth, below), style="<|-|>")
    axes.text(fifth - 0.08, (top + bottom) / 2, "loss", ha="right", va="center", fontsize=LETTERS)
    return figure


def draw_architecture() -> Figure:
    """Draws the network: the eight convolutions of f, the head g and the head h.

    A block is as high as its maps are and as wide as they are many.

    Returns:
        The figure.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819
    """
    figure, axes = _canvas(height=5.0)

    _panel(axes, 2.5, 4.95, "Features $f$: eight 3 × 3 convolutions")
    x, base, scale = 0.3, 2.95, 1
    ends: dict[int, list[float]] = {}
    for filters, stride in ((1, 1), *_CONVOLUTIONS):
        scale *= stride
        width, height = max(filters / 180, 0.05), 1.25 / scale
        colour, edge = _DATA if filters == 1 else _LEARNT
        axes.add_patch(Rectangle((x, base), width, height, facecolor=colour, edgecolor=edge))
        label = "$\\hat{I}_d$" if filters == 1 else f"{filters}"
        label += f"\nstride {stride}" if stride > 1 else ""
        axes.text(x + width / 2, base + height + 0.05, label, ha="center", fontsize=LETTERS)
        ends.setdefault(scale, []).extend((x, x + width))
        x += width + 0.3
    for scale, (left, *_, right) in ends.items():
        axes.plot([left, right], [base - 0.08] * 2, color=GREY, linewidth=1.3)
        size = "H × W" if scale == 1 else f"H/{scale} × W/{scale}"
        middle = (left + right) / 2
        axes.text(middle, base - 0.14, size, ha="center", va="top", fontsize=LETTERS)

    _panel(axes, 1.35, 2.4, "Head $g$, step 1")
    row = {"features\n128 maps": _LEARNT, "1 × 1 convolution\nlinear": _LEARNT}
    _row(axes, 1.75, row | {"error map\nH/4 × W/4": _DATA}, columns=(0.98, 3.2, 5.42), width=1.6)

    _panel(axes, 0.05, 1.25, "Head $h$, step 2")
    row = {"average:\n128": _DATA, "with $\\mu_r$,\n$\\sigma_{low}$: 130": _DATA}
    row |= {"dense 128\nReLU": _LEARNT, "dense 1\nlinear": _LEARNT, "quality": _DATA}
    _row(axes, 0.5, row)
    return figure


def _canvas(height: float) -> tuple[Figure, Axes]:
    """A figure whose units are inches."""
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def _panel(axes: Axes, bottom: float, top: float, title: str) -> None:
    area = (0.05, bottom), WIDTH - 0.1, top - bottom
    axes.add_patch(FancyBboxPatch(*area, _ROUNDED, facecolor="white", edgecolor="0.75"))
    axes.text(0.18, top - 0.1, title, va="top", fontsize=11, fontweight="bold")


def _box(
    axes: Axes, x: float, y: float, text: str, colours: Any = _DATA, width: float = 2 * _HALF
) -> None:
    inner, outer = colours
    area = (x - width / 2, y - _HALF_HEIGHT), width, 2 * _HALF_HEIGHT
    axes.add_patch(FancyBboxPatch(*area, _ROUNDED, facecolor=inner, edgecolor=outer))
    axes.text(x, y, text, ha="center", va="center", fontsize=LETTERS, linespacing=1.25)


def _row(
    axes: Axes,
    y: float,
    boxes: Mapping[str, tuple[str, str]],
    columns: Sequence[float] = _COLUMNS,
    width: float = 2 * _HALF,
) -> None:
    """Draws boxes with their texts and colours, and an arrow from each to the next."""
    for x, (text, colours) in zip(columns, boxes.items(), strict=False):
        _box(axes, x, y, text, colours, width)
    for left, right in pairwise(columns[: len(boxes)]):
        _arrow(axes, (left + width / 2, y), (right - width / 2, y))


def _arrow(axes: Axes, *points: tuple[float, float], style: str = "-|>") -> None:
    """Draws an arrow along the points, its head at the last."""
    x, y = zip(*points[:-1], strict=True)
    axes.plot(x, y, color=GREY, linewidth=1.3)
    ends = {"arrowstyle": style, "color": GREY, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", points[-1], points[-2], arrowprops=ends)
