"""Where the library keeps what it makes, and how it knows that this is not stale."""

import contextlib
import dataclasses
import glob
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from filelock import FileLock, Timeout

PACKAGE = Path(__file__).parent.parent

#: How the names of files and folders begin until all of them is written.
HALF_WRITTEN = "incomplete"


def cache_folder() -> Path:
    """Returns the folder for built datasets and trained weights.

    `DIQA_CACHE_DIR` names it; without that variable it is the user's cache folder.
    """
    chosen = os.environ.get("DIQA_CACHE_DIR")
    return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("diqa_utils")


def source_fingerprint(*sources: str) -> str:
    """Returns a short hash of source files, given by their paths inside the package, or patterns.

    Results are kept under the fingerprint of the code that makes them, so that a change of that
    code never meets an old result.
    """
    digest = hashlib.sha256()
    for path in (path for source in sources for path in sorted(PACKAGE.glob(source))):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def fingerprint(**facts: Any) -> str:
    """Returns a short hash of all that a result depends on.

    Results that are kept under the fingerprint of their facts, or beside it, never pass for those
    of other facts.

    Args:
        **facts: Text, numbers, arrays, dataclasses, and lists and dictionaries of these.
    """
    content = json.dumps(facts, default=_described, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def content_hash(content: bytes) -> str:
    """Returns the SHA-256 of the content of a file, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def check_same(place: Path, kept: Any, now: Mapping[str, Any], kind: str = "folder") -> None:
    """Raises a ValueError that names the first fact in which a run of before is another one.

    Args:
        place: File or folder of that run.
        kept: What was written down of it, as JSON gives it back.
        now: The same of this run.
        kind: What the place is.
    """
    known = kept if isinstance(kept, dict) else {}
    wanted = json.loads(json.dumps(now, default=str))
    for name in wanted | known:
        there, here = known.get(name), wanted.get(name)
        if isinstance(there, dict) and isinstance(here, dict):
            check_same(place, there, here, kind)
        elif there != here:
            raise ValueError(
                f"{str(place)!r} belongs to another run, which differs in {name} ({there!r} there, "
                f"{here!r} here): take another {kind}, or what that run was started with."
            )


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file or folder beside its place and moves it there: new or old, never half.

    Args:
        path: Place of the file, or of a folder that is not there yet.
        write: Function that writes it to the path that it is given.
    """
    half_written = path.with_name(f"{HALF_WRITTEN}-{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        write(half_written)
        half_written.replace(path)
    except BaseException:
        _remove(half_written)
        raise


def remove_half_written(folder: Path, name: str | None = None) -> None:
    """Removes what processes that were killed have left; others must not write there meanwhile.

    Args:
        folder: Folder to look into.
        name: Name of the only file of which half-written ones are removed; all if None.
    """
    wanted = "*" if name is None else glob.escape(name)
    for path in folder.glob(f"{HALF_WRITTEN}-{'[0-9a-f]' * 8}-{wanted}"):
        _remove(path)


def write_text(path: Path, text: str) -> None:
    """Writes text as UTF-8, whole or not at all."""
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Args:
        path: Path of the file.
        remedy: What to do if it is damaged.

    Raises:
        ValueError: The file holds something else.
        OSError: It cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    except (ValueError, RecursionError):
        pass
    raise ValueError(f"{str(path)!r} is damaged: {remedy}.")


def read_arrays(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """Reads all arrays of a `.npz` file and compares their checksums.

    Args:
        path: Path of the file.
        remedy: What to do if it is damaged.

    Raises:
        ValueError: The file is damaged, or is no such file.
        OSError: It cannot be read.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # zipfile, zlib and NumPy have a dozen kinds of errors
        raise ValueError(f"{str(path)!r} is damaged: {remedy}.") from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from working in a folder; a killed one leaves no lock behind.

    Args:
        folder: Folder to work in; made if it is not there.

    Raises:
        ValueError: Another process is at work in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0, is_singleton=True)  # one process may nest it
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"Another process is at work in {str(folder)!r}: wait for its end, or take another "
            "folder."
        ) from None
    try:
        remove_half_written(folder)
        yield
    finally:
        lock.release()


def _described(value: Any) -> Any:
    """What JSON has no form for, in one that tells different values apart."""
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return [str(value.dtype), value.shape, digest]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
