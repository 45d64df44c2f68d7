"""Fetching a database over connections that break off, from a server on this machine."""

import http.server
import itertools
import threading
from collections import Counter
from urllib.parse import unquote

import made_up
import pytest

from diqa_utils import datasets
from diqa_utils.datasets import download
from diqa_utils.datasets.biq2021 import biq2021_dataset_builder as biq2021


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder; `behave` says what happens to a request, by the number of the request."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.requests = itertools.count()
        self.served = []
        self.behave = lambda number, path: "serve"

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # a connection that is cut on purpose


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = unquote(self.path).lstrip("/")
        content = (self.server.folder / path).read_bytes()
        behaviour = self.server.behave(next(self.server.requests), path)
        if behaviour == "busy":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if behaviour == "refuse":
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if behaviour == "drop":
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(content if behaviour == "serve" else content[::-1])
        self.server.served.append(path)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def release(tmp_path):
    return made_up.biq(tmp_path / "release", train=30, test=10)


@pytest.fixture
def server(release, monkeypatch):
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.01)
    with Server(release) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def manifest(release):
    return made_up.manifest(release)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_file_is_fetched_whatever_its_name(server, manifest, release, tmp_path):
    download.download(manifest, server.address, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(release)
    assert len(server.served) == 42


def test_connections_that_break_off_and_busy_servers_are_tried_again(
    server, manifest, release, tmp_path
):
    asked = Counter()

    def difficult(number, path):
        asked[path] += 1
        return ("drop", "busy", "serve")[asked[path] - 1]

    server.behave = difficult
    download.download(manifest, server.address, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(release)


def test_an_interrupted_download_goes_on_where_it_stopped(server, manifest, release, tmp_path):
    server.behave = lambda number, path: "serve" if number < 20 else "drop"
    with pytest.raises(ConnectionError, match=r"could not be fetched from http.*Start again, and"):
        download.download(manifest, server.address, tmp_path / "copy")
    first = set(contents(tmp_path / "copy"))
    assert len(first) == 20
    assert not [name for name in first if name.endswith("incomplete")]

    server.behave = lambda number, path: "serve"
    server.served.clear()
    download.download(manifest, server.address, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(release)
    assert len(server.served) == 22
    assert not first & set(server.served)


def test_a_file_that_was_cut_or_changed_on_the_disk_is_fetched_again(
    server, manifest, release, tmp_path
):
    download.download(manifest, server.address, tmp_path / "copy")
    cut, changed = "Images/ss01 (1).jpg", "Images/ss01 (2).jpg"
    made_up.write(tmp_path / "copy", cut, b"half")
    made_up.write(tmp_path / "copy", changed, (release / changed).read_bytes()[::-1])
    server.served.clear()
    download.download(manifest, server.address, tmp_path / "copy")
    assert sorted(server.served) == [cut, changed]
    assert contents(tmp_path / "copy") == contents(release)


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("refuse", ConnectionError, r"'Images/ss01 \(7\).jpg' could not be fetched from .*404"),
        ("reversed", ValueError, r"From http.*'Images/ss01 \(7\).jpg' has another content than"),
    ],
)
def test_a_file_that_is_not_the_right_one_is_named(
    server, manifest, tmp_path, behaviour, error, words
):
    server.behave = lambda number, path: behaviour if "(7)" in path else "serve"
    with pytest.raises(error, match=words):
        download.download(manifest, server.address, tmp_path / "copy")
    assert "Images/ss01 (7).jpg" not in contents(tmp_path / "copy")


def test_a_server_that_is_not_there_is_named(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "FIRST_PAUSE", 0)
    with pytest.raises(ConnectionError, match=r"could not be fetched from http://127.0.0.1:9/"):
        download.download(manifest, "http://127.0.0.1:9", tmp_path)


def test_biq2021_is_downloaded_and_built_in_one_call(server, manifest, tmp_path, monkeypatch):
    biq2021._by_lower_name.cache_clear()
    monkeypatch.setattr(biq2021, "manifest", lambda: manifest)
    monkeypatch.setattr(biq2021, "ADDRESS", server.address)
    parts = datasets.load("biq2021", data_dir=tmp_path, download=True, partial=True)
    biq2021._by_lower_name.cache_clear()
    assert {name: len(part) for name, part in parts.items()} == {"train": 30, "test": 10}
    assert (tmp_path / "manual" / "biq2021" / "Images" / "ss01 (5).JPG").is_file()


def test_a_database_that_its_owners_hand_out_is_not_downloaded(tmp_path):
    with pytest.raises(ValueError, match=r"csiq cannot be downloaded: its owners hand it out"):
        datasets.load("csiq", data_dir=tmp_path, download=True)


def test_the_manifest_is_that_of_the_repository():
    manifest = biq2021.manifest()
    pictures = [path for path in manifest if path.startswith("Images/")]
    assert len(pictures) == 12000
    assert set(manifest) - set(pictures) == set(biq2021.TABLES.values())
    assert [path for path in pictures if not path.endswith(".jpg")] == ["Images/ss02 (1014).JPG"]
    assert all(len(entry.blob) == 40 and entry.size > 0 for entry in manifest.values())


def test_the_hash_is_git_s():
    # printf 'what is up, doc?' | git hash-object --stdin, from git's own book
    assert download.blob_hash(b"what is up, doc?") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
