"""Protects that a run's process is its own: one that fails or is killed ends alone, and none outlives its parent."""

import os
import select
import signal
import subprocess
import sys

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
