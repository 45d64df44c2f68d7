"""Where the library keeps what it makes, and how it knows that this is not stale."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).parent.parent


def cache_folder() -> Path:
    """Returns the folder for built datasets and trained weights.

    `DIQA_CACHE_DIR` names it; without that variable it is the user's cache folder.
    """
    chosen = os.environ.get("DIQA_CACHE_DIR")
    return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("diqa_utils")


def source_fingerprint(*sources: str) -> str:
    """Returns a short hash of source files, given by their paths inside the package.

    Results are kept under the fingerprint of the code that makes them, so that a change of that
    code never meets an old result.
    """
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.encode())
        digest.update((PACKAGE / source).read_bytes())
    return digest.hexdigest()[:12]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file beside its place and moves it there: the new one or the old, never half.

    Args:
        path: place of the file.
        write: writes it to the path that it is given.
    """
    half_written = path.with_name(f"incomplete-{path.name}")
    write(half_written)
    half_written.replace(path)
