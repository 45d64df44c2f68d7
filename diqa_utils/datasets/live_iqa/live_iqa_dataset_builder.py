"""LIVE, release 2: 29 references, 5 distortions, two sets of scores."""

from dataclasses import replace
from typing import Any

import tensorflow_datasets as tfds

from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.database import Database
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.live_iqa import DATABASE, RAW
from diqa_utils.datasets.matlab import read_variables
from diqa_utils.datasets.rows import Row, to_number

#: Folder, distortion and number of files, in the order of the score files.
FOLDERS = (
    ("jp2k", "jpeg2000", 227),
    ("jpeg", "jpeg", 233),
    ("wn", "white_noise", 174),
    ("gblur", "gaussian_blur", 174),
    ("fastfading", "fast_fading", 174),
)

#: LIVE does not number the strengths of its distortions.
NO_LEVEL = 0


class Builder(IqaBuilder):
    """TFDS builder of LIVE from its official release."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = DATABASE.instructions
    BUILDER_CONFIGS = [  # noqa: RUF012 - TFDS reads it from the class
        tfds.core.BuilderConfig(
            name="realigned", description="Scores of all sessions on one scale; the usual choice."
        ),
        tfds.core.BuilderConfig(name="raw", description="Scores as first published."),
    ]

    @property
    def database(self) -> Database:
        """What is known about the database with these scores."""
        return RAW if self._is_raw else DATABASE

    @property
    def has_spread(self) -> bool:
        """Only the realigned scores were published with their standard deviations."""
        return not self._is_raw

    @property
    def _is_raw(self) -> bool:
        return self.builder_config.name == "raw"

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the score files."""
        names = _variables(files, "refnames_all.mat", "refnames_all")["refnames_all"]
        references = list(map(str, names))
        if self._is_raw:
            columns = _variables(files, "dmos.mat", "dmos", "orgs")
        else:
            if "dmos_realigned.mat" not in files:
                raise FileNotFoundError(
                    f"'dmos_realigned.mat' is missing in {str(files.root)!r}: it is a separate "
                    f"file at {self.database.home}. Fetch it, or load 'live_iqa/raw' for the "
                    "scores in dmos.mat."
                )
            columns = _variables(files, "dmos_realigned.mat", "dmos_new", "dmos_std", "orgs")
            columns |= {"dmos": columns["dmos_new"], "std": columns["dmos_std"]}
        pictures = [
            (folder, distortion, number)
            for folder, distortion, count in FOLDERS
            for number in range(1, count + 1)
        ]
        lengths = {len(pictures), len(references), *map(len, columns.values())}
        if len(lengths) > 1:
            raise ValueError(
                f"LIVE's score files have {', '.join(map(str, sorted(lengths)))} rows, and should "
                f"have {len(pictures)} each: one of them is not whole. Fetch them again."
            )
        rows = []
        for index, (folder, distortion, number) in enumerate(pictures):
            place = f"entry {index + 1} of LIVE's score files"
            row = Row(
                place=place,
                distorted=f"{folder}/img{number}.bmp",
                reference=f"refimgs/{references[index]}",
                image_id=f"{folder}/img{number}",
                reference_id=references[index].lower().removesuffix(".bmp"),
                distortion=distortion,
                level=NO_LEVEL,
                score=to_number(columns["dmos"][index], place=place, column="the score"),
                flagged=to_number(columns["orgs"][index], place=place, column="orgs") != 0,
            )
            if self.has_spread:
                spread = to_number(columns["std"][index], place=place, column="the deviation")
                row = replace(row, score_std=spread)
            rows.append(row)
        return rows


def _variables(files: DatabaseFiles, name: str, *variables: str) -> dict[str, list[Any]]:
    return read_variables(files.read(name), name, variables)
