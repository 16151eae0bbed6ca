"""Results made ahead in worker processes, in order; a worker that dies is an error at once, and none outlives its use.

A worker is a Python process that gets its work through its standard input and writes results to its standard output.
Nothing is shared but these two pipes, each with one end on either side, so that each side sees the other go, however it
went: the main process reads the end of the pipe where a worker was killed, and a worker cannot write any more where the
main process was.
"""

import os
import pickle
import signal
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from io import BufferedReader, BufferedWriter
from typing import Any, TypeVar

import numpy as np

from vit_jax.data.in_threads import in_threads

A = TypeVar("A")
B = TypeVar("B")

Worker = subprocess.Popen[bytes]

THREADS = 2
"""Of a worker: one decodes while the other waits for the disk."""

MOST = 16
"""Worker processes by default: more would rather take memory than bring images sooner."""

AHEAD = 2
"""Results that a worker has under way or ready, besides the one that it is writing."""

FOR_THE_MAIN_PROCESS = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
"""Signals that terminals and schedulers send to every process of a job. What comes of them the main process decides,
and it needs its workers for as long as it goes on."""


def cores() -> int:
    """Processor cores that this process may use: a scheduler may have given it a part of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_workers() -> int:
    """How many worker processes keep these cores busy."""
    return min(max(cores() // THREADS, 2), MOST)


def in_processes(function: Callable[[A], B], items: Sequence[A], workers: int) -> Generator[B, None, None]:
    """function(item) for each item, in the order of the items.

    Args:
        function: can be pickled and imported anew; so can its results and what it raises.
        items: worker k of W takes items k, k + W, ...
        workers: how many processes; 0: this one's threads do it.

    Raises:
        ChildProcessError: a worker ended before its work did; says how.
        Exception: what `function` raises, when its item's turn comes. A note has the worker's traceback.
    """
    if not workers:
        yield from in_threads(function, items, AHEAD, THREADS)
        return
    with ExitStack() as stack:
        pool = [stack.enter_context(start_worker()) for _ in range(min(workers, len(items)))]
        for worker in pool:
            stack.callback(worker.kill)  # before its context waits for it; it has nothing that is to be kept
        pickled = pickle.dumps(function)
        for first, worker in enumerate(pool):
            give(worker, pickled, items[first :: len(pool)])
        for place in range(len(items)):
            yield take(pool[place % len(pool)])


def start_worker() -> Worker:
    """A process that is about to `work`; blocked from its first moment on are the signals that are not for it.

    It prints unbuffered (-u), as it may be killed before it would come to write what a library had to say of an error.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_MAIN_PROCESS)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-u", "-c", f"from {__name__} import work; work()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def give(worker: Worker, pickled: bytes, items: Sequence[Any]) -> None:
    """Tells a worker what to do, and on what."""
    assert worker.stdin is not None
    try:
        with worker.stdin as pipe:
            pipe.write(pickled)  # joined with the items, it would be copied for each worker: the names of all files
            pipe.write(pickle.dumps(items))
    except BrokenPipeError:
        raise death(worker) from None


def take(worker: Worker) -> Any:
    """The next result of a worker; raises what came instead of it."""
    assert isinstance(worker.stdout, BufferedReader)
    try:
        result, error = receive(worker.stdout)
    except EOFError:
        raise death(worker) from None
    if error is not None:
        raise error
    return result


def death(worker: Worker) -> ChildProcessError:
    """What is to be said of a worker that closed its pipes before its work was done."""
    status = worker.wait()
    if status == -signal.SIGKILL:
        how = "was killed (SIGKILL), perhaps for lack of memory: fewer data.workers or a smaller batch_size need less"
    elif status < 0:
        how = f"was ended by {signal.Signals(-status).name}"
    else:
        how = f"ended with status {status}; its last words are above"
    return ChildProcessError(f"a worker process of the streaming feed {how}")


def work() -> None:
    """What a worker does, from its first moment to its last."""
    results_pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no result
    try:
        function, items = pickle.load(sys.stdin.buffer), pickle.load(sys.stdin.buffer)
    except EOFError:  # the main process is gone already
        return
    results = in_threads(function, items, AHEAD, THREADS)
    error = None
    while error is None:
        try:
            message = next(results), None
        except StopIteration:
            return
        except Exception as raised:
            error = raised
            error.add_note(f"In a worker process: {traceback.format_exc()}")
            message = None, error
        try:
            send(results_pipe, message)
        except BrokenPipeError:  # the main process is gone: nobody waits for what the threads are at
            os._exit(0)


def send(pipe: BufferedWriter, message: Any) -> None:
    """Writes a message; arrays as they are in memory, which spares copying them into and out of a pickle."""
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(head), *(array.raw() for array in arrays)]
    pipe.write(struct.pack(f"<{1 + len(parts)}Q", len(parts), *(part.nbytes for part in parts)))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def receive(pipe: BufferedReader) -> Any:
    """Reads what `send` wrote; EOFError where it ends before."""

    def read(size: int) -> Any:
        data: Any = np.empty(size, np.uint8)  # unlike a bytearray, it is not filled with zeros first
        if pipe.readinto(data) < size:
            raise EOFError
        return data

    (count,) = struct.unpack("<Q", read(8))
    head, *arrays = [read(size) for size in struct.unpack(f"<{count}Q", read(8 * count))]
    return pickle.loads(head, buffers=arrays)
