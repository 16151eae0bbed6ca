"""Two runs never train in one workdir."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from vit_jax.training import workdir_lock
from vit_jax.training.workdir_lock import WorkdirLock, holder_of


def test_the_second_is_refused_and_told_who_holds_it(tmp_path):
    with WorkdirLock(tmp_path), pytest.raises(BlockingIOError) as error:
        WorkdirLock(tmp_path)
    assert f"process {os.getpid()} on {socket.gethostname()} is training in {tmp_path}" in str(error.value)


def test_it_is_free_again_after_the_first(tmp_path):
    with WorkdirLock(tmp_path):
        pass
    with WorkdirLock(tmp_path):
        pass


def test_a_killed_process_holds_nothing(tmp_path):
    code = f"""
import os, pathlib
from vit_jax.training.workdir_lock import WorkdirLock
lock = WorkdirLock(pathlib.Path({str(tmp_path)!r}))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    with WorkdirLock(tmp_path):
        pass


def test_who_holds_it_is_known_as_soon_as_its_lock_shows(tmp_path, monkeypatch):
    """A network file system may go on for a while as if another machine had not made it."""
    monkeypatch.setattr(workdir_lock, "SHOWN_AFTER_SECONDS", 0)
    assert holder_of(tmp_path / "run") == ""
    monkeypatch.undo()
    (tmp_path / "late").mkdir()
    with WorkdirLock(tmp_path / "late"):
        show = threading.Timer(0.2, (tmp_path / "late").rename, (tmp_path / "run",))
        show.start()
        assert holder_of(tmp_path / "run") == f"process {os.getpid()} on {socket.gethostname()}"
