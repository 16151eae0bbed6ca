"""Downloading a published file whose checksum is known."""

import hashlib
import http.client
import os
import queue
import tempfile
import threading
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

CONNECT_SECONDS = 10.0
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
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with response, open(handle, "wb") as file:
            received = _receive(response, file, path.name, num_bytes)
        if received != sha256:
            raise ValueError(
                f"what {address} gave is not the published file: its sha256 is {received}, not {sha256}. Something "
                "between here and there may have answered instead (a proxy, a login page)"
            )
        os.replace(part, path)
    except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
        raise ConnectionError(f"the download of {address} broke off: {error or type(error).__name__}") from error
    finally:
        Path(part).unlink(missing_ok=True)


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


def _receive(response: http.client.HTTPResponse, file, name: str, num_bytes: int) -> str:
    """Writes an answer to a file, showing how far it is; returns the sha256 of what came."""
    digest = hashlib.sha256()
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=num_bytes)
        # One byte more than there should be is enough to see that it is another file.
        while chunk := response.read(min(2**20, num_bytes + 1 - file.tell())):
            file.write(chunk)
            digest.update(chunk)
            progress.update(task, advance=len(chunk))
    return digest.hexdigest()
