"""A run of two processes, one of which is killed or told to stop, and what became of the other and of the run."""

import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.faults.runs import Process, Row, Training, latest_whole
from vit_jax.inspection.checkpoints import arrays_of

STEPS = 120
DEVICES = 8
"""Simulated, of all processes together."""


class Pair:
    """Two processes that train together, with half of the devices each, in one workdir."""

    def __init__(self, workdir: Path):
        extra = ("--parallel.distributed", "True", "--optimizer.name", "sgd")
        self.parts = [Training(workdir, STEPS, extra) for _ in range(2)]
        for index, part in enumerate(self.parts):
            part.log = workdir.with_name(f"{workdir.name}.{index}.log")

    def start(self) -> list[Process]:
        """Starts both, or goes on."""
        with socket.create_server(("localhost", 0)) as free:
            address = f"localhost:{free.getsockname()[1]}"
        for index, part in enumerate(self.parts):
            part.env |= {
                "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES // 2}",
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": str(index),
            }
        return [part.start() for part in self.parts]


def several(scratch: Path, chance: random.Random, times: int) -> Iterator[Row]:
    """Each of two processes is killed and told to stop; in the end the run is compared with one of one process."""
    simulated = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}"}
    alone = Training(scratch / "alone", STEPS, ("--optimizer.name", "sgd"), env=simulated)
    alone.finish()
    pair = Pair(scratch / "pair")
    training = pair.parts[0]
    for number, fault in ((signal.SIGKILL, "`kill -9`"), (signal.SIGTERM, "SIGTERM")):
        seconds, statuses, lost = [], set(), []
        for count in range(times):
            processes = pair.start()
            training.wait_for_training(processes[0])
            time.sleep(chance.uniform(0, 1))
            sent = time.perf_counter()
            hit = processes[count % 2]
            hit.send_signal(number)
            for part, process in zip(pair.parts, processes, strict=True):
                part.end(process)
            seconds.append(time.perf_counter() - sent)
            statuses |= {process.returncode for process in processes if process is not hit}
            lost.append(training.last_step() - latest_whole(training.workdir / "checkpoints"))
            print(f"  {fault} to process {count % 2}: {seconds[-1]:.1f} s", flush=True)
        yield Row(
            f"{fault} to one of two processes with {DEVICES // 2} simulated devices each",
            times,
            f"the other ended within {max(seconds):.0f} s, status {', '.join(map(str, sorted(statuses)))}; steps to do "
            f"again: {min(lost)} to {max(lost)}",
            {"slowest_seconds": round(max(seconds), 1), "lost_most": max(lost)},
        )
    for part, process in zip(pair.parts, pair.start(), strict=True):
        part.end(process)
    states = [arrays_of(t.workdir / "checkpoints" / str(STEPS)) for t in (alone, training)]
    furthest = max(float(np.abs(states[0][name] - states[1][name]).max()) for name in states[0])
    yield Row(
        f"the same run, at its end, beside one of one process with {DEVICES} devices",
        2 * times,
        f"largest difference of a value: {furthest:.1e}",
        {"largest_difference": furthest},
    )
