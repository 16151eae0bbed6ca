"""Training runs that are killed, stopped, starved of space and disturbed, and what was left of them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vit_jax.inspection.checkpoints import arrays_of
from vit_jax.training.checkpoint import UNFINISHED, steps_of
from vit_jax.training.manifest import problems

ROOT = Path(__file__).parents[2]
EVERY = 20
"""Steps between checkpoints: saving one is under way for much of the time."""

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of run that is interrupted.

    Attributes:
        name: for the table.
        arguments: of train.py.
        steps: that it trains at most from one interruption to the next.
    """

    name: str
    arguments: tuple[str, ...]
    steps: int


OFTEN = ("--log_every", "1 steps", "--evaluate_every", "60 steps", "--checkpoint_every", f"{EVERY} steps")
VIT = Kind(
    "ViT",
    ("--model.embed_dim", "16", "--model.depth", "1", "--model.num_heads", "2", "--schedule.warmup", "5 steps", *OFTEN),
    150,
)
"""The digits, on the device; mixup."""

SWIN = Kind(
    "Swin, streaming feed, dropout, stochastic depth, EMA, accumulation",
    (
        *("--config", "configs/swin_cifar10_cpu.py", "--data.name", "digits", "--batch_size", "32"),
        *("--model.embed_dim", "12", "--model.depths", "1", "1", "--model.num_heads", "1", "2"),
        *("--model.preprocessing.mean", "0.5", "--model.preprocessing.std", "0.5"),
        *("--model.drop_rate", "0.1", "--model.drop_path_rate", "0.1", "--ema_decay", "0.9"),
        *("--data.feed", "streaming", "--data.workers", "1"),
        *("--accumulate_steps", "2", "--steps_per_dispatch", "2", "--schedule.warmup", "4 steps", *OFTEN),
    ),
    60,
)
"""All else that is random or kept."""

FLASH = Kind(
    "ViT in bfloat16, 65 tokens",
    (
        *("--dtype", "bfloat16", "--model.patch_size", "1", "--model.embed_dim", "128", "--model.depth", "2"),
        *("--model.num_heads", "2", "--model.attention", "cudnn", "--schedule.warmup", "5 steps", *OFTEN),
    ),
    300,
)
"""On a GPU alone, with cuDNN's attention in heads of 64 channels: its gradient adds up in any order, unless
deterministic operations are asked for (`Training`)."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        fault: what was done.
        times: how often.
        outcome: what was lost, and what was wrong.
        figures: the same for programs.
    """

    fault: str
    times: int
    outcome: str
    figures: dict[str, float | int | str] = field(default_factory=dict)


class Training:
    """A small run in a workdir, started again and again.

    Args:
        workdir: of the run.
        steps: of the whole run.
        extra: further arguments.
        env: further environment.
        kind: of run.
    """

    def __init__(
        self,
        workdir: Path,
        steps: int,
        extra: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        kind: Kind = VIT,
    ):
        self.workdir = workdir
        self.command = [sys.executable, str(ROOT / "train.py"), *kind.arguments, "--duration", f"{steps} steps", *extra]
        self.command += ["--workdir", str(workdir)]
        flags = "--xla_gpu_deterministic_ops=true"  # in the place of the tests' eight devices
        self.env = {"JAX_PLATFORMS": "cpu", **os.environ, "XLA_FLAGS": flags, **(env or {})}
        self.log = workdir.parent / f"{workdir.name}.log"

    def start(self) -> Process:
        """Starts it, or goes on."""
        with self.log.open("w") as log:
            return subprocess.Popen(self.command, env=self.env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def end(self, process: Process) -> str:
        """Waits for the end of a process; returns what it printed."""
        process.wait(timeout=600)
        return self.log.read_text()

    def rows(self) -> list[dict]:
        """The complete rows of metrics.jsonl."""
        path = self.workdir / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    def last_step(self) -> int:
        """The last step that was trained, as far as is known."""
        return max((row["step"] for row in self.rows()), default=0)

    def wait_for_training(self, process: Process) -> None:
        """Waits until this process, which was just started, has trained a step, or has ended."""
        path, start, began = self.workdir / "metrics.jsonl", latest_whole(self.workdir / "checkpoints"), time.time()
        before = path.stat().st_ino if path.exists() else None
        while process.poll() is None and time.time() - began < 120:
            if path.exists() and path.stat().st_ino != before and self.last_step() > start:  # a new file: it goes on
                return
            time.sleep(0.01)

    def finish(self) -> str:
        """Goes on to the end; returns what was printed."""
        process = self.start()
        output = self.end(process)
        if process.returncode:
            raise RuntimeError(f"the run did not come to its end: {output[-2000:]}")
        return output


def same_end(one: Path, other: Path) -> bool:
    """Whether two runs came to the same: every array of the last checkpoint, and every row but for what is measured."""
    last = [max(steps_of(workdir / "checkpoints")) for workdir in (one, other)]
    states = [arrays_of(workdir / "checkpoints" / str(step)) for workdir, step in zip((one, other), last, strict=True)]
    if states[0].keys() != states[1].keys():
        return False
    if any(not np.array_equal(states[0][name], states[1][name]) for name in states[0]):
        return False
    measured = ("seconds", "images_per_second", "peak_memory")
    rows = []
    for workdir in (one, other):
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        rows.append([{k: v for k, v in json.loads(line).items() if k not in measured} for line in lines])
    return rows[0] == rows[1]


@dataclass(frozen=True)
class End:
    """How a process ended that was sent a signal.

    Attributes:
        lost: steps that were trained, but are not in the latest checkpoint that is whole.
        saving: whether it ended while a checkpoint was being saved.
        seconds: from the signal to the end.
        status: of the process.
    """

    lost: int
    saving: bool
    seconds: float
    status: int


def interrupt(
    training: Training, number: signal.Signals, times: int, chance: random.Random, again: bool = False
) -> list[End]:
    """Sends a signal at random moments: one time in five while the program starts and compiles, else in training.

    Args:
        training: is started and interrupted.
        number: of the signal.
        times: how often.
        chance: draws the moments.
        again: sends the signal a second time, within a twentieth of a second, while the first is answered by a save.
    """
    ends = []
    for count in range(times):
        process = training.start()
        if count % 5 == 4:
            time.sleep(chance.uniform(0.5, 8))
        else:
            training.wait_for_training(process)
            time.sleep(chance.uniform(0, 2))
        sent = time.perf_counter()
        process.send_signal(number)
        if again:
            time.sleep(chance.uniform(0, 0.05))
            process.send_signal(number)
        output = training.end(process)
        if "Traceback" in output:
            raise RuntimeError(output[-2000:])
        checkpoints, seconds = training.workdir / "checkpoints", time.perf_counter() - sent
        lost = training.last_step() - latest_whole(checkpoints)
        ends.append(End(lost, is_unfinished(checkpoints), seconds, process.returncode))
        print(f"  {number.name} {count + 1} of {times}: {ends[-1]}", flush=True)
    return ends


def is_unfinished(directory: Path) -> bool:
    """Whether a directory has a checkpoint that is not whole: saving it was under way."""
    names = [path.name for path in directory.glob("*")]
    return any(UNFINISHED in name or (name.isdecimal() and problems(directory / name)) for name in names)


def latest_whole(directory: Path) -> int:
    """The latest step whose checkpoint is whole; 0 for none."""
    return max((step for step in steps_of(directory) if not problems(directory / str(step))), default=0)


def kills_and_signals(scratch: Path, chance: random.Random, kind: Kind, kills: int, stops: int) -> Iterator[Row]:
    """kill -9, SIGTERM and SIGTERM twice, at random moments of one run, in the end beside one that was left alone.

    The latter is in `scratch`, in a directory of the kind's name.
    """
    times = kills + 2 * stops
    steps, seldom = kind.steps * times, ("--checkpoint_every", f"{10 * EVERY} steps")
    straight = Training(scratch / kind.name, steps, seldom, kind=kind)
    straight.finish()
    training = Training(scratch / f"{kind.name}, interrupted", steps, kind=kind)
    killed = interrupt(training, signal.SIGKILL, kills, chance)
    stopped = interrupt(training, signal.SIGTERM, stops, chance)
    twice = interrupt(training, signal.SIGTERM, stops, chance, again=True)
    training.finish()
    yield Row(
        f"{kind.name}: `kill -9` at random moments, a checkpoint every {EVERY} steps",
        kills,
        f"while saving: {saving(killed)}; {steps_lost(killed)}",
        {"saving": saving(killed), "lost_most": max(end.lost for end in killed)},
    )
    for what, ends in (("SIGTERM", stopped), ("SIGTERM twice", twice)):
        slowest, statuses = max(end.seconds for end in ends), sorted({end.status for end in ends})
        yield Row(
            f"{kind.name}: {what} at random moments",
            stops,
            f"while saving: {saving(ends)}; {steps_lost(ends)}; status {', '.join(map(str, statuses))}; ended within "
            f"{slowest:.1f} s",
            {"lost_most": max(end.lost for end in ends), "slowest_seconds": round(slowest, 1)},
        )
    same = same_end(straight.workdir, training.workdir)
    how = "equal to the last bit" if same else "NOT EQUAL"
    yield Row(f"{kind.name}: the same run, at its end, beside one left alone", times, how, {"same": same})


def saving(ends: Sequence[End]) -> int:
    """How often a process ended while it was saving."""
    return sum(end.saving for end in ends)


def steps_lost(ends: Sequence[End]) -> str:
    """How many steps were to be done again."""
    lost = [end.lost for end in ends]
    return f"steps to do again: {min(lost)} to {max(lost)}, median {np.median(lost):.0f}"


def full_disk(scratch: Path) -> Iterator[Row]:
    """No space left in the middle of a run, on a small file system of its own; and one that turns read-only."""
    disk = scratch / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True).returncode:
        yield Row("no space left on the device", 0, "not tried: mounting a small file system was not permitted")
        return
    try:
        straight = Training(scratch / "not_full", 2000)
        straight.finish()
        training = Training(disk / "run", 2000)
        training.log = scratch / "disk.log"
        messages = []
        for _ in range(5):
            process = training.start()
            training.wait_for_training(process)
            time.sleep(0.5)
            with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(2**16))
            output = training.end(process)
            messages.append((process.returncode, [line for line in output.splitlines() if line.startswith("error: ")]))
            (disk / "filler").unlink()
        training.finish()
        same = same_end(straight.workdir, training.workdir)
        told = sum(status in (1, 2) and len(lines) == 1 for status, lines in messages)
        print("  full:", *messages, sep="\n    ")
        yield Row(
            "no space left on the device, then space again",
            len(messages),
            f"ended with a message: {told}; the end {'equal to the last bit' if same else 'NOT EQUAL'}",
            {"told": told, "same": same},
        )
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        process = training.start()
        output = training.end(process)
        told = process.returncode in (1, 2) and "error:" in output and "Traceback" not in output
        yield Row("read-only directory", 1, "refused with a message" if told else f"NOT REFUSED: {output[-200:]}")
    finally:
        subprocess.run(["umount", str(disk)])


def disturbed(scratch: Path) -> Iterator[Row]:
    """A worker that is killed, a clock that jumps, a second run in the same workdir."""
    streaming = ("--data.feed", "streaming", "--data.workers", "2")
    training = Training(scratch / "worker", 20_000, streaming)
    seconds, told = [], 0
    for _ in range(5):
        process = training.start()
        training.wait_for_training(process)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(workers[0]), signal.SIGKILL)
        killed = time.perf_counter()
        output = training.end(process)
        seconds.append(time.perf_counter() - killed)
        told += process.returncode == 1 and "was killed (SIGKILL)" in output
    yield Row(
        "killed worker process of the streaming feed", 5, f"ended with a message: {told}, within {max(seconds):.1f} s"
    )

    jumping = scratch / "jumping"
    jumping.mkdir()
    (jumping / "sitecustomize.py").write_text(JUMPING_CLOCK)
    straight, jumped = (
        Training(scratch / "calm", 400),
        Training(scratch / "jumped", 400, env={"PYTHONPATH": str(jumping), "PYTHONDONTWRITEBYTECODE": "1"}),
    )
    straight.finish()
    ends = interrupt(jumped, signal.SIGKILL, 3, random.Random(0))
    jumped.finish()
    same = same_end(straight.workdir, jumped.workdir)
    yield Row(
        "clock that jumps by up to ten days at every look, with `kill -9`",
        len(ends),
        f"the end {'equal to the last bit' if same else 'NOT EQUAL'}",
        {"same": same},
    )

    first = Training(scratch / "two", 20_000)
    process = first.start()
    first.wait_for_training(process)
    other = Training(scratch / "two", 20_000)
    other.log = scratch / "second.log"
    second = other.start()
    output = other.end(second)
    refused = second.returncode == 2 and f"process {process.pid} on" in output and process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    yield Row("a second run in the same workdir", 1, "refused, naming the first" if refused else "NOT REFUSED")


JUMPING_CLOCK = """
import random, time
real, chance = time.time, random.Random()
time.time = lambda: real() + chance.uniform(-9e5, 9e5)
"""
