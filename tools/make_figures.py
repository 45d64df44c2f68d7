"""Draws the figures of the pages, and the picture of README.

    python tools/make_figures.py            # book/_figures, which git ignores
    python tools/make_figures.py --readme   # book/_static/readme.png, which git holds

The build of the book runs this whenever the figures may be out of date. Charts are files of SVG;
galleries are files of HTML, which the pages include with the directive `gallery`.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from diqa_utils import notebook  # noqa: E402

notebook.setup(seed=0)  # before TensorFlow is imported, which is quiet then

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from PIL import Image  # noqa: E402

from benchmarks import original_faults as faults  # noqa: E402
from diqa_utils import maps, plotting, preprocessing  # noqa: E402
from diqa_utils.datasets.catalog import CATALOG  # noqa: E402
from diqa_utils.distortions import distort  # noqa: E402
from diqa_utils.plotting import Gallery  # noqa: E402

PAGE_FIGURES = ROOT / "book" / "_figures"
README_PICTURE = ROOT / "book" / "_static" / "readme.png"
WAYS = {"tutorial": False, "this book": True}


def show_impulse() -> Gallery:
    """Shows the low band of one bright pixel, by both ways; a grey cross is where the pixel was."""
    enlarged = [np.kron(impulse_response(ours=ours), np.ones((10, 10))) for ours in WAYS.values()]
    for image_map in enlarged:
        image_map[84:86, 78:92] = image_map[78:92, 84:86] = np.nan
    return plotting.show_maps(
        enlarged,
        list(WAYS),
        shared_range=False,  # the tutorial's is the sharper: seen by one scale, ours is dark
        label="grey levels",
    )


def impulse_response(*, ours: bool) -> np.ndarray:
    """Returns the low band (17, 17) around one bright pixel.

    The mean over the 16 places that a pixel can have on the coarse grid.
    """
    total = np.zeros((17, 17))
    for row, column in np.ndindex(4, 4):
        gray = np.zeros((96, 96))
        gray[48 + row, 48 + column] = 255
        low = faults.low_band(gray, ours=ours)
        total += low[40 + row : 57 + row, 40 + column : 57 + column]
    return total / 16


def show_relief() -> Gallery:
    """Shows a detail of a normalised photograph by both ways."""
    photograph = faults.photographs()["coins"]
    gray = faults.gray_levels(photograph)
    detail = (slice(98, 166), slice(22, 128))
    pictures = [photograph[detail]]
    for ours in WAYS.values():
        normalized = gray - faults.low_band(gray, ours=ours)
        pictures.append(np.clip(0.5 + normalized[detail] / 160, 0, 1))
    return plotting.show_images(pictures, ["photograph", *WAYS])


def draw_aliasing() -> Figure:
    """Draws stripes that the low band should not hold, and what it holds."""
    across = slice(160, 221)
    lines = {"stripes, period 5": faults.stripes()[48, across]}
    for name, ours in WAYS.items():
        lines[f"low band, {name}"] = faults.low_band(faults.stripes(), ours=ours)[48, across]
    return plotting.show_lines(np.arange(61), lines, xlabel="pixel", ylabel="grey level")


def show_halo() -> Gallery:
    """Shows a flat grey image after normalisation by both ways."""
    flat = np.full((72, 96), 128.0)
    normalized = [flat - faults.low_band(flat, ours=ours) for ours in WAYS.values()]
    return plotting.show_maps(normalized, list(WAYS), symmetric=True, label="grey levels")


def draw_opinions() -> Figure:
    """Draws how people's opinions are spread in each database whose scores were counted."""
    results = notebook.results("score_distributions")
    figure, panels = plt.subplots(
        len(results), 1, figsize=(6.4, 5.4), sharex=True, layout="constrained"
    )
    for panel, (name, row), colour in zip(panels, results.items(), plotting.COLOURS, strict=False):
        edges = np.linspace(0, 1, len(row["counts"]) + 1)
        panel.stairs(row["counts"], edges, fill=True, color=colour)
        panel.axvline(row["quartiles"][1], color=plotting.BLACK)
        panel.set_title(f"{CATALOG[name].title}: {row['pictures']:,} pictures", loc="left")
        panel.set_yticks([])
        panel.spines["left"].set_visible(False)
    panels[-1].set_xlabel("quality")
    return figure


FIGURES: dict[str, Callable[[], Figure | Gallery]] = {
    "pipeline.svg": plotting.draw_pipeline,
    "original-impulse.html": show_impulse,
    "original-relief.html": show_relief,
    "original-aliasing.svg": draw_aliasing,
    "original-halo.html": show_halo,
    "opinions.svg": draw_opinions,
}


def draw_readme() -> Figure:
    """Draws one picture's way: distorted, normalised, and the two maps made from it."""
    reference = faults.photographs()["coffee"]
    distorted = distort(reference, "jpeg", 4)
    normalized = preprocessing.normalize(distorted)
    errors = maps.downscale(maps.error_map(preprocessing.normalize(reference), normalized))
    reliability = maps.downscale(maps.reliability_map(normalized))

    figure, panels = plt.subplots(1, 4, figsize=(10, 1.95), layout="constrained")
    panels[0].imshow(distorted)
    panels[1].imshow(np.squeeze(normalized), cmap="gray", vmin=-0.25, vmax=0.25)
    panels[2].imshow(np.squeeze(errors), cmap="magma")
    panels[3].imshow(np.squeeze(reliability), cmap="viridis")
    titles = ("distorted picture", "what the network sees", "error map", "reliability map")
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title)
        panel.set_axis_off()
    return figure


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readme", action="store_true", help="draw README's picture instead")
    if parser.parse_args().readme:
        draw_readme().savefig(README_PICTURE, dpi=100)
        # 256 colours are enough for it, and make it small.
        picture = Image.open(README_PICTURE).convert("RGB")
        picture.quantize(256).save(README_PICTURE, optimize=True)
    else:
        PAGE_FIGURES.mkdir(exist_ok=True)
        for name, draw in FIGURES.items():
            figure = draw()
            if isinstance(figure, Gallery):
                (PAGE_FIGURES / name).write_text(figure._repr_html_(), encoding="utf-8")
            else:
                figure.savefig(PAGE_FIGURES / name, metadata={"Date": None})
