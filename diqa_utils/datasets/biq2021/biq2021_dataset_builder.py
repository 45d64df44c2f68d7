"""BIQ2021: 12,000 pictures with the faults that they came with, and no references."""

import functools
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from diqa_utils.datasets.biq2021 import DATABASE
from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.rows import Row, csv_rows, to_number

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
        """Fetches the repository's files into a folder, unless it holds them already.

        The folder gets its name only when every file of the manifest is in it.

        Args:
            folder: Place of the files; nothing else may lie in it.

        Raises:
            FileNotFoundError: If git is not installed.
            ConnectionError: If git cannot fetch the files; gives its reason.
            ValueError: If a file is missing or not the one that the manifest describes.
        """
        if folder.is_dir() and any(folder.iterdir()):
            if problem := _problem(folder):
                raise ValueError(f"{problem} Move {str(folder)!r} away, and start again.")
            return
        half_made = folder.with_name(f"incomplete-{folder.name}")
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(parents=True)
        try:
            _git(half_made, "init", "--quiet")
            _git(half_made, "fetch", "--depth=1", "--progress", ADDRESS, COMMIT)
            # The files as they were published, whatever line ends this system prefers.
            _git(half_made, "-c", "core.autocrlf=false", "checkout", "--quiet", "FETCH_HEAD")
            shutil.rmtree(half_made / ".git", ignore_errors=True)
            if problem := _problem(half_made):
                raise ValueError(f"From {ADDRESS}: {problem}")
            if folder.is_dir():
                folder.rmdir()
            half_made.rename(folder)
        finally:
            shutil.rmtree(half_made, ignore_errors=True)


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


def _git(folder: Path, *arguments: str) -> None:
    """Runs git in a folder, and passes on what it says about its progress."""
    if not shutil.which("git"):
        raise FileNotFoundError(
            f"Fetching {ADDRESS} needs git, which is not on this machine: install it, or copy the "
            "repository from elsewhere and pass its folder as manual_dir."
        )
    # In English, and without asking for a password where the address is wrong.
    environment = os.environ | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", "-C", str(folder), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    messages = []
    with process:
        for line in process.stderr or ():  # text mode ends a line where git goes back to its start
            print(f"\r{line.rstrip():79}", end="", file=sys.stderr, flush=True)
            messages.append(line.strip())
    if process.returncode:
        errors = [line for line in messages if line.startswith(("fatal:", "error:"))]
        reason = (errors or messages or ["no message"])[0]
        raise ConnectionError(f"git could not fetch {ADDRESS}: {reason}")


def _problem(folder: Path) -> str | None:
    """Says what is wrong with the first file that is missing or not the published one."""
    for entry in read_manifest(MANIFEST).values():
        path = folder / entry.path
        if not path.is_file():
            return f"{entry.path!r} is missing in {str(folder)!r}."
        if problem := entry.problem(path.read_bytes()):
            return problem
    return None
