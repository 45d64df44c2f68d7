"""The files of a database as its owners ship them: unpacked or zipped, in any case."""

import posixpath
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

#: What is raised where a zip archive is damaged.
DAMAGED = (zipfile.BadZipFile, EOFError, zlib.error)

#: What macOS adds to archives.
NOISE = ("__macosx/", "._")


@dataclass(frozen=True)
class File:
    """One file: its name inside its folder or archive, how to read it, and where it lies."""

    name: str
    read: Callable[[], bytes]
    source: Path


class DatabaseFiles:
    """Finds and reads the files of a database below a folder, or in the zip archives in it.

    A file is found by the end of its path, whatever lies above it and whatever the case of its
    name. Where the folder holds both archives and what was unpacked from them, the unpacked files
    are taken. Several threads may read at once.

    Args:
        root: Folder, or one zip archive.

    Raises:
        FileNotFoundError: If there is no such folder or archive.
        ValueError: If a zip archive is damaged, or `root` is a file of another kind.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._archives = ExitStack()
        self._by_name: dict[str, list[File]] = defaultdict(list)
        if not root.exists():
            raise FileNotFoundError(f"There is no folder {str(root)!r}: check the path.")
        with ExitStack() as stack:  # closes what is open if a later archive is damaged
            stack.push(self)
            for file in self._all_files():
                if not any(f"/{noise}" in f"/{file.name.lower()}" for noise in NOISE):
                    self._by_name[_plain(posixpath.basename(file.name))].append(file)
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._archives.close()

    def __contains__(self, name: str) -> bool:
        return bool(self._candidates(name))

    def read(self, name: str) -> bytes:
        """Reads the one file whose path ends with this name.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If there are several, or if its archive is damaged or protected.
        """
        file = self._find(name)
        try:
            return file.read()
        except (RuntimeError, *DAMAGED) as error:  # RuntimeError: zipfile asks for a password
            raise ValueError(
                f"{name!r} in the archive {str(file.source)!r} cannot be read: {error}. Unpack "
                "the archive yourself, or fetch it again."
            ) from error

    def _find(self, name: str) -> File:
        candidates = self._candidates(name)
        if not candidates:
            raise FileNotFoundError(
                f"{name!r} is missing in {str(self.root)!r}: check its name, unpack archives of "
                "other kinds than zip, or fetch all of it again."
            )
        # What was unpacked comes before its archive.
        nearest = [file for file in candidates if file.source == candidates[0].source]
        if len(nearest) > 1:
            raise ValueError(
                f"{name!r} is there twice, as {nearest[0].name!r} and as {nearest[1].name!r} in "
                f"{str(self.root)!r}: leave only one of them there."
            )
        return nearest[0]

    def _candidates(self, name: str) -> list[File]:
        plain = _plain(name)
        files = self._by_name.get(posixpath.basename(plain), [])
        return [file for file in files if f"/{_plain(file.name)}".endswith(f"/{plain}")]

    def _all_files(self) -> Iterator[File]:
        if self.root.is_file():
            yield from self._in_zip(self.root)
            return
        paths = sorted(path for path in self.root.rglob("*") if path.is_file())
        for path in paths:
            yield File(path.relative_to(self.root).as_posix(), path.read_bytes, self.root)
        for path in paths:
            if path.parent == self.root and path.suffix.lower() == ".zip":
                yield from self._in_zip(path)

    def _in_zip(self, path: Path) -> Iterator[File]:
        if path.suffix.lower() != ".zip":
            raise ValueError(
                f"{str(path)!r} is neither a folder nor a zip archive: unpack it, and name the "
                "folder."
            )
        try:
            archive = self._archives.enter_context(zipfile.ZipFile(path))
        except DAMAGED as error:
            raise ValueError(
                f"The archive {str(path)!r} is damaged or not whole: {error}; fetch it again."
            ) from error
        for member in archive.infolist():
            if not member.is_dir():
                yield File(member.filename, partial(archive.read, member), path)


def _plain(name: str) -> str:
    """A name as one compares it: lower case, composed letters, forward slashes."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").lower()
