"""Two processes with four devices each are one run: equal to one process with eight, stopped together, never apart."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from vit_jax.training import processes

ROOT = Path(__file__).parents[2]
SMALL = (
    "--model.embed_dim 16 --model.depth 1 --model.num_heads 2 --optimizer.name sgd --ema_decay 0.9 --batch_size 32 "
    "--data.validation_fraction 0.1"
)
TIMES = {
    "duration": "80 steps",
    "schedule.warmup": "2 steps",
    "log_every": "3 steps",
    "evaluate_every": "20 steps",
    "checkpoint_every": "4 steps",
}
ENOUGH = 180
"""Seconds that nothing takes."""


class Job:
    """`train.py` as several processes of 8 devices in all.

    Args:
        workdir: of the run; what each process says is kept beside it.
        count: of processes.
        flags: of all.
        own_flags: of the last one.
        **times: fields of the config that `TIMES` has otherwise.
    """

    def __init__(self, workdir: Path, count: int, *flags: str, own_flags: tuple[str, ...] = (), **times: str):
        self.workdir = workdir
        with socket.create_server(("localhost", 0)) as free:
            address = f"localhost:{free.getsockname()[1]}"
        self.said = [workdir.with_name(f"{workdir.name}.{index}.{count}") for index in range(count)]
        self.processes = []
        for index, said in enumerate(self.said):
            command = [sys.executable, str(ROOT / "train.py"), "--workdir", str(workdir), *SMALL.split(), *flags]
            command += [part for name, value in {**TIMES, **times}.items() for part in (f"--{name}", value)]
            command += own_flags if index == count - 1 else ()
            of_several = {
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(count),
                "JAX_PROCESS_ID": str(index),
            }
            command += ["--parallel.distributed", "True"] if count > 1 else []
            devices = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={8 // count}"
            environment = {**os.environ, "XLA_FLAGS": devices, **(of_several if count > 1 else {})}
            with said.open("w") as file:
                process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
            self.processes.append(process)

    def wait(self) -> list[int]:
        """The exit statuses."""
        try:
            return [process.wait(ENOUGH) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()

    def wait_for_checkpoint(self) -> None:
        """Waits until the run has something to go on from."""
        end = time.monotonic() + ENOUGH
        while not list(self.workdir.glob("checkpoints/*/manifest.json")):
            assert time.monotonic() < end
            assert not any(process.poll() for process in self.processes), self.words(0)
            time.sleep(0.05)

    def words(self, index: int) -> str:
        """What a process said."""
        return self.said[index].read_text()

    def succeeds(self) -> None:
        """Waits for its end, which must be good."""
        assert self.wait() == [0] * len(self.processes), "\n".join(map(self.words, range(len(self.processes))))


def assert_same_run(workdir: Path, expected: Path):
    """Asserts that two runs had the same metrics, without holes or doubles, and came to the same model and best one."""
    rows, expected_rows = (
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (workdir, expected)
    )
    assert [(row["kind"], row["step"]) for row in rows] == [(row["kind"], row["step"]) for row in expected_rows]
    for row, expected_row in zip(rows, expected_rows, strict=True):
        for name in ("loss", "accuracy"):
            np.testing.assert_allclose(row[name], expected_row[name], atol=1e-5)
    for folder in ("model", "best"):
        arrays, expected_arrays = (load_file(path / folder / "model.safetensors") for path in (workdir, expected))
        assert arrays.keys() == expected_arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_allclose(array, expected_arrays[name], atol=1e-5, err_msg=f"{folder}: {name}")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The workdir of a run of one process with eight devices."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    Job(workdir, 1).succeeds()
    return workdir


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    ["--parallel.mode jit", "--parallel.mode pmap", "--parallel.fsdp 8", "--data.feed streaming --data.workers 1"],
)
def test_two_processes_are_one_run(flags, alone, tmp_path):
    job = Job(tmp_path / "run", 2, *flags.split())
    job.succeeds()
    assert_same_run(tmp_path / "run", alone)
    assert "report" in job.words(0)
    assert "report" not in job.words(1)
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_where_one_is_killed_the_others_end_within_a_minute_and_the_run_goes_on(killed, alone, tmp_path):
    job = Job(tmp_path / "run", 2)
    job.wait_for_checkpoint()
    job.processes[killed].kill()
    began = time.monotonic()
    job.wait()
    assert time.monotonic() - began < 60
    assert job.processes[1 - killed].returncode != 0
    # JAX says so after its heartbeats; the collectives of simulated devices may break at once, each in its own words.
    words = job.words(1 - killed)
    reasons = ("most likely indicates that another task died", "gloo::", "Connection reset", "Connection closed")
    assert any(reason in words for reason in reasons), words
    Job(tmp_path / "run", 2).succeeds()
    assert_same_run(tmp_path / "run", alone)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_of_them_stops_all_at_the_same_step(number, alone, tmp_path):
    job = Job(tmp_path / "run", 2)
    job.wait_for_checkpoint()
    job.processes[1].send_signal(number)
    assert job.wait() == [75, 75]
    assert "8 x cpu in 2 processes" in job.words(0)
    Job(tmp_path / "run", 1).succeeds()  # on other devices
    assert_same_run(tmp_path / "run", alone)


@pytest.mark.slow
def test_they_must_have_the_same_config(tmp_path):
    job = Job(tmp_path / "run", 2, own_flags=("--seed", "1"))
    assert job.wait()[1] == 2
    assert "process 1 and process 0 must be alike, but differ in config" in job.words(1)


@pytest.mark.slow
def test_they_must_have_the_same_workdir(tmp_path):
    """A disk of its own, with a lock from another time."""
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / ".lock").write_text("process 1 on another")
    job = Job(tmp_path / "run", 2, own_flags=("--workdir", str(tmp_path / "another")))
    assert job.wait()[1] == 2
    assert "must be alike, but differ in the workdir, which all processes must share" in job.words(1)


@pytest.mark.slow
def test_what_the_first_one_refuses_ends_the_others(tmp_path):
    Job(tmp_path / "run", 1).succeeds()
    job = Job(tmp_path / "run", 2, "--seed", "1")
    assert job.wait()[0] == 2
    assert job.processes[1].returncode != 0
    assert "seed: 0 -> 1" in job.words(0)


FAILING = """
import sys, time
from vit_jax.training import processes
processes.join()
if sys.argv[1:] == ["fails"]:
    raise KeyError("nobody expected this")
time.sleep(300)
"""


@pytest.mark.parametrize("failing", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_error_that_nobody_expected_ends_the_others_too(failing):
    """JAX by itself waits five minutes for all to end."""
    with socket.create_server(("localhost", 0)) as free:
        address = f"localhost:{free.getsockname()[1]}"
    variables = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    began = time.monotonic()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", FAILING, "fails" if index == failing else "waits"],
            env={**os.environ, **variables, "JAX_PROCESS_ID": str(index)},
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for index in range(2)
    ]
    said = [process.communicate(timeout=ENOUGH)[1] for process in started]
    assert time.monotonic() - began < 90
    assert started[failing].returncode == os.EX_SOFTWARE  # and not 1, after which no scheduler starts it again
    assert "nobody expected this" in said[failing]
    assert started[1 - failing].returncode != 0


@pytest.fixture
def join(monkeypatch):
    """Joins as if on a kind of device; returns what JAX was told when it was initialised, and what was configured."""

    def join(backend: str) -> tuple[dict[str, Any], dict[str, Any]]:
        told, configured = {}, {}
        monkeypatch.setattr(jax.distributed, "initialize", lambda **arguments: told.update(arguments))
        monkeypatch.setattr(jax, "default_backend", lambda: backend)
        monkeypatch.setattr(jax.config, "update", configured.__setitem__)
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back afterwards
        processes.join()
        return told, configured

    return join


@pytest.mark.parametrize(
    ("backend", "directory", "kept"),
    [("gpu", None, False), ("tpu", None, False), ("gpu", "/shared", True), ("cpu", "/shared", False)],
)
def test_programs_are_kept_only_where_all_processes_find_them_again(backend, directory, kept, join, monkeypatch):
    """JAX keeps those of the first process: in a directory of its own, the others would not have them."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    if directory is not None:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", directory)
    _, configured = join(backend)
    assert configured == ({} if kept else {"jax_enable_compilation_cache": False})


def test_in_the_end_they_wait_while_the_first_one_hashes_a_large_checkpoint(join):
    told, _ = join("gpu")
    assert told["shutdown_timeout_seconds"] > 3600


def test_in_the_beginning_they_wait_while_a_machine_boots(join):
    told, _ = join("gpu")
    assert told["initialization_timeout"] >= 1800


def test_one_that_knows_of_no_others_says_what_would_tell_it(tmp_path):
    command = [sys.executable, str(ROOT / "train.py"), "--workdir", str(tmp_path), "--parallel.distributed", "True"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ENOUGH)
    assert done.returncode == 2
    assert "parallel.distributed is set, but the other processes are not known" in done.stderr
    assert "JAX_COORDINATOR_ADDRESS" in done.stderr
