"""Pictures as HTML that needs no other file: rows of them, strips, colour bars and sliders.

The styles stand within the elements, because Colab and Jupyter have no style sheet of ours.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, Normalize, to_hex
from PIL import Image

#: Pixels of a page: the widest that a picture gets beside others and alone, the least that it gets
#: (on a telephone two, and never three, stand side by side), and the space between pictures.
WIDEST, WIDEST_ALONE, LEAST, GAP = 350, 720, 120, 12

#: Pixels of a picture that a page can show: twice the widest, for sharp screens.
LARGEST = 2 * WIDEST_ALONE

#: Pixels of a picture up to which they are shown as squares.
FEW_PIXELS = 128

#: Shows the gallery at the place that the slider stands at.
ON_INPUT = (
    "const all = this.closest('.picture-slider').querySelectorAll('[data-value]'); "
    "all.forEach((one, place) => { "
    "one.style.visibility = place == this.value ? 'visible' : 'hidden'; }); "
    "const value = all[this.value].dataset.value; "
    "this.setAttribute('aria-valuetext', value); "
    "this.previousElementSibling.textContent = value;"
)


def rows(
    pictures: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    bars: Sequence[str] = (),
    noun: str = "picture",
) -> tuple[str, tuple[str, ...]]:
    """Returns pictures in rows as HTML, and what each is called.

    Args:
        pictures: Pictures (H, W) or (H, W, 3), uint8.
        titles: Title of each, to stand above it.
        columns: Pictures in a row where there is room; at most three if None.
        bars: A colour bar for each picture, or one for all.
        noun: What the pictures are called, with a number, if they have no titles.

    Raises:
        ValueError: If titles are not one each.
    """
    count = len(pictures)
    if titles is not None and len(titles) != count:
        raise ValueError(f"There are {len(titles)} titles for {count} pictures.")
    names = tuple(titles or (f"{noun} {number}" for number in range(1, count + 1)))
    columns = min(columns or (2 if count == 4 else 3), count)
    natural = max(picture.shape[1] for picture in pictures)
    if natural <= FEW_PIXELS:  # a whole number of the page's pixels for each
        width = natural * -(-160 // natural)
    else:
        scaled = natural if columns > 2 else round(1.5 * natural)
        width = min(max(scaled, 160), WIDEST if count > 1 else WIDEST_ALONE)
    # Titles stand on one line, and so do pictures of one shape.
    alike = len({picture.shape[:2] for picture in pictures}) == 1
    html = [f'<div style="{grid(columns, width)}; align-items: {"end" if alike else "start"}">']
    below = bars if len(bars) == count else [""] * count
    for picture, name, bar in zip(pictures, names, below, strict=True):
        above = "" if titles is None else title(name)
        html.append(f'<figure style="margin: 0">{above}{image(picture, name)}{bar}</figure>')
    if len(bars) != count:
        html += [f'<div style="grid-column: 1 / -1">{bar}</div>' for bar in bars]
    return "\n".join([*html, "</div>"]), names


def sheet(families: Mapping[str, Mapping[str, Sequence[np.ndarray]]], labels: Sequence[str]) -> str:
    """Returns a strip of pictures for each kind of each family; the labels name them in a strip."""
    first = next(strip for kinds in families.values() for strip in kinds.values())
    width = min(len(first) * (first[0].shape[1] + 2) - 2, WIDEST)
    strips = grid(2, width, f"min(100%, {width}px)")
    pictures = f"display: grid; gap: 2px; grid-template-columns: repeat({len(first)}, 1fr)"
    html = [f"<div>From left to right: {escape(', '.join(labels))}.</div>"]
    for family, kinds in families.items():
        html.append(f"<div><strong>{escape(family)}</strong></div>")
        html.append(f'<div style="{strips}">')
        for kind, strip in kinds.items():
            html.append(f'<figure style="margin: 0">{title(kind)}<div style="{pictures}">')
            for picture, name in zip(strip, labels, strict=True):
                html.append(image(picture, f"{kind}, {name}"))
            html.append("</div></figure>")
        html.append("</div>")
    return "\n".join(html)


def slider(galleries: Mapping[str, str], label: str) -> str:
    """Returns galleries one upon the other, and a slider that shows one of them."""
    values = [escape(value) for value in galleries]
    middle = len(values) // 2
    html = [
        '<div class="picture-slider">',
        "<style>@media print, (scripting: none) { .picture-slider input { display: none }}</style>",
        '<label style="display: flex; flex-wrap: wrap; gap: 0.5em; margin-bottom: 0.5em">',
        f"<span>{escape(label)}:</span><strong>{values[middle]}</strong>",
        f'<input type="range" min="0" max="{len(values) - 1}" value="{middle}"',
        f'aria-label="{escape(label)}" aria-valuetext="{values[middle]}" autocomplete="off"',
        f'style="flex: 1 1 10em; max-width: 24em" oninput="{ON_INPUT}">',
        '</label><div style="display: grid">',
    ]
    for place, gallery in enumerate(galleries.values()):
        visibility = "visible" if place == middle else "hidden"
        style = f"grid-area: 1 / 1; min-width: 0; visibility: {visibility}"
        html.append(f'<div data-value="{values[place]}" style="{style}">{gallery}</div>')
    return "\n".join([*html, "</div></div>"])


def reduced(picture: np.ndarray) -> np.ndarray:
    """Returns a picture at a size that a page can show."""
    if max(picture.shape[:2]) <= LARGEST:
        return picture
    reduced = Image.fromarray(picture)
    reduced.thumbnail((LARGEST, LARGEST))
    return np.asarray(reduced)


def colour_map(name: str) -> Colormap:
    """Returns Matplotlib's colours of that name, with grey for NaN."""
    return matplotlib.colormaps.get_cmap(name).with_extremes(bad="0.8")


def paint(values: np.ndarray, ends: tuple[float, float], colours: Colormap) -> np.ndarray:
    """Returns a map (H, W) as a picture (H, W, 3)."""
    return colours(Normalize(*ends)(np.ma.masked_invalid(values)), bytes=True)[..., :3]


def colour_bar(ends: tuple[float, float], colours: Colormap, label: str) -> str:
    """Returns a colour bar, with the values at its ends and in the middle."""
    stops = ", ".join(to_hex(colours(place)) for place in np.linspace(0, 1, 17))
    # Three digits of the range, so that what is next to nothing is zero.
    digits = 2 - int(np.floor(np.log10((ends[1] - ends[0]) or abs(ends[1]) or 1)))
    values = np.round(np.linspace(*ends, 3), digits) + 0.0  # no negative zero
    low, middle, high = (f"{value:g}".replace("-", "−") for value in values)
    meaning = escape(f"{label or 'Colours'}: from {low} to {high}")
    return (
        f'<div role="img" aria-label="{meaning}" style="font-size: 0.85em; margin-top: 0.3em">'
        f'<div style="background: linear-gradient(to right, {stops}); height: 0.8em; '
        'print-color-adjust: exact; -webkit-print-color-adjust: exact"></div>'
        '<div style="display: flex; justify-content: space-between">'
        f"<span>{low}</span><span>{middle}</span><span>{high}</span></div>{escape(label)}</div>"
    )


def grid(columns: int, width: int, least: str = f"{LEAST}px") -> str:
    """Returns the style of a grid of columns of that width, fewer where there is no room."""
    gaps = GAP * (columns - 1) + 1  # the one is for rounding
    share = f"(100% - {gaps}px) / {columns}"
    return (
        f"display: grid; gap: {GAP}px; margin-bottom: {GAP}px; "
        f"max-width: {columns * width + gaps}px; "
        f"grid-template-columns: repeat(auto-fill, minmax(max({least}, {share}), 1fr))"
    )


def title(text: str) -> str:
    """Returns a title above a picture; not read out, for it is the picture's name too."""
    style = "font-size: 0.9em; line-height: 1.3; text-align: left; white-space: pre-line"
    return f'<figcaption aria-hidden="true" style="{style}">{escape(text)}</figcaption>'


def image(picture: np.ndarray, name: str) -> str:
    """Returns a picture as lossless WebP."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True, quality=50, method=2)
    data = base64.b64encode(file.getvalue()).decode()
    height, width = picture.shape[:2]
    pixels = "; image-rendering: pixelated" if width <= FEW_PIXELS else ""
    return (
        f'<img alt="{escape(name)}" width="{width}" height="{height}" loading="lazy" '
        f'style="display: block; width: 100%; height: auto{pixels}" '
        f'src="data:image/webp;base64,{data}">'
    )
