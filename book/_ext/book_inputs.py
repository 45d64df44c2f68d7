"""What the book is made from, as hashes: tells a fresh build from a stale one.

Only the standard library is imported here, so that `make book` can say "up to date" at once.
"""

import hashlib
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Folders whose files are made by a build or by an editor: never an input.
GENERATED = {"__pycache__", ".ipynb_checkpoints", "_figures"}


def _files(root: Path, entry: str) -> Iterator[Path]:
    """Yields the files under a folder (or the file itself), without what is generated."""
    path = root / entry
    if path.is_file():
        yield path
    for file in sorted(path.rglob("*")) if path.is_dir() else []:
        if file.is_file() and not GENERATED.intersection(file.relative_to(root).parts):
            yield file


def _is_library_test(file: Path) -> bool:
    """Says whether a file of the library only tests it: no chapter can depend on that."""
    return file.name.endswith("_test.py") or file.name in {"conftest.py", "testing.py"}


def _add_files(digest: "hashlib._Hash", root: Path, files: Iterable[Path]) -> None:
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(root).as_posix()} {content}\n".encode())


def installed_packages() -> list[str]:
    """Returns `name==version` of every installed package, and the Python that runs them."""
    packages = {
        f"{distribution.metadata['Name']}=={distribution.version}".lower()
        for distribution in importlib.metadata.distributions()
    }
    return [f"python=={sys.version}", *sorted(packages)]


def execution_key(root: Path) -> str:
    """Returns a hash of everything but its own cells that a chapter's output depends on.

    That is the library, with the results that benchmarks wrote, and the installed packages. A
    chapter's stored outputs are used again only while this key stays the same.
    """
    digest = hashlib.sha256("\n".join(installed_packages()).encode())
    library = (file for file in _files(root, "diqa_utils") if not _is_library_test(file))
    _add_files(digest, root, library)
    return digest.hexdigest()[:16]


def figures_key(root: Path) -> str:
    """Returns a hash of what the figures of the pages are made from."""
    digest = hashlib.sha256(execution_key(root).encode())
    for entry in ("tools", "benchmarks"):
        _add_files(digest, root, _files(root, entry))
    return digest.hexdigest()[:16]


def book_key(root: Path) -> str:
    """Returns a hash of everything that the built book depends on."""
    digest = hashlib.sha256(figures_key(root).encode())
    for entry in ("_config.yml", "_toc.yml", "pyproject.toml", "book", "notebooks"):
        _add_files(digest, root, _files(root, entry))
    return digest.hexdigest()[:16]
