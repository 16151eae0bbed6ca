"""Protects that a run's process is its own: one that fails or is killed ends alone, and none outlives its parent."""

import os
import select
import signal
import subprocess
import sys
import time

import pytest

from vit_jax.comparison.processes import in_own_process
from vit_jax.training.errors import TrainingError


def kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(message: str) -> None:
    raise FileNotFoundError(message)


def test_work_is_done_elsewhere_and_its_result_comes_back():
    assert in_own_process(os.getpid) != os.getpid()
    with pytest.raises(FileNotFoundError, match="no such picture"):
        in_own_process(fail, "no such picture")


def test_a_process_that_is_killed_is_told():
    with pytest.raises(TrainingError, match="ended from outside"):
        in_own_process(kill_oneself)


PARENT = """
import time
from vit_jax.comparison.processes import in_own_process

if __name__ == "__main__":
    in_own_process(exec, "import time; print('at work', flush=True); time.sleep(60)")
"""


def test_no_process_outlives_the_comparison_that_was_killed(tmp_path):
    """It would go on writing into the workdir in which the same command, given again, goes on."""
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, str(tmp_path / "parent.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "at work\n"
        parent.kill()
        ended, _, _ = select.select([parent.stdout], [], [], 20)  # when nobody has it any more to write to
        assert ended
        assert parent.stdout.read() == ""


STOPPED_PARENT = """
import time
from vit_jax.comparison.processes import in_own_process
from vit_jax.training.stop_signals import StopSignals, interrupt_on_signals

def run():
    with StopSignals() as stop:
        stop.after_dispatch()
        print("at work", flush=True)
        end = time.monotonic() + 40
        while not stop.agreed() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(SAVING)
        print("saved", flush=True)

if __name__ == "__main__":
    interrupt_on_signals()
    try:
        in_own_process(run)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.parametrize(
    ("whom", "signals", "saving", "said"),
    [
        ("parent", [signal.SIGTERM], 1, ["saved", "stopped"]),
        ("parent", [signal.SIGUSR1], 1, ["saved", "stopped"]),
        ("group", [signal.SIGTERM], 1, ["saved", "stopped"]),
        ("group", [signal.SIGINT], 1, ["saved", "stopped"]),
        ("parent", [signal.SIGTERM, signal.SIGTERM], 60, ["stopped"]),
        ("group", [signal.SIGINT, signal.SIGINT], 60, ["stopped"]),
    ],
)
def test_a_run_is_saved_whether_a_signal_reaches_its_process_or_not(whom, signals, saving, said, tmp_path):
    """Ctrl-C in a terminal reaches both, `kill` and most schedulers the parent alone. A second ends both at once."""
    (tmp_path / "parent.py").write_text(STOPPED_PARENT.replace("SAVING", str(saving)))
    command = [sys.executable, str(tmp_path / "parent.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, process_group=0) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "at work\n"
        for place, number in enumerate(signals):
            if place:
                time.sleep(0.5)
            (os.kill if whom == "parent" else os.killpg)(parent.pid, number)
        output, _ = parent.communicate(timeout=20)
    assert output.splitlines() == said


CLEANING_PARENT = """
import tempfile, time
from vit_jax.comparison.processes import in_own_process
from vit_jax.training.stop_signals import interrupt_on_signals

def measure(folder):
    with tempfile.TemporaryDirectory(dir=folder):
        try:
            print("at work", flush=True)
            for _ in range(600):
                time.sleep(0.1)
        finally:
            for _ in range(10):
                time.sleep(0.1)
            print("cleaned up", flush=True)

if __name__ == "__main__":
    interrupt_on_signals()
    try:
        in_own_process(measure, FOLDER)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.parametrize(
    ("whom", "number"), [("parent", signal.SIGTERM), ("group", signal.SIGTERM), ("group", signal.SIGINT)]
)
def test_what_is_no_run_cleans_up_and_ends(whom, number, tmp_path):
    """One of the two signals that reach it interrupts it, the other not its cleaning up."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "parent.py").write_text(CLEANING_PARENT.replace("FOLDER", repr(str(tmp_path / "scratch"))))
    command = [sys.executable, str(tmp_path / "parent.py")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, process_group=0
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "at work\n"
        (os.kill if whom == "parent" else os.killpg)(parent.pid, number)
        assert parent.communicate(timeout=20) == ("cleaned up\nstopped\n", "")
    assert not list((tmp_path / "scratch").iterdir())
