"""How often the packaged predictor calls a picture unusual: photographs, and what is none.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.unusual

`FOLDER/biq2021` holds BIQ2021 or a part of it, whose 500 calibration pictures have set the limits
on the predictor's card. What is flagged is counted on pictures that had no part in that: the 500
validation pictures, the 4,500 from which the predictor learnt, pieces of the first fifty validation
pictures enlarged by four, and pictures made here. Statistics are prepared once, in the library's
cache folder.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from benchmarks import real_data, results
from diqa_utils._internal.files import cache_folder
from diqa_utils._internal.tensorflow import compiled
from diqa_utils.extended import unusualness
from diqa_utils.image_statistics import image_statistics
from diqa_utils.inference import load_pretrained
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.runs import deal_out, prepared_pictures

KERNELS = ("nearest", "bicubic")
FACTOR = 4
ENLARGED = 50
MADE = 40
SIZE = (512, 384)


def measured(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """The unusualness of pictures, (n, 2)."""
    return np.stack([_measure()(tf.constant(picture))[0].numpy() for picture in pictures])


@cache
def _measure() -> Any:
    model = load_pretrained().score_model
    return compiled(lambda picture: unusualness(model, image_statistics(picture[None])))


def enlarged(picture: np.ndarray, kernel: str) -> np.ndarray:
    """The middle of a picture, 256 pixels a side, enlarged."""
    image = Image.fromarray(picture)
    left, top = (max(0, (side - 256) // 2) for side in image.size)
    piece = image.crop((left, top, left + 256, top + 256))
    sizes = piece.width * FACTOR, piece.height * FACTOR
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


def counts(part: DatabasePart) -> dict[str, object]:
    """The limits, and the share of each kind that is flagged."""
    usual = load_pretrained().card["usual"]
    dealt = {name: ids.tolist() for name, ids in deal_out(part.table()).items()}
    place = cache_folder() / "benchmarks" / "human_ratings" / "pictures"
    pictures = prepared_pictures(RatingsRecipe(), part, place)
    few = {name.encode() for name in dealt["validation"][:ENLARGED]}
    examples = part.load().as_numpy_iterator()
    pieces = [row["distorted_image"] for row in examples if row["image_id"] in few]

    def beyond(measured: Any) -> float:
        return float((np.asarray(measured) > usual["limits"]).any(axis=-1).mean())

    def beyond_of(name: str) -> float:
        statistics = pictures.extras[pictures.rows_of(dealt[name])]
        return beyond(unusualness(load_pretrained().score_model, statistics))

    def flagged(pictures: Iterable[np.ndarray]) -> float:
        return beyond(measured(pictures))

    rng = np.random.default_rng(1)
    return {
        **usual,
        "photographs": {
            "validation": beyond_of("validation"),
            "training": beyond_of("train"),
        },
        "enlarged": {
            kernel: flagged(enlarged(picture, kernel) for picture in pieces) for kernel in KERNELS
        },
        "made": {
            kind: flagged(made(kind, rng) for _ in range(MADE))
            for kind in ("flat", "gradient", "line drawing", "shapes", "text")
        },
    }


if __name__ == "__main__":
    folder = str(real_data.needed() / "biq2021")
    part = DatabasePart("biq2021", "train", manual_dir=folder, partial=True)
    results.write("unusual", counts(part))
