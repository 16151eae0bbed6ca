"""Downloading, from a server on this machine."""

import functools
import hashlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vit_jax.data import download as module
from vit_jax.data.download import connect, download

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch):
    """Reaches this machine directly, whatever the environment says."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,server.invalid")


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without logging; "cut" comes to half of what is announced."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path != "/cut":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2])


class QuietServer(ThreadingHTTPServer):
    """Does not print that a client has gone away."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with QuietServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_is_downloaded_whole(address: str, tmp_path: Path):
    download(f"{address}/file", tmp_path / "to" / "file", len(CONTENT), SHA256)
    assert (tmp_path / "to" / "file").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["file"]


@pytest.mark.parametrize("num_bytes", [len(CONTENT), len(CONTENT) - 1, 5])
def test_another_file_than_the_published_one_leaves_nothing(num_bytes: int, address: str, tmp_path: Path):
    with pytest.raises(ValueError, match="gave is not the published file: its sha256 is"):
        download(f"{address}/file", tmp_path / "to" / "file", num_bytes, "0" * 64)
    assert list((tmp_path / "to").iterdir()) == []


def test_no_more_is_read_than_shows_that_a_file_is_too_large(address: str):
    received = list(module._chunks(connect(f"{address}/file"), "file", 1_500_000))
    assert sum(map(len, received)) == 1_500_001


def test_a_download_that_breaks_off_leaves_nothing(address: str, tmp_path: Path):
    with pytest.raises(ConnectionError, match=f"download of file broke off after 2,560,000 of {len(CONTENT):,} bytes"):
        download(f"{address}/cut", tmp_path / "to" / "file", len(CONTENT), SHA256)
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_download_leaves_nothing(
    error: BaseException, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise error

    monkeypatch.setattr(module, "_chunks", broken)
    with pytest.raises(type(error)):
        download(f"{address}/file", tmp_path / "to" / "file", len(CONTENT), SHA256)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_full_disk_names_the_file(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "open", lambda *_: io.FileIO("/dev/full", "w"), raising=False)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path / 'to' / 'file'}'"):
        download(f"{address}/file", tmp_path / "to" / "file", len(CONTENT), SHA256)


def test_a_file_the_server_has_not_is_told(address: str, tmp_path: Path):
    with pytest.raises(ConnectionError, match="/nothing cannot be reached: HTTP Error 404"):
        download(f"{address}/nothing", tmp_path / "file", 1, SHA256)


def test_no_server_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=f"127.0.0.1:{port} cannot be reached"):
        connect(f"http://127.0.0.1:{port}")
    assert time.monotonic() - start < 5


def test_a_server_that_never_answers_is_waited_for_no_longer_than_said():
    """The whole wait is bounded, name look-up included; without network a user is told within 15 seconds."""
    assert module.CONNECT_SECONDS < 15
    with socket.create_server(("127.0.0.1", 0)) as server:
        start = time.monotonic()
        with pytest.raises(ConnectionError, match=r"did not answer within 0\.3 seconds"):
            connect(f"http://127.0.0.1:{server.getsockname()[1]}", seconds=0.3)
        assert time.monotonic() - start < 5


def test_a_name_look_up_that_hangs_is_waited_for_no_longer_than_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(20))
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="did not answer"):
        connect("http://server.invalid", seconds=0.2)
    assert time.monotonic() - start < 5
