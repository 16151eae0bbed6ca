"""Work in a process of its own: its memory is its own, and what ends it ends nothing else."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import ParamSpec, TypeVar

from vit_jax.training.errors import TrainingError

P = ParamSpec("P")
T = TypeVar("T")


def in_own_process(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls `work` in a fresh process and returns what it returns, or raises what it raises.

    Raises:
        TrainingError: if the process was ended from outside.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        try:
            return pool.submit(work, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise TrainingError("its process was ended from outside, perhaps for want of memory") from error


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone, so that no orphan writes where a new start goes on."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
