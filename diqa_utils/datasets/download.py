"""Fetching many files, each verified, over connections that may break off."""

import gzip
import hashlib
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from tqdm.auto import tqdm
from urllib3.util.retry import Retry

#: Connections at a time.
CONNECTIONS = 8

#: How often a file is asked for anew, with pauses that double, before the download gives up.
RETRIES = 5
FIRST_PAUSE = 0.5  # s

#: Without an answer for so long (s), a connection counts as broken.
TIMEOUT = 30

#: What a server says when it has too much to do just now.
BUSY = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class ManifestEntry:
    """One file of a manifest: its git blob hash, its size in bytes and its path."""

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


def download(manifest: Mapping[str, ManifestEntry], address: str, folder: Path) -> None:
    """Fetches every file of a manifest that is not in the folder yet.

    A file gets its name only when it is whole and its hash is right, so whatever has a name is
    done: called again, the download goes on where it stopped.

    Args:
        manifest: what to fetch.
        address: of the folder on the server.
        folder: where the files go.

    Raises:
        ConnectionError: if a file cannot be had after several tries; names it.
        ValueError: if a file is not the one that the manifest describes.
    """
    missing = [entry for entry in manifest.values() if not _is_there(entry, folder)]
    if not missing:
        return
    session = _session()
    stop = threading.Event()

    def fetch(entry: ManifestEntry) -> int:
        if stop.is_set():
            return 0
        _fetch(session, entry, f"{address}/{quote(entry.path)}", folder / entry.path)
        return entry.size

    total = sum(entry.size for entry in missing)
    with (
        session,
        ThreadPoolExecutor(CONNECTIONS) as pool,
        tqdm(total=total, desc="download", unit="B", unit_scale=True, leave=False) as bar,
    ):
        try:
            for size in pool.map(fetch, missing):
                bar.update(size)
        finally:
            stop.set()  # what has not begun shall not, if something went wrong


def _is_there(entry: ManifestEntry, folder: Path) -> bool:
    path = folder / entry.path
    return path.is_file() and entry.problem(path.read_bytes()) is None


def _session() -> requests.Session:
    session = requests.Session()
    retry = Retry(total=RETRIES, backoff_factor=FIRST_PAUSE, status_forcelist=BUSY)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=retry))
    return session


def _fetch(session: requests.Session, entry: ManifestEntry, url: str, path: Path) -> None:
    content = _content(session, entry, url)
    if problem := entry.problem(content):
        raise ValueError(f"From {url}: {problem}")
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_name(f"{path.name}.incomplete")
    half_written.write_bytes(content)
    half_written.replace(path)


def _content(session: requests.Session, entry: ManifestEntry, url: str) -> bytes:
    cause: requests.RequestException | None = None
    for _ in range(RETRIES):
        try:
            answer = session.get(url, timeout=TIMEOUT)
            answer.raise_for_status()
            return answer.content
        except requests.exceptions.ChunkedEncodingError as error:
            cause = error  # broken off inside the file, which `Retry` does not see: ask again
        except requests.RequestException as error:
            cause = error
            break
    raise ConnectionError(
        f"{entry.path!r} could not be fetched from {url}: {cause}. Start again, and the download "
        "goes on with the files that are missing."
    ) from cause
