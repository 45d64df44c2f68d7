"""BIQ2021: 12,000 pictures with the faults that they came with, and no references."""

import functools
import gzip
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from diqa_utils._internal.files import remove_half_written, write_atomically
from diqa_utils.datasets.biq2021 import DATABASE
from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.rows import Row, to_number
from diqa_utils.datasets.tables import csv_rows

#: The repository, and the state of it that the manifest describes.
ADDRESS = "https://github.com/nisarahmedrana/BIQ2021"
COMMIT = "62c7b40c036b68ee280626409699aa5c1a37fe57"

MANIFEST = Path(__file__).with_name("manifest.tsv.gz")

TABLES = {
    "train": "Train (Images and MOS).csv",
    "test": "Test (Images and MOS).csv",
}

#: The type of every picture: its faults are its own, unlike a distortion that somebody chose.
AUTHENTIC = "authentic"
NO_LEVEL = 0


@dataclass(frozen=True)
class ManifestEntry:
    """File of the repository: its git blob hash, its size in bytes and its path."""

    blob: str
    size: int
    path: str

    def problem(self, content: bytes) -> str | None:
        """Says what is wrong with a file that should be this one."""
        if len(content) != self.size:
            return f"{self.path!r} has {len(content):,} bytes and should have {self.size:,}."
        if blob_hash(content) != self.blob:
            return f"{self.path!r} has another content than the published one (its hash differs)."
        return None


def blob_hash(content: bytes) -> str:
    """Returns the hash under which git knows a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@functools.cache
def read_manifest(path: Path) -> dict[str, ManifestEntry]:
    """Returns every file of the repository, by its path in lower case."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    cells = (line.split("\t") for line in lines)
    return {path.lower(): ManifestEntry(blob, int(size), path) for blob, size, path in cells}


class Builder(IqaBuilder):
    """TFDS builder of BIQ2021 from a copy of its public repository."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = DATABASE.instructions

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
        entry = read_manifest(MANIFEST).get(name.lower())
        return entry.problem(content) if entry else f"{name!r} is not one of the files of BIQ2021."

    @staticmethod
    def download(folder: Path) -> None:
        """Fetches the repository's files into a folder, unless something is there already.

        git compares what it fetches with its hashes, and says on standard error how far it is. The
        folder gets its name only when all of it is there.

        Raises:
            FileNotFoundError: If git is not installed.
            ConnectionError: If git cannot fetch the files.
        """
        if folder.is_dir() and any(folder.iterdir()):
            return
        if not shutil.which("git"):
            raise FileNotFoundError(
                f"Fetching {ADDRESS} needs git, which is not on this machine: install it, or copy "
                "the repository from elsewhere and pass its folder as manual_dir."
            )
        environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}  # no password is asked for

        def fetch(place: Path) -> None:
            place.mkdir()
            for arguments in (
                ("init", "--quiet"),
                ("fetch", "--depth=1", "--progress", ADDRESS, COMMIT),
                # The files as they were published, whatever line ends this system prefers.
                ("-c", "core.autocrlf=false", "checkout", "--quiet", "FETCH_HEAD"),
            ):
                subprocess.run(["git", "-C", str(place), *arguments], check=True, env=environment)
            shutil.rmtree(place / ".git", ignore_errors=True)

        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_half_written(folder.parent, folder.name)
        try:
            write_atomically(folder, fetch)
        except subprocess.CalledProcessError as error:
            raise ConnectionError(
                f"git could not fetch {ADDRESS}: it says why in the lines above."
            ) from error


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
