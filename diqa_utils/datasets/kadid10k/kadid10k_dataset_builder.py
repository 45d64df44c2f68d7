"""KADID-10k: 81 references, 25 distortions at 5 levels."""

import math
import re

from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.kadid10k import DATABASE
from diqa_utils.datasets.rows import Row, to_number
from diqa_utils.datasets.tables import csv_rows

DISTORTIONS = (
    *("gaussian_blur", "lens_blur", "motion_blur"),
    *("color_diffusion", "color_shift", "color_quantization"),
    *("color_saturation_1", "color_saturation_2"),
    *("jpeg2000", "jpeg"),
    *("white_noise", "color_component_noise", "impulse_noise", "multiplicative_noise", "denoising"),
    *("brighten", "darken", "mean_shift"),
    *("jitter", "non_eccentricity_patch", "pixelate", "quantization", "color_block"),
    *("high_sharpen", "contrast_change"),
)

NAME = re.compile(r"i(\d\d)_(\d\d)_(\d\d)\.png", re.IGNORECASE)


class Builder(IqaBuilder):
    """TFDS builder of KADID-10k from its official release."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = DATABASE.instructions

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads dmos.csv. Its column `dmos` is a MOS, and `var` the variance of the ratings."""
        columns = ("dist_img", "ref_img", "dmos", "var")
        table = csv_rows(files.read("dmos.csv"), name="dmos.csv", columns=columns)
        return [_row(place, cells) for place, cells in table]


def _row(place: str, cells: dict[str, str]) -> Row:
    match = NAME.fullmatch(cells["dist_img"])
    if match is None or not 1 <= int(match[2]) <= len(DISTORTIONS):
        raise ValueError(f"{place}: {cells['dist_img']!r} is no name such as I01_02_03.png.")
    variance = to_number(cells["var"], place=place, column="var")
    if variance < 0:
        raise ValueError(f"{place}: var is {variance:g}, and a variance is never negative.")
    return Row(
        place=place,
        distorted=f"images/{cells['dist_img']}",
        reference=f"images/{cells['ref_img']}",
        image_id=cells["dist_img"].rsplit(".", maxsplit=1)[0],
        reference_id=cells["ref_img"].rsplit(".", maxsplit=1)[0],
        distortion=DISTORTIONS[int(match[2]) - 1],
        level=int(match[3]),
        score=to_number(cells["dmos"], place=place, column="dmos"),
        score_std=math.sqrt(variance),
    )
