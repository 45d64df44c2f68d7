"""What the book is made from, as hashes: tells a fresh build from a stale one.

Only the standard library is imported here, so that `make book` can say "up to date" at once.
"""

import hashlib
import importlib.metadata
import sys
from pathlib import Path

#: All that a chapter's output depends on, but for its own cells and the installed packages.
EXECUTION = ("diqa_utils",)
FIGURES = (*EXECUTION, "benchmarks", "tools")
BOOK = (
    *FIGURES,
    "_config.yml",
    "_toc.yml",
    "book",
    "index.md",
    "notebooks",
    "package-lock.json",
    "pyproject.toml",
)

#: Folders whose files are made by a build or by an editor.
GENERATED = {"__pycache__", ".ipynb_checkpoints", "_figures"}


def inputs_key(root: Path, inputs: tuple[str, ...]) -> str:
    """Returns a hash of files, of those in folders, and of the packages and Python that run."""
    packages = {
        f"{distribution.metadata['Name']}=={distribution.version}".lower()
        for distribution in importlib.metadata.distributions()
    }
    digest = hashlib.sha256("\n".join([sys.version, *sorted(packages)]).encode())
    for name in inputs:
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            generated = GENERATED.intersection(file.relative_to(root).parts)
            if file.is_file() and not generated:
                digest.update(f"{file.relative_to(root).as_posix()}\n".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
