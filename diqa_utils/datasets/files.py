"""The files of a database as its owners ship them: unpacked or zipped, in any case."""

import hashlib
import posixpath
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

#: Archives that a person has to unpack.
PACKED = (".rar", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

#: What is raised where a zip archive is damaged.
DAMAGED = (zipfile.BadZipFile, EOFError, zlib.error)

#: What macOS adds to archives.
NOISE = ("__macosx/", "._", ".ds_store")


@dataclass(frozen=True)
class _File:
    """One file: its name inside its folder or archive, how to read it, how large it is."""

    name: str
    read: Callable[[], bytes]
    size: int
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
        self._resources = ExitStack()
        self._by_name: dict[str, list[_File]] = defaultdict(list)
        if not root.exists():
            raise FileNotFoundError(f"There is no folder {str(root)!r}: check the path.")
        try:
            for file in self._all_files():
                if not any(part in f"/{file.name.lower()}" for part in map("/".__add__, NOISE)):
                    self._by_name[_plain(posixpath.basename(file.name))].append(file)
        except BaseException:
            self._resources.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()

    def __len__(self) -> int:
        return sum(len(files) for files in self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return bool(self._candidates(name))

    def read(self, name: str) -> bytes:
        """Reads the one file whose path ends with this name.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if there are several, if it may not or cannot be read, or if its archive is
                damaged or protected.
        """
        file = self._find(name)
        try:
            return file.read()
        except OSError as error:  # it is there: no permission, or a faulty disk
            raise ValueError(
                f"{file.name!r} in {str(file.source)!r} cannot be read: {error.strerror}."
            ) from error
        except RuntimeError as error:  # zipfile's way to ask for a password
            raise ValueError(
                f"{str(file.source)!r} is protected by a password: unpack it with the one that "
                "its owners gave you, and put what is in it in the archive's place."
            ) from error
        except DAMAGED as error:
            raise ValueError(
                f"{name!r} is damaged in the archive {str(file.source)!r}: {error}; fetch it again."
            ) from error

    def size(self, name: str) -> int:
        """Returns the size of a file in bytes."""
        return self._find(name).size

    def archive_of(self, name: str) -> Path | None:
        """Returns the archive that a file lies in; None for an unpacked file."""
        source = self._find(name).source
        return None if source == self.root and self.root.is_dir() else source

    def path(self, name: str) -> str:
        """Returns the whole path of a file below the folder or inside its archive."""
        return self._find(name).name

    def _find(self, name: str) -> _File:
        candidates = self._candidates(name)
        if not candidates:
            remedy = "check its name, or fetch and unpack all of it again"
            packed = filter(_is_packed, self.root.iterdir() if self.root.is_dir() else ())
            if archive := next(packed, None):
                remedy = f"unpack {archive.name!r} into this folder first"
            raise FileNotFoundError(f"{name!r} is missing in {str(self.root)!r}: {remedy}.")
        exact = [file for file in candidates if _ends_with(file.name, name)]
        chosen = exact or candidates
        same_source = [file for file in chosen if file.source == chosen[0].source]
        if len(same_source) > 1:
            raise ValueError(
                f"{name!r} is there twice, as {same_source[0].name!r} and as "
                f"{same_source[1].name!r} in {str(self.root)!r}: leave only one of them there."
            )
        return chosen[0]

    def _candidates(self, name: str) -> list[_File]:
        plain = _plain(name)
        files = self._by_name.get(posixpath.basename(plain), [])
        return [file for file in files if _ends_with(_plain(file.name), plain)]

    def _all_files(self) -> list[_File]:
        if self.root.is_file():
            return self._in_zip(self.root)
        files = _in_folder(self.root)
        for path in sorted(self.root.iterdir()):
            if path.is_file() and path.suffix.lower() == ".zip":
                files += self._in_zip(path)
        return files

    def _in_zip(self, path: Path) -> list[_File]:
        if _is_packed(path):
            raise ValueError(f"Unpack {str(path)!r} into a folder, and name that folder.")
        if path.suffix.lower() != ".zip":
            raise ValueError(f"{str(path)!r} is neither a folder nor a zip archive: name one.")
        try:
            archive = self._resources.enter_context(zipfile.ZipFile(path))
        except DAMAGED as error:
            raise ValueError(
                f"The archive {str(path)!r} is damaged or not whole: {error}; fetch it again."
            ) from error
        return [
            _File(member.filename, partial(archive.read, member), member.file_size, path)
            for member in archive.infolist()
            if not member.is_dir()
        ]


def check_archive(path: Path, *, size: int, sha256: str) -> None:
    """Raises a ValueError unless the archive has this size and hash."""
    actual_size = path.stat().st_size
    if actual_size != size:
        raise ValueError(
            f"The archive {str(path)!r} has {actual_size:,} bytes and should have {size:,}: it is "
            "not whole, or another one. Fetch it again."
        )
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise ValueError(
            f"The archive {str(path)!r} has the SHA-256 {digest} and should have {sha256}: it is "
            "damaged, or another one. Fetch it again."
        )


def _in_folder(folder: Path) -> list[_File]:
    paths = sorted((path for path in folder.rglob("*") if path.is_file()), key=str)
    return [
        _File(path.relative_to(folder).as_posix(), path.read_bytes, path.stat().st_size, folder)
        for path in paths
    ]


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(PACKED)


def _plain(name: str) -> str:
    """A name as one compares it: lower case, composed letters, forward slashes."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").lower()


def _ends_with(path: str, name: str) -> bool:
    return f"/{path}".endswith(f"/{name}")
