"""Work in a process of its own: its memory is its own, and what ends it ends nothing else."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import ParamSpec, TypeVar

from vit_jax.printing import log_as_notes, show_any_name
from vit_jax.training.errors import TrainingError
from vit_jax.training.stop_signals import ASKED_BY_PARENT, SIGNALS

P = ParamSpec("P")
T = TypeVar("T")


def in_own_process(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls `work` in a fresh process and returns what it returns, or raises what it raises.

    A signal that makes this process raise a KeyboardInterrupt reaches the other, too: a run there is saved first.

    Raises:
        TrainingError: if the process was ended from outside.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=begin) as pool:
        try:
            return pool.submit(interruptible, work, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise TrainingError("its process was ended from outside, perhaps for want of memory") from error
        except KeyboardInterrupt:
            stop(pool)
            raise


def begin() -> None:
    """What a fresh process does first."""
    show_any_name()
    log_as_notes()
    end_with_parent()


def interruptible(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls `work`, and lets the first of all signals that ask to stop raise a KeyboardInterrupt there.

    The others mean the same: one that came later would interrupt what `work` cleans up, or who waits for more work.
    """
    is_over = False

    def interrupt(*_: object) -> None:
        nonlocal is_over
        if not is_over:
            is_over = True
            raise KeyboardInterrupt

    for number in (*SIGNALS, ASKED_BY_PARENT):
        signal.signal(number, interrupt)
    try:
        return work(*args, **kwargs)
    finally:
        is_over = True


def stop(pool: ProcessPoolExecutor) -> None:
    """Asks the pool's process to stop, and waits until it has; at another signal, ends it at once."""
    try:
        send_to_children(ASKED_BY_PARENT)
        pool.shutdown()
    except KeyboardInterrupt:
        send_to_children(signal.SIGKILL)
        raise


def send_to_children(number: signal.Signals) -> None:
    """Sends a signal to the processes that this one has started."""
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with contextlib.suppress(ProcessLookupError):  # one that has just ended
                os.kill(child.pid, number)


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone, so that no orphan writes where a new start goes on."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
