"""Downloading a published file whose checksum is known."""

import hashlib
import http.client
import os
import queue
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from vit_jax.whole_file import errors_name

CONNECT_SECONDS = 8.0
"""Time for finding the server, connecting and receiving the first byte: a machine without network is told so soon."""

STALL_SECONDS = 30.0
"""The longest wait for more of a file that has begun to come."""


def download(address: str, path: Path, num_bytes: int, sha256: str) -> None:
    """Downloads a file to `path`, which is written only when the file is complete and its checksum right.

    Args:
        address: http or https.
        path: of the file; its folder is made.
        num_bytes: that the file has.
        sha256: that the file has.

    Raises:
        ConnectionError: no network, no answer, or it broke off.
        ValueError: what came is not the file.
    """
    response = connect(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the final name, so that it can be renamed; unique, so that two downloads do not write into one file.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        digest = hashlib.sha256()
        with open(part, "xb") as file:
            for chunk in _chunks(response, path.name, num_bytes):
                with errors_name(path):
                    file.write(chunk)
                digest.update(chunk)
        if digest.hexdigest() != sha256:
            raise ValueError(
                f"what {address} gave is not the published file: its sha256 is {digest.hexdigest()}, not {sha256}. "
                "Something between here and there may have answered instead (a proxy, a login page)"
            )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def connect(address: str, seconds: float = CONNECT_SECONDS) -> http.client.HTTPResponse:
    """An answer whose first byte has come.

    `urlopen`'s own timeout does not cover looking the name up, and counts anew for each of its addresses. Here a thread
    waits, and is left behind when the time is up.

    Raises:
        ConnectionError: no answer within `seconds`, or one that is an error.
    """
    answer: queue.Queue[http.client.HTTPResponse | Exception] = queue.Queue()

    def ask() -> None:
        try:
            response = urllib.request.urlopen(address, timeout=STALL_SECONDS)
            response.peek(1)
            answer.put(response)
        except Exception as error:  # for the thread that waits to raise
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        result = answer.get(timeout=seconds)
    except queue.Empty:
        raise ConnectionError(f"{address} did not answer within {seconds:g} seconds") from None
    if isinstance(result, Exception):
        raise ConnectionError(f"{address} cannot be reached: {result}") from result
    return result


def _chunks(response: http.client.HTTPResponse, name: str, num_bytes: int) -> Iterator[bytes]:
    """What an answer holds, with a bar that shows how far it is; no more than a byte beyond what it should hold."""
    received = 0
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress, response:
        task = progress.add_task(name, total=num_bytes)
        while received <= num_bytes:
            try:
                chunk = response.read(min(2**20, num_bytes + 1 - received))
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionError(f"the download of {name} broke off: {error}") from error
            if not chunk:
                break
            received += len(chunk)
            progress.update(task, completed=received)
            yield chunk
    if response.length and received < num_bytes:
        raise ConnectionError(f"the download of {name} broke off after {received:,} of {num_bytes:,} bytes")
