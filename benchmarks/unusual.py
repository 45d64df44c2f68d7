"""How often the packaged predictor calls a picture unusual: photographs, and what is none.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.unusual

`FOLDER/biq2021` holds BIQ2021 or a part of it, `FOLDER/pristine` pictures without visible faults.
The 500 calibration pictures of BIQ2021 set the limits, which are written into the predictor's card.
What is flagged is counted on pictures that had no part in that: the 500 validation pictures, the
4,500 from which the predictor learnt, the pristine ones, enlarged pieces of the first fifty
validation pictures, and pictures made here.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw
from tqdm.auto import tqdm

from benchmarks import real_data, results
from diqa_utils import datasets
from diqa_utils._internal.tensorflow import compiled
from diqa_utils.extended import unusualness, usual_limits
from diqa_utils.image_statistics import image_statistics
from diqa_utils.inference import CARD, DEFAULT_NAME, PACKAGED, load_pretrained
from diqa_utils.ratings.pretraining import pristine_pictures
from diqa_utils.ratings.runs import USUAL_SHARE, deal_out

KERNELS = ("nearest", "bilinear", "bicubic", "lanczos")
FACTORS = (2, 3, 4)
ENLARGED = 50
MADE = 40
SIZE = (512, 384)


def measured(pictures: Iterator[np.ndarray] | list[np.ndarray]) -> np.ndarray:
    """The unusualness of pictures, (n, 2)."""
    return np.stack([_measure()(tf.constant(picture))[0].numpy() for picture in pictures])


@cache
def _measure() -> Any:
    model = load_pretrained().score_model
    return compiled(lambda picture: unusualness(model, image_statistics(picture[None])))


def enlarged(picture: np.ndarray, kernel: str, factor: int) -> np.ndarray:
    """The middle of a picture, 256 pixels a side, enlarged."""
    image = Image.fromarray(picture)
    left, top = (max(0, (side - 256) // 2) for side in image.size)
    piece = image.crop((left, top, left + 256, top + 256))
    sizes = piece.width * factor, piece.height * factor
    return np.asarray(piece.resize(sizes, Image.Resampling[kernel.upper()]))


def made(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A picture that nobody took."""
    colours = [tuple(map(int, colour)) for colour in rng.integers(0, 256, (20, 3))]
    image = Image.new("RGB", SIZE, colours[0] if kind in ("flat", "shapes") else "white")
    draw = ImageDraw.Draw(image)
    for number in range(20):
        (left, right), (top, bottom) = (np.sort(rng.integers(0, side, 2)) for side in SIZE)
        box = [int(left), int(top), int(right), int(bottom)]
        if kind == "line drawing":
            draw.line(box, fill="black", width=int(rng.integers(1, 5)))
        elif kind == "shapes":
            draw.ellipse(box, fill=colours[number], outline="black")
        elif kind == "text":
            words = " ".join(rng.choice(["the", "quick", "brown", "fox", "jumps", "over"], 14))
            draw.text((10, 10 + 18 * number), words, fill="black")
    if kind == "gradient":
        ends = rng.integers(0, 256, (2, 3))
        return np.linspace(*ends, SIZE[0], axis=0).astype(np.uint8)[None].repeat(SIZE[1], axis=0)
    return np.asarray(image)


def counts(biq2021: Path, pristine: Path) -> dict[str, object]:
    """Sets the limits; returns them and the share of each kind that is flagged."""
    settings = {"split": "train", "manual_dir": biq2021, "partial": True}
    dealt = deal_out(datasets.read_table("biq2021", **settings))
    part_of = {name: part for part, names in dealt.items() for name in names.tolist()}
    rows: dict[str, list[np.ndarray]] = {part: [] for part in dealt}
    first: list[np.ndarray] = []
    for example in tqdm(datasets.load("biq2021", **settings).as_numpy_iterator(), leave=False):
        part = part_of[example["image_id"].decode()]
        rows[part].append(measured([example["distorted_image"]])[0])
        if part == "validation" and len(first) < ENLARGED:
            first.append(example["distorted_image"])
    limits = usual_limits(np.stack(rows["calibration"]), USUAL_SHARE)

    def beyond(rows: Any) -> float:
        return float((np.asarray(rows) > limits).any(axis=-1).mean())

    def flagged(pictures: Iterator[np.ndarray] | list[np.ndarray]) -> float:
        return beyond(measured(pictures))

    rng = np.random.default_rng(1)
    return {
        "share": USUAL_SHARE,
        "limits": limits,
        "photographs": {
            "validation": beyond(rows["validation"]),
            "training": beyond(rows["train"]),
            "pristine": flagged(pristine_pictures(pristine)),
        },
        "enlarged": {
            kernel: {
                f"by {factor}": flagged(enlarged(picture, kernel, factor) for picture in first)
                for factor in FACTORS
            }
            for kernel in KERNELS
        },
        "made": {
            kind: flagged(made(kind, rng) for _ in range(MADE))
            for kind in ("flat", "gradient", "line drawing", "shapes", "text")
        },
    }


if __name__ == "__main__":
    data = real_data.needed()
    found = counts(data / "biq2021", data / "pristine")
    results.write("unusual", found)
    card = PACKAGED / DEFAULT_NAME / CARD
    kept = json.loads(card.read_text(encoding="utf-8"))
    kept["usual"] = {name: found[name] for name in ("share", "limits")}
    text = json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    card.write_text(text, encoding="utf-8")
