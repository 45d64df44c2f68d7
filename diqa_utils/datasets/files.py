"""The files of a database as its owners ship them: unpacked or in archives, in any case."""

import hashlib
import lzma
import posixpath
import shutil
import subprocess
import tarfile
import tempfile
import threading
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

ZIP_NAMES = (".zip",)
TAR_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
RAR_NAMES = (".rar",)

#: Programs that unpack a RAR archive, with their arguments; the first one that is there is taken.
RAR_TOOLS: tuple[tuple[str, ...], ...] = (
    ("unrar", "x", "-idq", "-y", "{archive}", "{folder}/"),
    ("bsdtar", "-x", "-f", "{archive}", "-C", "{folder}"),
    ("7z", "x", "-y", "-bd", "-o{folder}", "{archive}"),
    ("unar", "-q", "-o", "{folder}", "{archive}"),
)

#: What is raised where an archive is damaged; bzip2 and gzip also raise an OSError without number.
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)

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
    """Finds and reads the files of a database below a folder, or in the archives in it.

    A file is found by the end of its path, whatever lies above it and whatever the case of its
    name. Where the folder holds both archives and what was unpacked from them, the unpacked files
    are taken. Several threads may read at once.

    Args:
        root: a folder, or one archive (zip, tar or rar).

    Raises:
        FileNotFoundError: if there is no such folder or archive.
        ValueError: if an archive is damaged or cannot be unpacked here.
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
            raise FileNotFoundError(
                f"{name!r} is missing in {str(self.root)!r}: check its name, or fetch and unpack "
                "all of it again."
            )
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
            return self._in_archive(self.root)
        files = _in_folder(self.root, self.root)
        for path in sorted(self.root.iterdir()):
            if path.is_file() and path.name.lower().endswith(ZIP_NAMES + TAR_NAMES + RAR_NAMES):
                files += self._in_archive(path)
        return files

    def _in_archive(self, path: Path) -> list[_File]:
        name = path.name.lower()
        try:
            if name.endswith(ZIP_NAMES):
                return self._in_zip(path)
            if name.endswith(TAR_NAMES):
                return self._in_tar(path)
            if name.endswith(RAR_NAMES):
                return self._in_rar(path)
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # the disk is at fault, not the archive
                raise
            reason = str(error).partition("\n")[0].rstrip(":")
            raise ValueError(
                f"The archive {str(path)!r} is damaged or not whole: {reason}; fetch it again."
            ) from error
        raise ValueError(
            f"{str(path)!r} is neither a folder nor an archive (zip, tar or rar): name one."
        )

    def _in_zip(self, path: Path) -> list[_File]:
        archive = self._resources.enter_context(zipfile.ZipFile(path))
        return [
            _File(member.filename, partial(archive.read, member), member.file_size, path)
            for member in archive.infolist()
            if not member.is_dir()
        ]

    def _in_tar(self, path: Path) -> list[_File]:
        if not path.name.lower().endswith(".tar"):  # compressed: every step back costs a restart
            return self._unpacked(path, lambda folder: _unpack_tar(path, folder))
        archive = self._resources.enter_context(tarfile.open(path))  # noqa: SIM115
        lock = threading.Lock()  # all its files share one place in the archive
        files = []
        for member in archive.getmembers():
            if member.isfile():
                read = partial(_read_member, archive, member, lock)
                files.append(_File(member.name, read, member.size, path))
        return files

    def _in_rar(self, path: Path) -> list[_File]:
        return self._unpacked(path, lambda folder: _unpack_rar(path, folder))

    def _unpacked(self, archive: Path, unpack: Callable[[Path], None]) -> list[_File]:
        folder = Path(self._resources.enter_context(tempfile.TemporaryDirectory()))
        unpack(folder)
        return _in_folder(folder, archive)


def check_archive(path: Path, *, size: int, sha256: str) -> None:
    """Raises a ValueError unless the archive has this size and hash."""
    found = path.stat().st_size
    if found != size:
        raise ValueError(
            f"The archive {str(path)!r} has {found:,} bytes and should have {size:,}: it is not "
            "whole, or another one. Fetch it again."
        )
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise ValueError(
            f"The archive {str(path)!r} has the SHA-256 {digest} and should have {sha256}: it is "
            "damaged, or another one. Fetch it again."
        )


def _in_folder(folder: Path, source: Path) -> list[_File]:
    paths = sorted((path for path in folder.rglob("*") if path.is_file()), key=str)
    return [
        _File(path.relative_to(folder).as_posix(), path.read_bytes, path.stat().st_size, source)
        for path in paths
    ]


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, lock: threading.Lock) -> bytes:
    with lock:
        stream = archive.extractfile(member)
        if stream is None:
            raise ValueError(f"{member.name!r} in {str(archive.name)!r} is no file.")
        return stream.read()


def _unpack_tar(path: Path, folder: Path) -> None:
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
        # The sum of all is at the end, behind the last file.
        while archive.fileobj and archive.fileobj.read(2**20):
            pass


def _unpack_rar(path: Path, folder: Path) -> None:
    tool = next((tool for tool in RAR_TOOLS if shutil.which(tool[0])), None)
    if tool is None:
        names = ", ".join(tool[0] for tool in RAR_TOOLS)
        raise ValueError(
            f"To read {str(path)!r}, install a program that unpacks RAR archives (one of {names}), "
            "or unpack it elsewhere and put the folder in its place."
        )
    command = [part.format(archive=path, folder=folder) for part in tool]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last_words = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise ValueError(f"{tool[0]} could not unpack {str(path)!r}: {last_words[0]}")


def _plain(name: str) -> str:
    """A name as one compares it: lower case, composed letters, forward slashes."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").lower()


def _ends_with(path: str, name: str) -> bool:
    return f"/{path}".endswith(f"/{name}")
