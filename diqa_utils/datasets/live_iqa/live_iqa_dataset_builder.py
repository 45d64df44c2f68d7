"""LIVE, release 2: 29 references, 5 distortions, two sets of scores."""

import io
from typing import Any

import numpy as np
import scipy.io
import tensorflow_datasets as tfds

from diqa_utils.datasets.builder import IqaBuilder, instructions
from diqa_utils.datasets.catalog import CATALOG, Database
from diqa_utils.datasets.files import DatabaseFiles, check_archive
from diqa_utils.datasets.rows import Row, csv_rows, to_number

#: Folder, distortion and number of files, in the order of the score files.
FOLDERS = (
    ("jp2k", "jpeg2000", 227),
    ("jpeg", "jpeg", 233),
    ("wn", "white_noise", 174),
    ("gblur", "gaussian_blur", 174),
    ("fastfading", "fast_fading", 174),
)
DISTORTIONS = {folder: distortion for folder, distortion, _ in FOLDERS}

#: LIVE does not number the strengths of its distortions.
NO_LEVEL = 0

#: The archive of the tutorial that this project descends from; its server is gone.
MIRROR_SIZE = 720_288_700
MIRROR_SHA256 = "b1740acb2d52a63fc81efe9f360ed4c1114f2a0ae493d930b9fa7dfa448adea1"
MIRROR_TABLE = "live/dmos.csv"


class Builder(IqaBuilder):
    """TFDS builder of LIVE from its official release, or from the tutorial's old mirror."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = instructions("live_iqa")
    BUILDER_CONFIGS = [  # noqa: RUF012 - TFDS reads it from the class
        tfds.core.BuilderConfig(
            name="realigned", description="Scores of all sessions on one scale; the usual choice."
        ),
        tfds.core.BuilderConfig(name="raw", description="Scores as first published."),
    ]

    @property
    def database(self) -> Database:
        """What is known of the database with these scores."""
        return CATALOG["live_iqa/raw" if self._is_raw else "live_iqa"]

    @property
    def has_spread(self) -> bool:
        """Only the realigned scores were published with their standard deviations."""
        return not self._is_raw

    @property
    def _is_raw(self) -> bool:
        return self.builder_config.name == "raw"

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the score files of the release, or the mirror's table."""
        if "refnames_all.mat" in files or MIRROR_TABLE not in files:
            return self._official_rows(files)
        return self._mirror_rows(files)

    def _official_rows(self, files: DatabaseFiles) -> list[Row]:
        names = _variables(files, "refnames_all.mat", "refnames_all")["refnames_all"]
        references = [str(np.ravel(name)[0]) for name in names]
        if self._is_raw:
            columns = _variables(files, "dmos.mat", "dmos", "orgs")
            columns["std"] = [None] * len(columns["dmos"])
        else:
            if "dmos_realigned.mat" not in files:
                raise FileNotFoundError(
                    f"'dmos_realigned.mat' is missing in {str(files.root)!r}: it is a separate "
                    f"file at {self.database.home}. Fetch it, or load 'live_iqa/raw' for the "
                    "scores in dmos.mat."
                )
            columns = _variables(files, "dmos_realigned.mat", "dmos_new", "dmos_std", "orgs")
            columns = {"dmos": columns["dmos_new"], "std": columns["dmos_std"]} | columns
        places = [
            (folder, number) for folder, _, count in FOLDERS for number in range(1, count + 1)
        ]
        lengths = {len(places), len(references), *map(len, columns.values())}
        if len(lengths) > 1:
            raise ValueError(
                f"LIVE's score files have {', '.join(map(str, sorted(lengths)))} rows, and should "
                f"have {len(places)} each: one of them is not whole. Fetch them again."
            )
        return [
            self._row(
                f"entry {index + 1} of LIVE's score files",
                f"{folder}/img{number}.bmp",
                references[index],
                columns["dmos"][index],
                columns["std"][index],
                pristine=bool(columns["orgs"][index]),
            )
            for index, (folder, number) in enumerate(places)
        ]

    def _mirror_rows(self, files: DatabaseFiles) -> list[Row]:
        if archive := files.archive_of(MIRROR_TABLE):
            check_archive(archive, size=MIRROR_SIZE, sha256=MIRROR_SHA256)
        columns = ("distorted_path", "reference_path", "dmos")
        realigned = ("dmos_realigned", "dmos_realigned_std")
        table = csv_rows(files.read(MIRROR_TABLE), name=MIRROR_TABLE, columns=columns + realigned)
        rows = []
        for place, cells in table:
            first, score, std = (
                to_number(cells[name], place=place, column=name) for name in ("dmos", *realigned)
            )
            folder, name = cells["distorted_path"].replace("\\", "/").split("/")[-2:]
            rows.append(
                self._row(
                    place,
                    f"{folder}/{name}",
                    cells["reference_path"].replace("\\", "/").rsplit("/", maxsplit=1)[-1],
                    first if self._is_raw else score,
                    None if self._is_raw else std,
                    # The table does not say which rows are pristine copies; the first scores do.
                    pristine=first == 0,
                )
            )
        return rows

    def _row(
        self, place: str, name: str, reference: str, score: Any, std: Any, *, pristine: bool
    ) -> Row:
        folder = name.partition("/")[0].lower()
        if folder not in DISTORTIONS:
            raise ValueError(
                f"{place}: {name!r} is in none of the folders {', '.join(DISTORTIONS)}."
            )
        return Row(
            place=place,
            distorted=name,
            reference=f"refimgs/{reference}",
            image_id=name.lower().removesuffix(".bmp"),
            reference_id=reference.lower().removesuffix(".bmp"),
            distortion=DISTORTIONS[folder],
            level=NO_LEVEL,
            score=to_number(score, place=place, column="the score"),
            score_std=(
                None if std is None else to_number(std, place=place, column="the deviation")
            ),
            flagged=pristine,
        )


def _variables(files: DatabaseFiles, name: str, *variables: str) -> dict[str, Any]:
    """Reads variables of a MATLAB file, each as a list."""
    raw = files.read(name)
    try:
        content = scipy.io.loadmat(io.BytesIO(raw))
    except (ValueError, TypeError, OSError, scipy.io.matlab.MatReadError) as error:
        raise ValueError(f"{name!r} is damaged or no MATLAB file: {error}") from error
    missing = [variable for variable in variables if variable not in content]
    if missing:
        raise ValueError(f"{name!r} has no variable {', '.join(missing)}: fetch it again.")
    return {variable: list(np.ravel(content[variable])) for variable in variables}
