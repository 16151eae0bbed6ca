"""Whether training waits for the streaming feed: the training loop's own steps, with this feed and with the other.

Both are in turn in one process. The streamed run's workers are at rest while the other goes on, with what they have
made ahead; the steps before the clock starts use that up.
"""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from benchmarks.measure import spread
from vit_jax.data.dataset import DataConfig
from vit_jax.data.workers import AHEAD, THREADS, cores
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.loop import dispatches
from vit_jax.training.run import prepare

FEEDS: tuple[Literal["streaming", "resident"], ...] = ("streaming", "resident")

Steps = Iterator[tuple[int, int, Any, dict[str, jax.Array]]]
"""What `dispatches` gives."""


@dataclass(frozen=True)
class WaitingSize:
    """How much is measured.

    Attributes:
        batch_size: examples of a step.
        before: steps of a round before its clock starts, at least 1; more where the workers have more ahead.
        steps: of a round after that.
        dtype: of the computation.
        model: by its name in the registry.
        fields: of it that are others.
        load_size: of the images.
    """

    batch_size: int
    before: int
    steps: int
    dtype: Literal["float32", "bfloat16"] = "float32"
    model: str = "vit_small_patch16_224"
    fields: Mapping[str, Any] = field(default_factory=dict)
    load_size: int = 224


def steps_before(size: WaitingSize, workers: int) -> int:
    """Steps before a round's clock starts: not fewer than the batches that the workers may have made ahead."""
    return max(size.before, workers * (AHEAD + THREADS))


def timed(training: Steps, before: int, steps: int) -> tuple[float, float]:
    """Seconds of a step, and those in which it is brought: batch read, placed and dispatched.

    As in the training loop, metrics are waited for one step late.
    """
    start = bringing = 0.0
    pending = None
    for number in range(before + steps):
        if number == before:
            start, bringing = time.perf_counter(), 0.0
        asked = time.perf_counter()
        *_, metrics = next(training)
        bringing += time.perf_counter() - asked
        if pending is not None:
            jax.device_get(pending)
        pending = metrics
    seconds = time.perf_counter() - start
    jax.device_get(pending)  # so that the device is at rest when the other run goes on
    return seconds / steps, bringing / steps


def waiting(root: Path, scratch: Path, size: WaitingSize, rounds: int) -> dict[str, Any]:
    """Measures both feeds.

    Args:
        root: of the folder of images.
        scratch: gets the workdirs.
        size: how much is measured.
        rounds: how often, after one more for compiling.
    """
    times: dict[str, list[tuple[float, float]]] = {feed: [] for feed in FEEDS}
    workers = cores()
    with ExitStack() as stack:
        training = {}
        for feed in FEEDS:
            run = prepare(
                Config(
                    model=ModelConfig(size.model, size.fields),
                    data=DataConfig(f"folder:{root}", load_size=size.load_size, feed=feed, workers=workers),
                    duration="1000000 steps",
                    batch_size=size.batch_size,
                    dtype=size.dtype,
                ),
                scratch / feed,
            )
            if run.lock is not None:
                stack.enter_context(run.lock)
            steps = dispatches(run, run.initial_state(), 0)
            assert isinstance(steps, Generator)
            training[feed] = stack.enter_context(closing(steps))
        for _ in range(1 + rounds):
            for feed in FEEDS:
                times[feed].append(timed(training[feed], steps_before(size, workers), size.steps))
    return compared({feed: np.array(pairs)[1:] for feed, pairs in times.items()}, size)


def compared(times: Mapping[str, np.ndarray], size: WaitingSize) -> dict[str, Any]:
    """What the streaming feed costs a step, from (seconds of a step, of bringing it), [rounds, 2], with each feed."""
    streaming, resident = times["streaming"], times["resident"]
    return {
        "part": "waiting",
        "model": size.model,
        "batch": size.batch_size,
        "dtype": size.dtype,
        "images_per_second": {feed: spread(size.batch_size / pairs[:, 0]) for feed, pairs in times.items()},
        "bringing": {feed: spread(pairs[:, 1] / pairs[:, 0]) for feed, pairs in times.items()},
        "slower": spread((streaming[:, 0] - resident[:, 0]) / streaming[:, 0]),
    }
