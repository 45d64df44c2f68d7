"""TID2013: 25 references, one of them synthetic, 24 distortions at 5 levels."""

import re

from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.rows import Row, to_number
from diqa_utils.datasets.tid2013 import DATABASE

#: The types of TID2013 in their order; the first 17 are those of TID2008.
DISTORTIONS = (
    *("white_noise", "color_component_noise", "spatially_correlated_noise", "masked_noise"),
    *("high_frequency_noise", "impulse_noise", "quantization_noise", "gaussian_blur", "denoising"),
    *("jpeg", "jpeg2000", "jpeg_transmission_errors", "jpeg2000_transmission_errors"),
    *("non_eccentricity_pattern_noise", "block_wise_distortions", "mean_shift", "contrast_change"),
    *("color_saturation_change", "multiplicative_noise", "comfort_noise", "noisy_compression"),
    *("color_quantization_with_dither", "chromatic_aberrations", "sparse_sampling"),
)

#: The one reference that is no photograph.
SYNTHETIC = 25

NAME = re.compile(r"i(\d\d)_(\d\d)_(\d)\.bmp", re.IGNORECASE)


class TidBuilder(IqaBuilder):
    """What TID2008 and TID2013 share: names such as i01_02_3.bmp, and two score files."""

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the score files of the official release."""
        scores = _lines(files, "mos_with_names.txt")
        spreads = _lines(files, "mos_std.txt")
        if len(scores) != len(spreads):
            raise ValueError(
                f"mos_with_names.txt has {len(scores):,} rows and mos_std.txt has {len(spreads):,}:"
                " one of them is not whole. Fetch the database again."
            )
        return [self._row(*score, *spread) for score, spread in zip(scores, spreads, strict=True)]

    def _row(self, place: str, line: str, spread_place: str, spread: str) -> Row:
        """Makes the row of a picture, whose name says all but its score."""
        score, _, name = line.partition(" ")
        match = NAME.fullmatch(name.strip())
        if match is None:
            raise ValueError(
                f"{place} is {line!r}, and should be a score and a name such as i01_02_3.bmp."
            )
        reference, distortion, level = map(int, match.groups())
        if not 1 <= distortion <= self.database.distortions:
            raise ValueError(
                f"{place}: {match[0]!r} has distortion {distortion}, and there are only "
                f"{self.database.distortions}."
            )
        return Row(
            place=place,
            distorted=f"distorted_images/{match[0]}",
            reference=f"reference_images/I{reference:02}.bmp",
            image_id=match[0].lower().removesuffix(".bmp"),
            reference_id=f"I{reference:02}",
            distortion=DISTORTIONS[distortion - 1],
            level=level,
            score=to_number(score, place=place, column="the score"),
            score_std=to_number(spread, place=spread_place, column="the standard deviation"),
            flagged=self.database.flag is not None and reference == SYNTHETIC,
        )


class Builder(TidBuilder):
    """TFDS builder of TID2013 from its official release."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = DATABASE.instructions


def _lines(files: DatabaseFiles, name: str) -> list[tuple[str, str]]:
    """The place and the text of every line that holds something."""
    lines = files.read(name).decode("ascii", errors="replace").splitlines()
    return [
        (f"line {number} of {name!r}", line.strip())
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
