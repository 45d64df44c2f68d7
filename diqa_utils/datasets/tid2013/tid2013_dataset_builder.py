"""TID2013: 25 references, one of them synthetic, 24 distortions at 5 levels."""

import re

from diqa_utils.datasets.builder import IqaBuilder, instructions
from diqa_utils.datasets.files import DatabaseFiles, check_archive
from diqa_utils.datasets.rows import Row, csv_rows, to_number

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

#: The archive of the tutorial that this project descends from; its server is gone.
MIRROR_SIZE = 1_218_939_259
MIRROR_SHA256 = "824177499a083a880fad9df2d90e7483cbb4ad3cf711dea03bfcda2a75db68b4"
MIRROR_TABLE = "tid2013/mos.csv"


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
        rows = []
        for (place, line), (spread_place, spread) in zip(scores, spreads, strict=True):
            score, _, name = line.partition(" ")
            if not name:
                raise ValueError(f"{place} is {line!r}, and should be a score and a name.")
            rows.append(
                self.row(
                    place,
                    name.strip(),
                    to_number(score, place=place, column="the score"),
                    to_number(spread, place=spread_place, column="the standard deviation"),
                )
            )
        return rows

    def row(self, place: str, name: str, score: float, score_std: float | None) -> Row:
        """Makes the row of a picture, whose name says all but its score."""
        match = NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"{place}: {name!r} is no name such as i01_02_3.bmp.")
        reference, distortion, level = map(int, match.groups())
        if not 1 <= distortion <= self.database.distortions:
            raise ValueError(
                f"{place}: {name!r} has distortion {distortion}, and there are only "
                f"{self.database.distortions}."
            )
        return Row(
            place=place,
            distorted=f"distorted_images/{name}",
            reference=f"reference_images/I{reference:02}.bmp",
            image_id=name.lower().removesuffix(".bmp"),
            reference_id=f"I{reference:02}",
            distortion=DISTORTIONS[distortion - 1],
            level=level,
            score=score,
            score_std=score_std,
            flagged=self.database.flag is not None and reference == SYNTHETIC,
        )


class Builder(TidBuilder):
    """TFDS builder of TID2013 from its official release, or from the tutorial's old mirror."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = instructions("tid2013")

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the score files of the release, or the mirror's table, which has no spread."""
        if "mos_with_names.txt" in files or MIRROR_TABLE not in files:
            return super().read_rows(files)
        if archive := files.archive_of(MIRROR_TABLE):
            check_archive(archive, size=MIRROR_SIZE, sha256=MIRROR_SHA256)
        columns = ("distorted_path", "reference_path", "mos")
        table = csv_rows(files.read(MIRROR_TABLE), name=MIRROR_TABLE, columns=columns)
        return [
            self.row(
                place,
                cells["distorted_path"].replace("\\", "/").rsplit("/", maxsplit=1)[-1],
                to_number(cells["mos"], place=place, column="mos"),
                None,
            )
            for place, cells in table
        ]


def _lines(files: DatabaseFiles, name: str) -> list[tuple[str, str]]:
    """The place and the text of every line that holds something."""
    lines = files.read(name).decode("ascii", errors="replace").splitlines()
    return [
        (f"line {number} of {name!r}", line.strip())
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
