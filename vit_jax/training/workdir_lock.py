"""One run at a time in a workdir."""

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Self

SHOWN_AFTER_SECONDS = 60
"""So long a network file system may go on saying that a file is not there which another machine has made."""


class WorkdirLock:
    """Holds a workdir for this process; the system lets go of it when the process ends, however it ends.

    Args:
        workdir: of the run; it must exist.

    Raises:
        BlockingIOError: if another process holds it, which is named.
    """

    def __init__(self, workdir: Path):
        self.file = (workdir / ".lock").open("a+")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.file.seek(0)
            holder = self.file.read().strip() or "another process"
            raise BlockingIOError(
                f"{holder} is training in {workdir}: wait for its end, or give another --workdir"
            ) from error
        self.file.truncate(0)
        self.file.write(f"process {os.getpid()} on {socket.gethostname()}")
        self.file.flush()
        os.fsync(self.file.fileno())  # on other machines, too, it is to be read

    def close(self) -> None:
        """Lets others in."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def holder_of(workdir: Path) -> str:
    """Which process holds a workdir, by its lock, which other machines may see late; "" if there is none."""
    lock, end = workdir / ".lock", time.monotonic() + SHOWN_AFTER_SECONDS
    while not lock.exists():
        if time.monotonic() > end:
            return ""
        time.sleep(0.1)
    return lock.read_text()
