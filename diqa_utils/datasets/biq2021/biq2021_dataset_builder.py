"""BIQ2021: 12,000 pictures with the faults that they came with, and no references."""

import functools
from pathlib import Path

from diqa_utils.datasets.builder import IqaBuilder, instructions
from diqa_utils.datasets.download import ManifestEntry, download, read_manifest
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.rows import Row, csv_rows, to_number

#: The repository, and the state of it that the manifest describes.
ADDRESS = "https://github.com/nisarahmedrana/BIQ2021"
COMMIT = "62c7b40c036b68ee280626409699aa5c1a37fe57"

TABLES = {
    "train": "Train (Images and MOS).csv",
    "test": "Test (Images and MOS).csv",
}

#: The type of every picture: its faults are its own, unlike a distortion that somebody chose.
AUTHENTIC = "authentic"
NO_LEVEL = 0


@functools.cache
def manifest() -> dict[str, ManifestEntry]:
    """Returns every file of the repository, by path."""
    return read_manifest(Path(__file__).with_name("manifest.tsv.gz"))


class Builder(IqaBuilder):
    """TFDS builder of BIQ2021 from a copy of its public repository."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = instructions("biq2021")

    @property
    def has_spread(self) -> bool:
        """The repository has no deviations."""
        return False

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads both score files; of a partial copy those that are there."""
        return [
            _row(place, cells, split)
            for split, name in TABLES.items()
            if self.complete or name in files
            for place, cells in csv_rows(files.read(name), name=name, columns=("Image Name", "MOS"))
        ]

    def file_problem(self, name: str, content: bytes) -> str | None:
        """Says that a file is not the published one."""
        by_name = _by_lower_name()
        entry = by_name.get(name.lower())
        if entry is None:
            return f"{name!r} is not one of the files of BIQ2021."
        return entry.problem(content)

    @staticmethod
    def download(folder: Path) -> None:
        """Fetches the repository's files into a folder, unless they are there."""
        download(manifest(), ADDRESS, COMMIT, folder)


@functools.cache
def _by_lower_name() -> dict[str, ManifestEntry]:
    return {path.lower(): entry for path, entry in manifest().items()}


def _row(place: str, cells: dict[str, str], split: str) -> Row:
    name = cells["Image Name"]
    image_id = name.rsplit(".", maxsplit=1)[0]
    return Row(
        place=place,
        distorted=f"Images/{name}",
        image_id=image_id,
        reference_id=image_id,  # every picture is a scene of its own
        distortion=AUTHENTIC,
        level=NO_LEVEL,
        score=to_number(cells["MOS"], place=place, column="MOS"),
        split=split,
    )
