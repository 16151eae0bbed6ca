"""benchmarks.throughput.processes: work is done elsewhere, errors come back, and no process is left."""

import multiprocessing
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from benchmarks.throughput.processes import in_own_process
from benchmarks.throughput.program import Program
from benchmarks.throughput.workload import Batch, Setting, Workload

SETTING = Setting("cpu", steps=1, dispatches=1)
NO_WORK = Workload("none", None, None)  # pyright: ignore[reportArgumentType]: nothing here computes a network


def batch(size: int) -> Batch:
    return np.zeros((size, 1, 1, 3), np.float32), np.zeros(size, np.int32)


class Unsendable(RuntimeError):
    """As libraries have them: it cannot be made again from its message."""

    def __init__(self, message: str, code: int):
        super().__init__(message)


@dataclass
class Fake:
    """Inference says in which process it runs and on how many images; training fails for 1 image, and ends it for 2."""

    name: str

    def inference(self, batch: Batch) -> Program:
        return Program(lambda: (os.getpid(), len(batch[0])), len(batch[0]), 3, 0.5, None)

    def training(self, batch: Batch, parts: int) -> Program:
        if len(batch[0]) == 1:
            raise Unsendable("out of memory", 7)
        return Program(lambda: os._exit(1), len(batch[0]), 1, None, None)


def make_fake(name: str, work: Workload, setting: Setting) -> Any:
    if name == "unknown":
        raise ValueError("no such network")
    if name == "missing":
        raise ModuleNotFoundError("No module named 'torch'")
    return Fake(name)


def test_programs_run_in_another_process_and_errors_come_back():
    with in_own_process(make_fake, "fake", NO_WORK, SETTING) as remote:
        small, large = (remote.inference(batch(size)) for size in (1, 2))
        assert (large.images, large.steps_per_dispatch, large.compile_seconds, large.peak_bytes) == (2, 3, 0.5, None)
        (process, images), (same, more) = small.run(), large.run()
        assert (images, more) == (1, 2)
        assert process == same != os.getpid()
        with pytest.raises(RuntimeError, match="out of memory"):
            remote.training(batch(1), 1)
        ends = remote.training(batch(2), 2)
        with pytest.raises(RuntimeError, match="process of fake has ended"):
            ends.run()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("name", "error", "message"), [("unknown", ValueError, "no such network"), ("missing", ImportError, "torch")]
)
def test_what_cannot_be_made_says_why_and_leaves_no_process(name: str, error: type[Exception], message: str):
    with pytest.raises(error, match=message), in_own_process(make_fake, name, NO_WORK, SETTING):
        pass
    assert not multiprocessing.active_children()
