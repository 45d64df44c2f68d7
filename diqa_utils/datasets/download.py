"""Fetching a database from a public git repository, and comparing it with a list of hashes."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ManifestEntry:
    """File of a manifest: its git blob hash, its size in bytes and its path."""

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


def read_manifest(path: Path) -> dict[str, ManifestEntry]:
    """Reads a compressed manifest with the columns hash, size and path; by path."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    cells = (line.split("\t") for line in lines)
    return {path: ManifestEntry(blob, int(size), path) for blob, size, path in cells}


def download(
    manifest: Mapping[str, ManifestEntry], address: str, commit: str, folder: Path
) -> None:
    """Fetches one state of a git repository into a folder, unless the folder holds it already.

    The folder gets its name only when every file of the manifest is in it.

    Args:
        manifest: Files that the folder must hold, by path.
        address: Address of the repository.
        commit: Full hash of the state to fetch.
        folder: Place of the files; nothing else may lie in it.

    Raises:
        FileNotFoundError: If git is not installed.
        ConnectionError: If git cannot fetch the files; gives its reason.
        ValueError: If a file is missing or not the one that the manifest describes.
    """
    if folder.is_dir() and any(folder.iterdir()):
        if problem := _problem(manifest, folder):
            raise ValueError(f"{problem} Move {str(folder)!r} away, and start again.")
        return
    half_made = folder.with_name(f"incomplete-{folder.name}")
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(parents=True)
    try:
        # The files as they were published, whatever line ends this system prefers.
        for arguments in (
            ("init", "--quiet"),
            ("fetch", "--depth=1", "--progress", address, commit),
            ("-c", "core.autocrlf=false", "checkout", "--quiet", "FETCH_HEAD"),
        ):
            _git(half_made, *arguments, address=address)
        shutil.rmtree(half_made / ".git", ignore_errors=True)
        if problem := _problem(manifest, half_made):
            raise ValueError(f"From {address}: {problem}")
        if folder.is_dir():
            folder.rmdir()
        half_made.rename(folder)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)


def _git(folder: Path, *arguments: str, address: str) -> None:
    """Runs git in a folder, and passes on what it says about its progress."""
    if not shutil.which("git"):
        raise FileNotFoundError(
            f"Fetching {address} needs git, which is not on this machine: install it, or copy the "
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
        raise ConnectionError(f"git could not fetch {address}: {reason}")


def _problem(manifest: Mapping[str, ManifestEntry], folder: Path) -> str | None:
    """Says what is wrong with the first file that is missing or not the published one."""
    for path, entry in manifest.items():
        if not (folder / path).is_file():
            return f"{path!r} is missing in {str(folder)!r}."
        if problem := entry.problem((folder / path).read_bytes()):
            return problem
    return None
