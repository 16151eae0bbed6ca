"""How long each config trains: its mistakes found and its speed measured before the first run."""

import dataclasses
import os
import platform
import tempfile
import time
from collections import deque
from pathlib import Path

import jax

from vit_jax.comparison.plan import Entry
from vit_jax.comparison.request import Request
from vit_jax.data.set_record import record_of
from vit_jax.training.loop import dispatches
from vit_jax.training.run import Run, prepare

CALIBRATION_SECONDS, CALIBRATION_SHARE = 5.0, 0.05
"""For how long the speed of a config is measured, at least: in seconds, and as a share of the budget. A machine that
others use too, or that slows down as it gets warm, is a tenth faster or slower from one few seconds to the next."""

LOGS, EVALUATIONS, CHECKPOINTS = 20, 5, 5
"""How many of each a run has at least: there are curves to compare, and little is lost with a run that is cut off."""


def decide(request: Request, path: Path, scratch: Path) -> Entry:
    """What is decided for one config. For a budget of time it is trained for some seconds, and that is thrown away.

    Args:
        request: what to compare.
        path: of the config.
        scratch: a directory on the disk of the runs to come, which must have room for them.

    Raises:
        ValueError: with the config's name, what `prepare` finds wrong; a budget shorter than the config's warm-up, or
            too short for its speed to be measured.
        FileNotFoundError, OSError: as `prepare`.
    """
    subject, seconds_per_step = path.stem, None
    changes = {} if request.budget is None else {"duration": request.budget}
    try:
        if request.seconds is not None:
            at_least = max(CALIBRATION_SECONDS, CALIBRATION_SHARE * request.seconds)
            seconds_per_step = measure(request, path, at_least, scratch)
            changes["duration"] = f"{max(int(request.seconds / seconds_per_step), 1)} steps"
            subject = f"{path.stem}, which trains {changes['duration']} in {request.budget} here"
        with tempfile.TemporaryDirectory(dir=scratch) as workdir:
            run = prepare(dataclasses.replace(request.config(path), **changes), Path(workdir))
        check_measurable(run)
    except ValueError as error:
        raise ValueError(f"{subject}: {error}") from error
    return Entry(
        changes={**changes, **more_often(run)},
        steps=run.total_steps,
        seconds_per_step=seconds_per_step,
        notes=[*run.dataset.notes, *judged_otherwise(run, path.stem)],
        images=record_of(run.dataset),
        machine=machine(run),
    )


def judged_otherwise(run: Run, name: str) -> list[str]:
    """A line about a config whose network learns no classes: its accuracy is not that of a classifier."""
    if run.config.objective.learns_classes:
        return []
    return [f"{name} learns no classes: its accuracy is that of {run.config.neighbours.k} nearest neighbours"]


def check_measurable(run: Run) -> None:
    """Raises ValueError if there would be no accuracy, or no dispatch of the run left to be timed: the first is
    compiled, as is a shorter one at the end."""
    if not run.dataset.class_names:
        raise ValueError(f"{run.dataset.name} has no labels (data.labels False): there is nothing to compare by")
    if run.total_steps < 2 * run.config.steps_per_dispatch:
        raise ValueError(
            f"a run of {run.total_steps} steps, {run.config.steps_per_dispatch} a dispatch, is too short for its speed "
            f"to be measured: it needs at least {2 * run.config.steps_per_dispatch} steps"
        )


def measure(request: Request, path: Path, at_least: float, scratch: Path) -> float:
    """Seconds of one training step of a config, compilation apart, as measured for `at_least` seconds."""
    endless = dataclasses.replace(request.config(path), duration="1000000000 steps")
    with tempfile.TemporaryDirectory(dir=scratch) as workdir:
        run = prepare(endless, Path(workdir))
        return seconds_per_step(run, at_least)


def seconds_per_step(run: Run, at_least: float) -> float:
    """Trains a fresh state for `at_least` seconds and two dispatches after those that compile and warm up.

    Dispatches are waited for one late, as the training loop does.
    """
    pending, timed_steps, timed_dispatches, began = deque(), 0, -2, time.perf_counter()
    for _, count, _, metrics in dispatches(run, run.initial_state(), start=0):
        pending.append((count, metrics))
        if len(pending) < 2:
            continue
        done, metrics = pending.popleft()
        jax.block_until_ready(metrics)
        timed_dispatches += 1
        if timed_dispatches <= 0:
            began = time.perf_counter()
            continue
        timed_steps += done
        elapsed = time.perf_counter() - began
        if timed_dispatches >= 2 and elapsed >= at_least:
            return elapsed / timed_steps
    raise AssertionError("a run without an end has ended")


def more_often(run: Run) -> dict[str, str]:
    """The intervals of a config that are too long for LOGS, EVALUATIONS and CHECKPOINTS, shortened."""
    least = {"log_every": LOGS, "evaluate_every": EVALUATIONS, "checkpoint_every": CHECKPOINTS}
    longest = {name: max(run.total_steps // count, 1) for name, count in least.items()}
    return {name: f"{steps} steps" for name, steps in longest.items() if run.steps(getattr(run.config, name)) > steps}


def machine(run: Run) -> dict[str, str]:
    """What the runs are computed on and with."""
    kind = jax.devices()[0].device_kind
    return {
        "Machine": f"{run.parallel.devices} x {kind}, {os.cpu_count()} processor cores, {platform.machine()}",
        "Versions": f"Python {platform.python_version()}, jax {jax.__version__}",
    }
