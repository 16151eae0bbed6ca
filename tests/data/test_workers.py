"""Worker processes: order, errors, and that neither side waits for the other in vain."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vit_jax.data.workers import give, in_processes

PROLOGUE = "import os, signal, sys, time; from vit_jax.data.workers import in_processes\n"


def array(item: int) -> dict[str, Any]:
    return {"image": np.full((3, 500, 500), item, np.uint8), "none": np.ones((0, 4)), "turned": np.eye(3).T[:, :2]}


def own_id(item: object) -> int:
    return os.getpid()


def refuse(item: int) -> int:
    print("what a library prints")
    if item == 3:
        raise ValueError(f"no {item}")
    return item


def close_off(item: int) -> int:
    os._exit(7)


def long_work(item: int) -> int:
    if item:
        time.sleep(600)
    return os.getpid()


def is_running(process: int) -> bool:
    """Neither gone nor a zombie."""
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rsplit(")")[-1].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order_and_whole(workers: int):
    results = list(in_processes(array, range(4, 9), workers))
    for item, result in zip(range(4, 9), results, strict=True):
        for name, expected in array(item).items():
            np.testing.assert_array_equal(result[name], expected)
            assert result[name].dtype == expected.dtype
        result["image"][0] = 0  # they are the caller's own


def test_workers_take_turns_and_are_no_more_than_the_items():
    ids = list(in_processes(own_id, range(2), 8))
    assert len({os.getpid(), *ids}) == 3
    assert not any(map(is_running, ids))
    assert list(in_processes(own_id, range(0), 2)) == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()  # what is blocked is so in the workers only


def test_an_error_comes_in_its_place_as_it_was_raised(capfd: pytest.CaptureFixture[str]):
    results = in_processes(refuse, range(9), 1)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"^no 3\n") as caught:
        next(results)
    assert str(caught.value) == "no 3"
    assert "in refuse" in caught.value.__notes__[0]
    assert "what a library prints" in capfd.readouterr().err  # and was not taken for a result


def test_a_worker_that_is_killed_is_an_error_at_once():
    results = in_processes(long_work, range(4), 1)
    os.kill(next(results), signal.SIGKILL)
    with pytest.raises(ChildProcessError, match=r"was killed \(SIGKILL\), perhaps for lack of memory: fewer data"):
        next(results)


def test_a_worker_that_ends_by_itself_is_an_error():
    with pytest.raises(ChildProcessError, match="ended with status 7"):
        next(in_processes(close_off, range(4), 1))


def test_a_worker_that_cannot_begin_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    for items in (range(4), [bytes(10**6)]):  # found out in reading, and in writing
        with pytest.raises(ChildProcessError, match="ended with status 1"):
            next(in_processes(own_id, items, 1))


def test_what_a_worker_is_to_do_is_not_copied():
    """It may hold the names of a million files, and there is a worker for each processor."""
    pickled = bytes(10**7)
    with Path(os.devnull).open("wb") as pipe:
        worker: Any = SimpleNamespace(stdin=pipe)
        tracemalloc.start()
        give(worker, pickled, range(4))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < len(pickled) / 2


def test_workers_end_when_the_results_are_no_longer_asked_for():
    results = in_processes(long_work, range(4), 1)
    worker = next(results)
    assert is_running(worker)
    results.close()
    assert not is_running(worker)


def test_signals_to_the_whole_job_are_the_main_process_s():
    """From the first moment on, as its workers begin; they go on until it has what it needs."""
    program = """
        from tests.data.test_workers import own_id
        numbers = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1
        for number in numbers:
            signal.signal(number, lambda *_: None)
        results = in_processes(own_id, range(400), 1)
        print("begun", flush=True)
        worker = next(results)
        for number in numbers:
            os.kill(worker, number)
        assert set(results) == {worker}
        print("done")
    """
    with begin(program) as main:
        assert main.stdout is not None
        assert main.stdout.readline() == "begun\n"
        for seconds in (0, 0.1, 0.3, 0.6):
            time.sleep(seconds)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                os.killpg(main.pid, number)
        assert main.communicate(timeout=60) == ("done\n", "")


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()"])
def test_no_worker_outlives_the_main_process(end: str):
    program = f"""
        from tests.data.test_workers import own_id
        results = in_processes(own_id, range(10**6), 1)
        print(next(results), flush=True)
        {end}
    """
    with begin(program) as main:
        worker = int(main.communicate(timeout=60)[0])
    assert wait_until(lambda: not is_running(worker))


def begin(program: str) -> subprocess.Popen[str]:
    """A Python program in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
