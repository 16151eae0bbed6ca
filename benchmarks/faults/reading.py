"""Files that are read one after the other in a process of its own: what it refuses, where it crashes or hangs."""

import multiprocessing
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from vit_jax.training.memory import peak_resident_set

Read = Callable[[random.Random], None]
"""Reads one file, drawn and damaged with a generator of its own; raises a ValueError if it refuses it."""

PATIENCE_SECONDS = 20.0
"""After which reading a file counts as a hang."""

START_SECONDS = 300.0
"""That the process may take to start."""


@dataclass
class Reading:
    """What came of reading many files.

    Attributes:
        outcomes: how often a file was "read", "refused", met with an "unexpected error" (no ValueError), made the
            process crash ("crashed"), or was not done with in time ("hung").
        slowest: seconds of a file that was read or refused.
        more_bytes: of memory at most, beyond what the process had before the first file.
    """

    outcomes: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("read", "refused", "unexpected error", "crashed", "hung"), 0)
    )
    slowest: float = 0.0
    more_bytes: int = 0


def watched(make_read: Callable[[], Read], times: int, seed: int, patience: float = PATIENCE_SECONDS) -> Reading:
    """Reads files in another process, and in a new one after each crash or hang.

    Args:
        make_read: a function of a module, or a partial of one; called in the process.
        times: number of files.
        seed: file n is drawn with `random.Random(f"{seed}/{n}")`.
        patience: seconds for a file.

    Raises:
        RuntimeError: if the process does not start.
    """
    reading, number = Reading(), 0
    context = multiprocessing.get_context("spawn")
    while number < times:
        connection, its_connection = context.Pipe()
        process = context.Process(target=read_all, args=(its_connection, make_read, number, times, seed))
        process.start()
        its_connection.close()  # so that its end is seen here
        try:
            if not connection.poll(START_SECONDS):
                raise RuntimeError("the process that reads did not start")
            connection.recv()
            while number < times:
                outcome = next_outcome(connection, patience, reading)
                reading.outcomes[outcome] += 1
                number += 1
                if number % 1000 == 0:
                    print(f"  {number:,} of {times:,}", file=sys.stderr, flush=True)
                if outcome in ("crashed", "hung"):
                    break
        except EOFError as error:
            raise RuntimeError("the process that reads ended before its first file") from error
        finally:
            process.kill()
            process.join()
            connection.close()
    return reading


def next_outcome(connection: Connection, patience: float, reading: Reading) -> str:
    """What came of the next file; its seconds and memory are entered into `reading`."""
    if not connection.poll(patience):
        return "hung"
    try:
        outcome, seconds, more_bytes, error = connection.recv()
    except EOFError:
        return "crashed"
    if error:
        print(f"  unexpected: {error}", file=sys.stderr, flush=True)
    reading.slowest = max(reading.slowest, seconds)
    reading.more_bytes = max(reading.more_bytes, more_bytes)
    return outcome


def read_all(connection: Connection, make_read: Callable[[], Read], first: int, times: int, seed: int) -> None:
    """The other process: reads the files from `first` on, and sends what came of each."""
    read = make_read()
    connection.send("ready")
    before = peak_resident_set()
    for number in range(first, times):
        start, error = time.perf_counter(), None
        try:
            read(random.Random(f"{seed}/{number}"))
            outcome = "read"
        except ValueError:
            outcome = "refused"
        except Exception as unexpected:
            outcome, error = "unexpected error", f"file {number}: {unexpected!r}"
        connection.send((outcome, time.perf_counter() - start, peak_resident_set() - before, error))
