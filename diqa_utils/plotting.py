"""The figures of the book. They need NumPy and Matplotlib only, and take tensors as well as arrays.

Every function returns its figure. Colours are those of Okabe and Ito, which the colour-blind can
tell apart; lines and markers differ in shape too.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator

__all__ = [
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
    "stretch",
]

#: Width of a figure in inches: 700 pixels on a page, and letters are still legible at half of that.
WIDTH = 6.4

#: A picture alone is not wider than this.
MAX_PANEL_WIDTH = 4.4

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
)
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"


def stretch(image_map: Any) -> np.ndarray:
    """Rescales images to 0..1 for display, each by its own minimum and maximum.

    Args:
        image_map: one image, (H, W) or (H, W, C), or a batch, (N, H, W, C); any numbers, no NaN.

    Returns:
        float32 array of the same shape in 0..1; zeros where an image is constant.

    Raises:
        ValueError: if the rank is not 2, 3 or 4, there are no values, or one is NaN or infinite.

    Chapter: notebooks/02-normalisation.ipynb
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


def show_images(
    images: Any,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    cmap: str = "gray",
    value_range: tuple[float, float] | None = None,
) -> Figure:
    """Shows pictures side by side, each at its true aspect.

    A picture that is enlarged shows its pixels as squares; one that is reduced is smoothed first.

    Args:
        images: a list of pictures, each (H, W), (H, W, 1) or (H, W, 3), or a batch (N, H, W, C), or
            one picture as an array; uint8 in 0..255, or floating-point in 0..1.
        titles: one for each picture.
        columns: pictures in a row; at most three if None.
        cmap: Matplotlib's name of the colours of grey pictures.
        value_range: the values drawn black and white, for grey pictures whose values are not in
            0..1.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no pictures, a shape or dtype is none of those above, a value is
            outside 0..1, or the number of titles is not that of pictures.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    pictures = [_as_picture(image, value_range) for image in _as_list(images)]
    figure, panels = _grid([picture.shape for picture in pictures], titles, columns)
    for panel, picture in zip(panels, pictures, strict=True):
        white = 255 if picture.dtype == np.uint8 else 1
        _draw_picture(panel, picture, cmap, value_range or (0, white))
    return figure


def show_maps(
    maps: Any,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    cmap: str | None = None,
    value_range: tuple[float, float] | None = None,
    shared_range: bool = True,
    symmetric: bool = False,
    label: str | None = None,
) -> Figure:
    """Shows maps of any numbers in colours, with a colour bar.

    Args:
        maps: a list of maps, each (H, W) or (H, W, 1), or a batch (N, H, W, 1), or one map as an
            array. NaN is drawn grey.
        titles: one for each map.
        columns: maps in a row; at most three if None.
        cmap: Matplotlib's name of the colours; if None, `magma`, or `RdBu_r` if `symmetric`.
        value_range: the values at the ends of the colour bar; those of the maps if None.
        shared_range: whether all maps share one colour bar; otherwise each has its own.
        symmetric: whether zero is in the middle of the colour bar, for values of both signs.
        label: what the colours mean, beside the colour bar.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no maps, a shape is none of those above, or the number of titles is
            not that of maps.

    Chapter: notebooks/03-error-maps.ipynb
    """
    arrays = [_as_map(image_map) for image_map in _as_list(maps)]
    bars: _Bars = "one" if shared_range else "each"
    figure, panels = _grid([array.shape for array in arrays], titles, columns, bars)
    colours = plt.get_cmap(cmap or ("RdBu_r" if symmetric else "magma")).with_extremes(bad="0.8")
    common = value_range or _range_of(arrays, symmetric)
    for panel, array in zip(panels, arrays, strict=True):
        limits = common if shared_range else value_range or _range_of([array], symmetric)
        drawn = _draw_picture(panel, array, colours, limits)
        if not shared_range:
            bar = figure.colorbar(drawn, ax=panel, label=label, **_BAR_OF_ONE)
            bar.locator = MaxNLocator(3)
    if shared_range:
        figure.colorbar(drawn, ax=panels, label=label, **_BAR_OF_ALL)
    return figure


def show_overlay(
    image: Any, error_map: Any, titles: Sequence[str] | None = None, *, opacity: float = 0.6
) -> Figure:
    """Shows a picture, its error map at the picture's size, and the map laid over the picture.

    Args:
        image: the picture, (H, W), (H, W, 1) or (H, W, 3), uint8 in 0..255 or floating-point in
            0..1.
        error_map: (h, w) or (h, w, 1), of the whole picture at any scale; enlarged bilinearly.
        titles: three of them, for the panels.
        opacity: of the map over the picture, 0..1.

    Returns:
        The figure.

    Raises:
        ValueError: if a shape, dtype or value is none of those above.

    Chapter: notebooks/09-prediction.ipynb
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be in 0..1, not {opacity}.")
    picture, errors = _as_picture(image), _as_map(error_map)
    white = 255 if picture.dtype == np.uint8 else 1
    names = ("picture", "error map", "map over picture") if titles is None else titles
    figure, panels = _grid([picture.shape] * 3, names, columns=3, bars="one")
    height, width = picture.shape[:2]
    place: dict[str, Any] = {"interpolation": "bilinear"}
    place["extent"] = (-0.5, width - 0.5, height - 0.5, -0.5)
    low, high = _range_of([errors], symmetric=False)

    _draw_picture(panels[0], picture, "gray", (0, white))
    drawn = panels[1].imshow(errors, cmap="magma", vmin=low, vmax=high, **place)
    gray = picture.mean(axis=-1) if picture.ndim == 3 else picture  # so that no colours mix
    _draw_picture(panels[2], gray, "gray", (0, white))
    panels[2].imshow(errors, cmap="magma", vmin=low, vmax=high, alpha=opacity, **place)
    figure.colorbar(drawn, ax=panels, label="error", **_BAR_OF_ALL)
    return figure


def show_contact_sheet(
    families: Mapping[str, Mapping[str, Sequence[Any]]], *, labels: Sequence[str] | None = None
) -> Figure:
    """Shows many kinds of pictures, a strip of each, in families; two strips stand side by side.

    Args:
        families: for each family its kinds, and for each kind the pictures of its strip from left
            to right. All strips have as many pictures, and all pictures one shape, (H, W) or
            (H, W, 3); uint8 in 0..255, or floating-point in 0..1.
        labels: what the pictures of a strip are, such as their levels; at the top of the sheet.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no pictures, or their number in a strip, their shape, dtype or
            values are none of those above, or the number of labels is not that of a strip.

    Chapter: notebooks/10-pretraining.ipynb
    """
    strips = {
        family: {kind: [_as_picture(image) for image in images] for kind, images in kinds.items()}
        for family, kinds in _not_empty(families, "families").items()
    }
    count, shape = _strip_format(strips)
    if labels is not None and len(labels) != count:
        raise ValueError(f"There are {len(labels)} labels for {count} pictures in each strip.")
    width = (_STRIP_WIDTH - _SEAM * (count - 1)) / count
    height = width * shape[0] / shape[1]

    figure, axes = _canvas(height=1)  # one unit is an inch; what is drawn lies below zero
    y = 0.0
    if labels is not None:
        y -= _LINE
        for start, (place, label) in product(_STRIP_STARTS, enumerate(labels)):
            middle = start + place * (width + _SEAM) + width / 2
            axes.text(middle, y, label, ha="center", fontsize=_LETTERS, color=GREY)
    for family, kinds in strips.items():
        y -= _HEADING
        axes.text(0, y + 0.06, family, fontsize=11, fontweight="bold")
        for number, (kind, pictures) in enumerate(kinds.items()):
            if number % 2 == 0:  # a new line of two strips
                y -= _LINE + height + _SEAM
            start = _STRIP_STARTS[number % 2]
            axes.text(start, y + height + 0.07, kind, fontsize=_LETTERS)
            for place, picture in enumerate(pictures):
                _place_picture(axes, picture, start + place * (width + _SEAM), y, width, height)
    axes.set_ylim(y, 0)
    figure.set_figheight(-y)
    return figure


def show_lines(
    x: Any,
    lines: Mapping[str, Any],
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
    logx: bool = False,
    logy: bool = False,
) -> Figure:
    """Draws curves over a common axis.

    Args:
        x: (N,) numbers; where all are integers, so are the ticks.
        lines: for each label (N,) numbers.
        xlabel: what stands below the axis.
        ylabel: what stands beside the axis.
        title: above the figure.
        logx: whether the x axis is logarithmic.
        logy: whether the y axis is logarithmic.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no curves, or one has not as many values as `x`.

    Chapter: notebooks/04-reliability-maps.ipynb
    """
    positions = np.ravel(x)
    figure, axes = _one_plot(xlabel, ylabel)
    for number, (label, values) in enumerate(_not_empty(lines, "lines").items()):
        heights = np.ravel(values)
        _check_lengths("x", positions, f"the line '{label}'", heights)
        axes.plot(positions, heights, label=label, **_line_style(number))
    if title is not None:
        axes.set_title(title)
    if logx:
        axes.set_xscale("log")
        _tick_logarithms(axes.xaxis)
    elif positions.dtype.kind in "iu":  # levels and epochs have no halves
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if logy:
        axes.set_yscale("log")
        _tick_logarithms(axes.yaxis)
    _legend(figure, len(lines))
    return figure


def show_history(
    history: Mapping[str, Sequence[float]],
    *,
    ylabel: str = "loss",
    baseline: Mapping[str, float] | None = None,
) -> Figure:
    """Draws what training recorded, epoch by epoch.

    Args:
        history: for each label one number an epoch, the first of epoch 1.
        ylabel: what the numbers are.
        baseline: for each label one number to compare with, drawn as a dashed level.

    Returns:
        The figure.

    Raises:
        ValueError: if the history is empty.

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    figure, axes = _one_plot("epoch", ylabel)
    for number, (label, values) in enumerate(_not_empty(history, "history").items()):
        epochs = np.arange(1, len(values) + 1)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot(epochs, values, label=label, color=colour, marker=marker, markersize=5)
    for label, level in (baseline or {}).items():
        axes.axhline(level, color=GREY, linestyle="--", label=label)
    axes.set_xlim(0.5, max(map(len, history.values())) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _legend(figure, len(history) + len(baseline or {}))
    return figure


def show_distributions(groups: Mapping[str, Any], *, xlabel: str) -> Figure:
    """Draws every value of each group as a point, the median, and a box between the quartiles.

    Args:
        groups: for each label its numbers.
        xlabel: what the numbers are.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no groups, or one has no numbers.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    values = [np.ravel(numbers) for numbers in _not_empty(groups, "groups").values()]
    for label, numbers in zip(groups, values, strict=True):
        if numbers.size == 0:
            raise ValueError(f"The group '{label}' has no numbers.")
    figure, axes = _one_plot(xlabel, "", height=0.9 + 0.5 * len(groups))
    rows = np.arange(len(groups))
    random = np.random.default_rng(0)
    for row, numbers in zip(rows, values, strict=True):
        heights = row + random.uniform(-0.2, 0.2, numbers.size)
        colour = COLOURS[row % len(COLOURS)]
        axes.scatter(numbers, heights, s=18, color=colour, alpha=0.6, linewidths=0)
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
        predicted: (N,) numbers.
        actual: (N,) numbers.
        groups: for each point the name of its group, such as its distortion.
        curve: x and y of a curve to draw through the points, such as a fitted function.
        xlabel: what the predictions are.
        ylabel: what the actual scores are.

    Returns:
        The figure.

    Raises:
        ValueError: if the lengths differ, or there are no points.

    Chapter: notebooks/08-evaluation.ipynb
    """
    x, y = np.ravel(predicted), np.ravel(actual)
    _check_lengths("predicted", x, "actual", y)
    if x.size == 0:
        raise ValueError("There are no points to show.")
    names = np.ravel("" if groups is None else groups)
    if groups is not None:
        _check_lengths("groups", names, "predicted", x)
    figure, axes = _one_plot(xlabel, ylabel, height=4.4)
    labels = list(dict.fromkeys(names.tolist()))
    for number, label in enumerate(labels):
        chosen = np.broadcast_to(names == label, x.shape)
        axes.scatter(
            x[chosen],
            y[chosen],
            s=34,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            alpha=0.75,
            linewidths=0,
            label=label or None,
        )
    if curve is not None:
        axes.plot(np.ravel(curve[0]), np.ravel(curve[1]), color=BLACK, linewidth=2)
    if groups is not None:
        _legend(figure, len(labels))
    return figure


def show_intervals(
    rows: Sequence[tuple[str, float, float, float]],
    *,
    xlabel: str,
    reference: float | None = None,
) -> Figure:
    """Draws estimates with their intervals, one below the other.

    Args:
        rows: label, estimate, lower end and upper end of each.
        xlabel: what is estimated.
        reference: a value to compare with, drawn as a dashed line.

    Returns:
        The figure.

    Raises:
        ValueError: if there are no rows, or a lower end lies above its upper end.

    Chapter: notebooks/08-evaluation.ipynb
    """
    if not rows:
        raise ValueError("There are no rows to show.")
    figure, axes = _one_plot(xlabel, "", height=0.9 + 0.42 * len(rows))
    for number, (label, estimate, low, high) in enumerate(rows):
        if low > high:
            raise ValueError(f"The interval of '{label}' runs from {low} down to {high}.")
        axes.plot([low, high], [number, number], color=BLUE, linewidth=2.5, solid_capstyle="butt")
        axes.plot(estimate, number, color=BLUE, marker="o", markersize=8)
    if reference is not None:
        axes.axvline(reference, color=GREY, linestyle="--", zorder=0)
    _name_rows(axes, [row[0] for row in rows])
    return figure


def draw_pipeline() -> Figure:
    """Draws the method: normalisation, step 1 on error maps, step 2 on opinions.

    Returns:
        The figure.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    figure, axes = _canvas(height=7.0)
    one, two, three, four, five = _COLUMNS

    _panel(axes, 5.45, 6.95, "Normalise: keep the fine detail")
    y = 5.85
    _box(axes, one, y, "picture")
    _box(axes, two, y, "grey")
    _box(axes, three, y, "low band:\nblurred")
    axes.text(four, y, "−", ha="center", va="center", fontsize=16, bbox=_CIRCLE)
    _box(axes, five, y, "normalised\n$\\hat{I}$")
    _join(axes, (one, two, three), y)
    _arrow(axes, (three + _HALF, y), (four - 0.18, y))
    _arrow(axes, (two, y + _HALF_HEIGHT), (two, y + 0.5), (four, y + 0.5), (four, y + 0.18))
    _arrow(axes, (four + 0.18, y), (five - _HALF, y))

    _panel(axes, 2.3, 5.3, "Step 1: learn error maps, which need no opinion")
    top, middle, bottom = 4.6, 3.65, 2.7
    _box(axes, one, top, "reference\n$\\hat{I}_r$")
    _box(axes, two, top, "error map\n$|\\hat{I}_r - \\hat{I}_d|^p$", _TARGET)
    _box(axes, one, middle, "distorted\n$\\hat{I}_d$")
    _box(axes, two, middle, "features\n$f$", _LEARNT)
    _box(axes, three, middle, "head\n$g$", _LEARNT)
    _box(axes, four, middle, "predicted\nerror map")
    _box(axes, five, middle, "weighted\nloss", _TARGET)
    _box(axes, two, bottom, "reliability\n$\\hat{r}$", _TARGET)
    _arrow(axes, (one + _HALF, top), (two - _HALF, top))
    _arrow(axes, (one + 0.3, middle + _HALF_HEIGHT), (two - 0.3, top - _HALF_HEIGHT))
    _arrow(axes, (one + 0.3, middle - _HALF_HEIGHT), (two - 0.3, bottom + _HALF_HEIGHT))
    _join(axes, _COLUMNS, middle)
    _arrow(axes, (two + _HALF, top), (five, top), (five, middle + _HALF_HEIGHT))
    _arrow(axes, (two + _HALF, bottom), (five, bottom), (five, middle - _HALF_HEIGHT))

    _panel(axes, 0.05, 2.15, "Step 2: learn the score that people gave")
    top, bottom = 1.4, 0.5
    _box(axes, one, top, "distorted\n$\\hat{I}_d$")
    _box(axes, two, top, "features\n$f$, kept", _LEARNT)
    _box(axes, three, top, "average of\neach map")
    _box(axes, four, top, "head\n$h$", _LEARNT)
    _box(axes, five, top, "predicted\nquality")
    _box(axes, one, bottom, "distorted\npicture")
    _box(axes, three, bottom, "$\\mu_r$ and\n$\\sigma_{low}$")
    _box(axes, five, bottom, "quality by\nopinion", _TARGET)
    _join(axes, _COLUMNS, top)
    _arrow(axes, (one, bottom + _HALF_HEIGHT), (one, top - _HALF_HEIGHT))
    _arrow(axes, (one + _HALF, bottom), (three - _HALF, bottom))
    _arrow(axes, (three + _HALF, bottom), (four, bottom), (four, top - _HALF_HEIGHT))
    _arrow(axes, (five, bottom + _HALF_HEIGHT), (five, top - _HALF_HEIGHT), style="<|-|>")
    axes.text(five - 0.08, (top + bottom) / 2, "loss", ha="right", va="center", fontsize=_LETTERS)
    return figure


def draw_architecture() -> Figure:
    """Draws the network: the eight convolutions of f, the head g and the head h.

    A block is as high as its maps are and as wide as they are many.

    Returns:
        The figure.

    References:
        Kim, Nguyen and Lee (2019), https://doi.org/10.1109/TNNLS.2018.2829819

    Chapter: notebooks/06-the-error-map-model.ipynb
    """
    figure, axes = _canvas(height=5.0)
    one, two, three, four, five = _COLUMNS

    _panel(axes, 2.5, 4.95, "Features $f$: eight 3 × 3 convolutions")
    _draw_convolutions(axes, base=2.95, height=1.25)

    _panel(axes, 1.35, 2.4, "Head $g$, step 1")
    y = 1.75
    _box(axes, one, y, "features\n128 maps", _LEARNT)
    second, third = (two + three) / 2, (four + five) / 2
    wide = three - two + 2 * _HALF
    _box(axes, second, y, "1 × 1 convolution\nlinear", _LEARNT, width=wide)
    _box(axes, third, y, "error map\nH/4 × W/4", width=wide)
    _arrow(axes, (one + _HALF, y), (second - wide / 2, y))
    _arrow(axes, (second + wide / 2, y), (third - wide / 2, y))

    _panel(axes, 0.05, 1.25, "Head $h$, step 2")
    y = 0.5
    _box(axes, one, y, "average:\n128")
    _box(axes, two, y, "with $\\mu_r$,\n$\\sigma_{low}$: 130")
    _box(axes, three, y, "dense 128\nReLU", _LEARNT)
    _box(axes, four, y, "dense 1\nlinear", _LEARNT)
    _box(axes, five, y, "quality")
    _join(axes, _COLUMNS, y)
    return figure


# --- The contact sheet's own parts, in inches -----------------------------------------------------

_STRIP_WIDTH, _SEAM = 3.1, 0.03
_STRIP_STARTS = (0, WIDTH - _STRIP_WIDTH)
_LINE, _HEADING = 0.25, 0.42


def _strip_format(
    strips: Mapping[str, Mapping[str, Sequence[np.ndarray]]],
) -> tuple[int, tuple[int, ...]]:
    """How many pictures every strip has, and the height and width of every picture."""
    all_strips = [pictures for kinds in strips.values() for pictures in kinds.values()]
    counts = {len(pictures) for pictures in all_strips}
    shapes = {picture.shape[:2] for pictures in all_strips for picture in pictures}
    if not shapes:
        raise ValueError("There is nothing to show.")
    if len(counts) > 1:
        raise ValueError(f"All strips have as many pictures, not {sorted(counts)}.")
    if len(shapes) > 1:
        raise ValueError(f"All pictures of a sheet have one size, not {sorted(shapes)}.")
    return counts.pop(), shapes.pop()


def _place_picture(
    axes: Axes, picture: np.ndarray, x: float, y: float, width: float, height: float
) -> None:
    """Draws a picture with its lower left corner at (x, y)."""
    white = 255 if picture.dtype == np.uint8 else 1
    area = (x, x + width, y, y + height)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=white, extent=area, aspect="auto")


# --- What the functions above share ---------------------------------------------------------------

_Bars = Literal["none", "one", "each"]
_BAR_OF_ALL: dict[str, Any] = {"aspect": 25, "shrink": 0.9, "pad": 0.02}
_BAR_OF_ONE: dict[str, Any] = {"orientation": "horizontal", "aspect": 18, "pad": 0.03}


def _as_list(images: Any) -> list[Any]:
    """A list or batch as a list; one picture, an array of rank 2 or 3, as a list of one."""
    if not isinstance(images, list | tuple):
        array = np.asarray(images)
        images = list(array) if array.ndim == 4 else [array]
    if not images:
        raise ValueError("There is nothing to show.")
    return list(images)


def _as_picture(image: Any, value_range: tuple[float, float] | None = None) -> np.ndarray:
    """A picture as (H, W) or (H, W, 3), after a check of its values."""
    picture = np.asarray(image)
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    if not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[-1] == 3)):
        raise ValueError(
            f"A picture has shape (H, W), (H, W, 1) or (H, W, 3), not {picture.shape}."
        )
    if picture.dtype == bool:
        picture = picture.astype(np.float32)
    if picture.dtype == np.uint8 or (value_range is not None and picture.ndim == 2):
        return picture
    if not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(
            f"A picture is uint8, or floating-point in 0..1, not {picture.dtype}; "
            "show other numbers with stretch() or with a value_range."
        )
    low, high = picture.min(), picture.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"A floating-point picture has values in 0..1, not {low:.3g}..{high:.3g}; "
            "show other values with stretch(), with show_maps() or with a value_range."
        )
    return picture


def _as_map(image_map: Any) -> np.ndarray:
    array = np.asarray(image_map)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise ValueError(f"A map has shape (H, W) or (H, W, 1), not {array.shape}.")
    return array.astype(np.float64)


def _range_of(arrays: Sequence[np.ndarray], symmetric: bool) -> tuple[float, float]:
    values = np.concatenate([array[np.isfinite(array)] for array in arrays])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    largest = max(-low, high)
    return (-largest, largest) if symmetric else (low, high)


def _grid(
    shapes: Sequence[tuple[int, ...]],
    titles: Sequence[str] | None,
    columns: int | None,
    bars: _Bars = "none",
) -> tuple[Figure, list[Axes]]:
    """Panels without axes for pictures of the given shapes, with titles above them."""
    count = len(shapes)
    if titles is not None and len(titles) != count:
        raise ValueError(f"There are {len(titles)} titles for {count} pictures.")
    if columns is None:
        columns = 2 if count == 4 else min(count, 3)
    if columns < 1:
        raise ValueError(f"columns must be one or more, not {columns}.")
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    beside = 0.6 if bars == "one" else 0.0
    below = 0.8 if bars == "each" else 0.0
    width = min((WIDTH - beside) / columns, MAX_PANEL_WIDTH)
    names = [] if titles is None else [_wrapped(title, width) for title in titles]
    lines = max((name.count("\n") + 1 for name in names), default=0)
    aspect = max(shape[0] / shape[1] for shape in shapes)
    size = (width * columns + beside, rows * (width * aspect + 0.22 * lines + below))
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for panel in grid.flat:
        panel.set_axis_off()
    panels = list(grid.flat)[:count]
    for panel, name in zip(panels, names, strict=False):
        panel.set_title(name)
    return figure, panels


def _wrapped(title: str, width: float) -> str:
    """The title in lines that fit `width` inches."""
    letter = 0.55 * plt.rcParams["font.size"] / 72
    return textwrap.fill(title, max(8, int(width / letter)), break_long_words=False)


def _draw_picture(panel: Axes, picture: np.ndarray, cmap: Any, limits: tuple[float, float]) -> Any:
    """Draws pixels as squares where there is room for them, and smooths where there is not."""
    pixels = panel.get_window_extent().width
    interpolation = "nearest" if pixels >= picture.shape[1] else "antialiased"
    low, high = limits
    return panel.imshow(picture, cmap=cmap, vmin=low, vmax=high, interpolation=interpolation)


def _one_plot(xlabel: str, ylabel: str, height: float = 3.8) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Figure, entries: int) -> None:
    """A legend below the plot, where it hides no data, to be read row by row."""
    columns = min(entries, 3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    by_column = [entry for column in range(columns) for entry in range(entries)[column::columns]]
    figure.legend(
        [handles[entry] for entry in by_column],
        [labels[entry] for entry in by_column],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )


def _tick_logarithms(axis: Any) -> None:
    """Writes 0.1, 1, 10 in full, with 2 and 5 between them where there is room."""
    low, high = axis.get_view_interval()
    if high / low < 1e3:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def _line_style(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINE_STYLES[number % len(LINE_STYLES)],
        "linewidth": 2,
    }


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Labels rows 0, 1, ... from the top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)


def _not_empty(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not values:
        raise ValueError(f"`{name}` is empty: there is nothing to show.")
    return values


def _check_lengths(one: str, first: np.ndarray, other: str, second: np.ndarray) -> None:
    if first.size != second.size:
        raise ValueError(f"{one} has {first.size} values, and {other} has {second.size}.")


# --- The drawings' own parts; one unit is an inch -------------------------------------------------

#: (filters, stride) of the convolutions of f; a test compares them with those of `models`.
_CONVOLUTIONS = ((48, 1), (48, 2), (64, 1), (64, 2), (64, 1), (64, 1), (128, 1), (128, 1))
_COLUMNS = (0.68, 1.94, 3.2, 4.46, 5.72)
_HALF, _HALF_HEIGHT = 0.5, 0.27
_LETTERS = 10.5
_DATA, _LEARNT, _TARGET = "#F2F2F2", "#CFE6F5", "#FBE3C0"
_CIRCLE = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": GREY}


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = plt.figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return figure, axes


def _panel(axes: Axes, bottom: float, top: float, title: str) -> None:
    shape = "round,pad=0,rounding_size=0.1"
    corner, width, height = (0.05, bottom), WIDTH - 0.1, top - bottom
    axes.add_patch(
        FancyBboxPatch(corner, width, height, boxstyle=shape, facecolor="white", edgecolor="0.75")
    )
    axes.text(0.18, top - 0.1, title, va="top", fontsize=11, fontweight="bold")


def _box(
    axes: Axes, x: float, y: float, text: str, colour: str = _DATA, width: float = 2 * _HALF
) -> None:
    edge = {_DATA: GREY, _LEARNT: BLUE, _TARGET: ORANGE}[colour]
    shape = "round,pad=0,rounding_size=0.06"
    corner = (x - width / 2, y - _HALF_HEIGHT)
    axes.add_patch(
        FancyBboxPatch(
            corner, width, 2 * _HALF_HEIGHT, boxstyle=shape, facecolor=colour, edgecolor=edge
        )
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=_LETTERS, linespacing=1.25)


def _arrow(axes: Axes, *points: tuple[float, float], style: str = "-|>") -> None:
    """An arrow along the points, its head at the last."""
    x, y = zip(*points[:-1], strict=True)
    axes.plot(x, y, color=GREY, linewidth=1.3)
    ends = {"arrowstyle": style, "color": GREY, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", points[-1], points[-2], arrowprops=ends)


def _join(axes: Axes, columns: Sequence[float], y: float) -> None:
    """Arrows from each box of a row to the next."""
    for left, right in pairwise(columns):
        _arrow(axes, (left + _HALF, y), (right - _HALF, y))


def _draw_convolutions(axes: Axes, base: float, height: float) -> None:
    """The input and the layers of f, each as high as its maps are and as wide as they are many."""
    gap, x, scale = 0.3, 0.3, 1
    edges: dict[int, list[float]] = {}
    for filters, stride in ((1, 1), *_CONVOLUTIONS):
        scale *= stride
        width, tall = max(filters / 180, 0.05), height / scale
        colour, edge = (_DATA, GREY) if filters == 1 else (_LEARNT, BLUE)
        axes.add_patch(Rectangle((x, base), width, tall, facecolor=colour, edgecolor=edge))
        strided = f"\nstride {stride}" if stride > 1 else ""
        label = "$\\hat{I}_d$" if filters == 1 else f"{filters}{strided}"
        axes.text(x + width / 2, base + tall + 0.05, label, ha="center", fontsize=_LETTERS)
        edges.setdefault(scale, []).extend((x, x + width))
        x += width + gap
    for scale, ends in edges.items():
        axes.plot([ends[0], ends[-1]], [base - 0.08] * 2, color=GREY, linewidth=1.3)
        size = "H × W" if scale == 1 else f"H/{scale} × W/{scale}"
        middle = (ends[0] + ends[-1]) / 2
        axes.text(middle, base - 0.14, size, ha="center", va="top", fontsize=_LETTERS)
