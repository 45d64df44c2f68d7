"""The files of a database as its owners ship them: unpacked or zipped, in any case."""

import os
import posixpath
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

#: What macOS adds to archives.
NOISE = ("__macosx/", "._")

#: How many names a message lists before it says how many more there are.
NAMES_IN_A_MESSAGE = 5


@dataclass(frozen=True)
class File:
    """One file: its name inside its folder or archive, its size, where it lies, how to read it."""

    name: str
    size: int
    source: Path
    read: Callable[[], bytes]


class DatabaseFiles:
    """Finds and reads the files of a database below a folder, or in the zip archives in it.

    A name is first looked up as the path that it is, as seen from the folder. Otherwise a file is
    found by the end of its path, whatever lies above it and whatever the case of its name. Where
    the folder holds both archives and what was unpacked from them, the unpacked files are taken.
    Links are followed. A damaged archive matters only if a file is not found elsewhere. Several
    threads may read at once.

    Args:
        root: Folder, or one zip archive.

    Raises:
        FileNotFoundError: If there is no such folder or archive.
        ValueError: If `root` is a damaged zip archive, or a file of another kind.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._archives = ExitStack()
        self._damaged: list[str] = []
        self._by_path: dict[str, File] = {}
        self._by_name: dict[str, list[File]] = defaultdict(list)
        if not root.exists():
            raise FileNotFoundError(f"There is no folder {str(root)!r}: check the path.")
        for file in self._all_files():
            if not any(f"/{noise}" in f"/{file.name.lower()}" for noise in NOISE):
                self._by_path.setdefault(file.name, file)
                self._by_name[_plain(posixpath.basename(file.name))].append(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._archives.close()

    def __contains__(self, name: str) -> bool:
        return self.has_exactly(name) or bool(self._candidates(name))

    def has_exactly(self, name: str) -> bool:
        """Whether there is a file under this very path, as seen from the folder."""
        return self._exact(name) is not None

    def inside(self, path: str) -> str:
        """Returns a path as seen from the folder: `./a.jpg`, or an absolute one below it."""
        path = path.replace("\\", "/")
        for root in (self.root, self.root.resolve()):
            if Path(path).is_relative_to(root):
                path = Path(path).relative_to(root).as_posix()
        return posixpath.normpath(path)

    def path_of(self, name: str) -> str:
        """Returns where the one file lies whose path ends with this name, as seen from the folder.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If there are several.
        """
        return self._find(name).name

    def read(self, name: str) -> bytes:
        """Reads the one file whose path ends with this name.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If there are several, or if its archive is damaged or protected.
        """
        file = self._find(name)
        if file.source == self.root and self.root.is_dir():
            return file.read()
        try:
            return file.read()
        except Exception as error:  # zipfile and what unpacks for it have errors of many kinds
            raise ValueError(
                f"{name!r} in the archive {str(file.source)!r} cannot be read: {error}. Unpack "
                "the archive yourself, or fetch it again."
            ) from error

    def problems(self, names: Iterable[str]) -> tuple[str, list[str]]:
        """Says which files are missing, and which are empty or there twice; opens none of them."""
        missing, others = [], []
        for name in names:
            try:
                if not self._find(name).size:
                    others.append(f"{name!r} is empty: fetch it again.")
            except FileNotFoundError:
                missing.append(name)
            except ValueError as error:
                others.append(str(error))
        return self._missing(missing) if missing else "", others

    def _missing(self, names: list[str]) -> str:
        where = f"missing in {str(self.root)!r}"
        advice = "unpack archives of other kinds than zip, or fetch all of it again."
        if any(_leads_out(name) for name in names):
            advice += " What lies outside of that folder is read only through a link in it."
        advice = " ".join([advice, *self._damaged])
        if len(names) == 1:
            return f"{names[0]!r} is {where}: check its name, {advice}"
        some = ", ".join(map(repr, names[:NAMES_IN_A_MESSAGE]))
        return f"{len(names):,} files are {where}, such as {some}: check their names, {advice}"

    def _find(self, name: str) -> File:
        if exact := self._exact(name):
            return exact
        candidates = self._candidates(name)
        if not candidates:
            raise FileNotFoundError(self._missing([name]))
        # What was unpacked comes before its archive.
        nearest = [file for file in candidates if file.source == candidates[0].source]
        if len(nearest) > 1:
            raise ValueError(
                f"{name!r} is there twice, as {nearest[0].name!r} and as {nearest[1].name!r} in "
                f"{str(self.root)!r}: leave only one of them there, or name its folder as well."
            )
        return nearest[0]

    def _exact(self, name: str) -> File | None:
        if name in self._by_path:
            return self._by_path[name]
        # A folder may be reached by several links, of which the walk takes one.
        place = os.path.join(self.root, name)
        found = not _leads_out(name) and os.path.isfile(place)
        return _on_disk(Path(place), self.root) if found else None

    def _candidates(self, name: str) -> list[File]:
        plain = _plain(name)
        files = self._by_name.get(posixpath.basename(plain), [])
        return [file for file in files if f"/{_plain(file.name)}".endswith(f"/{plain}")]

    def _all_files(self) -> Iterator[File]:
        if self.root.is_file():
            yield from self._in_zip(self.root)
            return
        paths = [path for path in files_below(self.root) if path.is_file()]
        yield from (_on_disk(path, self.root) for path in paths)
        for path in paths:
            if path.parent == self.root and path.suffix.lower() == ".zip":
                try:
                    yield from self._in_zip(path)
                except ValueError as error:
                    self._damaged.append(str(error))

    def _in_zip(self, path: Path) -> Iterator[File]:
        if path.suffix.lower() != ".zip":
            raise ValueError(
                f"{str(path)!r} is neither a folder nor a zip archive: unpack it, and name the "
                "folder."
            )
        try:
            archive = self._archives.enter_context(zipfile.ZipFile(path))
        except Exception as error:  # as above
            raise ValueError(
                f"The archive {str(path)!r} is damaged or not whole: {error}; fetch it again."
            ) from error
        for member in archive.infolist():
            if not member.is_dir():
                yield File(member.filename, member.file_size, path, partial(archive.read, member))


def files_below(folder: Path, *, leave_out: Iterable[Path] = ()) -> Iterator[Path]:
    """Yields the files below a folder, in one order.

    Links are followed, and each folder is entered once, however many links lead to it. A link to
    one that was entered before is yielded itself.

    Args:
        folder: Where to look.
        leave_out: Folders that are not entered.
    """
    entered = set(map(os.path.realpath, leave_out))
    for place, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(place) in entered:
            folders.clear()
            if os.path.islink(place):
                yield Path(place)
            continue
        entered.add(os.path.realpath(place))
        folders.sort()
        paths = (Path(place, name) for name in sorted(names))
        yield from (path for path in paths if path.is_file())


def _leads_out(name: str) -> bool:
    return Path(name).is_absolute() or ".." in name.split("/")


def _on_disk(path: Path, root: Path) -> File:
    return File(path.relative_to(root).as_posix(), path.stat().st_size, root, path.read_bytes)


def _plain(name: str) -> str:
    """A name as one compares it: lower case, composed letters, forward slashes."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").lower()
