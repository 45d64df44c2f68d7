"""The sample database: photographs that come inside well-known packages, distorted as in LIVE."""

import itertools
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import skimage.data
import sklearn.datasets
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from diqa_utils.datasets.splits import split_by_reference
from diqa_utils.distortions import LEVELS, distort
from diqa_utils.preprocessing import to_gray

#: Side of the square pieces that photographs are cut into, in pixels.
SIDE = 192

#: At most so many rows and columns of pieces are cut from one photograph.
ROWS, COLUMNS = 2, 3

#: The five types of LIVE. The library knows more, and this database stays as it is.
DISTORTIONS = ("jpeg2000", "jpeg", "white_noise", "gaussian_blur", "fast_fading")

#: How many photographs train, validate and test.
PARTS = (6, 2, 2)


def _grace_hopper() -> np.ndarray:
    with Image.open(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")) as image:
        return np.asarray(image)


#: The photographs by name; each call returns uint8 (H, W) or (H, W, 3) of its own size.
PHOTOGRAPHS: dict[str, Callable[[], np.ndarray]] = {
    "astronaut": skimage.data.astronaut,
    "camera": skimage.data.camera,
    "chelsea": skimage.data.chelsea,
    "china": lambda: sklearn.datasets.load_sample_image("china.jpg"),
    "coffee": skimage.data.coffee,
    "coins": skimage.data.coins,
    "flower": lambda: sklearn.datasets.load_sample_image("flower.jpg"),
    "grace_hopper": _grace_hopper,
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "rocket": skimage.data.rocket,
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of `sample_iqa`: 46 pieces of 10 photographs x 5 distortions x 5 levels."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - TFDS reads it from the class

    def _info(self) -> tfds.core.DatasetInfo:
        shape = (SIDE, SIDE, 3)
        image = tfds.features.Image(shape=shape, encoding_format="png")
        schema = {
            "distorted_image": image,
            "reference_image": image,
            "image_id": tfds.features.Text(),
            "reference_id": tfds.features.Text(),
            "scene": tfds.features.Text(),
            "distortion": tfds.features.Text(),
            "level": np.int32,
            "pseudo_dmos": np.float32,
            "quality": np.float32,
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(schema),
            supervised_keys=("distorted_image", "quality"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        # By photograph: two pieces of one scene are as good as one reference in both parts.
        parts = split_by_reference(PHOTOGRAPHS, PARTS, seed=0)
        names = ("train", "validation", "test")
        return {
            name: self._generate_examples(part) for name, part in zip(names, parts, strict=True)
        }

    def _generate_examples(self, scenes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        examples = (
            example
            for scene in scenes
            for number, piece in enumerate(cut_pieces(PHOTOGRAPHS[scene]()))
            for example in distort_piece(piece, scene, number)
        )
        yield from enumerate(examples)


def cut_pieces(photograph: np.ndarray) -> list[np.ndarray]:
    """Cuts square pieces that do not overlap from the middle of a photograph.

    Args:
        photograph: uint8 (H, W) or (H, W, 3), at least 192 pixels a side.

    Returns:
        Up to six uint8 arrays (192, 192, 3), row by row.
    """
    image = np.asarray(Image.fromarray(photograph).convert("RGB"))
    height, width, _ = image.shape
    rows, columns = min(height // SIDE, ROWS), min(width // SIDE, COLUMNS)
    top, left = (height - rows * SIDE) // 2, (width - columns * SIDE) // 2
    return [
        image[row : row + SIDE, column : column + SIDE]
        for row in range(top, top + rows * SIDE, SIDE)
        for column in range(left, left + columns * SIDE, SIDE)
    ]


def distort_piece(
    piece: np.ndarray,
    scene: str,
    number: int,
) -> Iterator[dict[str, Any]]:
    """Yields the examples of one reference: every distortion at every level."""
    reference_id = f"{scene}-{number}"
    kinds = list(itertools.product(DISTORTIONS, LEVELS))
    distorted = []
    for distortion, level in kinds:
        # One seed for all levels: the same pattern, growing stronger.
        seed = zlib.crc32(f"{reference_id}-{distortion}".encode())
        distorted.append(distort(piece, distortion, level, seed=seed))
    scores = pseudo_dmos(piece, np.stack(distorted))
    for kind, image, score in zip(kinds, distorted, scores, strict=True):
        distortion, level = kind
        yield {
            "distorted_image": image,
            "reference_image": piece,
            "image_id": f"{reference_id}-{distortion}-{level}",
            "reference_id": reference_id,
            "scene": scene,
            "distortion": distortion,
            "level": level,
            "pseudo_dmos": score,
            "quality": 1 - score / 100,
        }


def pseudo_dmos(reference: np.ndarray, distorted: np.ndarray) -> list[float]:
    """Returns the stand-in for human scores: 100 sqrt(1 - MS-SSIM) of the grey images.

    0 means no difference, 100 nothing in common; like DMOS, lower is better. Nobody rated these
    images.

    Args:
        reference: uint8 (H, W, 3), at least 176 pixels a side, which MS-SSIM's five scales need.
        distorted: uint8 (N, H, W, 3).

    Returns:
        One score per distorted image, rounded to four decimals.

    References:
        Wang, Simoncelli, Bovik (2003), https://doi.org/10.1109/ACSSC.2003.1292216
    """
    similarity = _ms_ssim(to_gray(reference)[tf.newaxis], to_gray(distorted)).numpy()
    return [round(100 * float(np.sqrt(max(0.0, 1 - value))), 4) for value in similarity]


@tf.function
def _ms_ssim(reference: tf.Tensor, distorted: tf.Tensor) -> tf.Tensor:
    return tf.image.ssim_multiscale(reference, distorted, max_val=1.0)
