"""Rows of metrics: which steps they cover, what is no speed, and that a resumed run goes on in the middle of one."""

import dataclasses
import json
import math

import numpy as np
import pytest
from rich.console import Console

from vit_jax.training import recorder as recorder_module
from vit_jax.training.progress import Display
from vit_jax.training.recorder import Recorder
from vit_jax.training.run import prepare

DISPLAY = Display(Console(quiet=True), 14)


class Clock:
    """Time that passes when told."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(recorder_module, "time", clock)
    return clock


@pytest.fixture
def run(small_config, tmp_path):
    return prepare(dataclasses.replace(small_config, log_every="8 steps", duration="14 steps"), tmp_path)


def metrics(*losses: float, skipped: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    skips = [float(i in skipped) for i in range(len(losses))]
    values = np.array(losses, np.float32)
    return {"loss": values, "accuracy": values, "skipped": np.array(skips, np.float32)}


def train_rows(recorder: Recorder) -> list[dict]:
    return [row for row in recorder.log.rows if row["kind"] == "train"]


def test_time_of_compilation_and_evaluation_is_no_speed(run, clock):
    recorder = Recorder(run, 0, {}, DISPLAY)
    for step, seconds in ((4, 60.0), (8, 2.0), (12, 2.0)):  # the first compiles
        clock.now += seconds
        recorder.train(step, metrics(1, 2, 3, 4))
        if step == 8:
            clock.now += 30  # an evaluation
            recorder.resume_clock()
    recorder.expect_compilation()
    clock.now += 50
    recorder.train(14, metrics(1, 2))
    assert [row["step"] for row in train_rows(recorder)] == [8, 14]
    assert [row["images_per_second"] for row in train_rows(recorder)] == [4 * 64 / 2, 4 * 64 / 2]


def test_a_row_of_nothing_but_compilation_has_no_speed(run, clock):
    recorder = Recorder(run, 0, {}, DISPLAY)
    recorder.train(8, metrics(*range(8)))
    assert train_rows(recorder)[0]["images_per_second"] is None


def test_a_run_goes_on_in_the_middle_of_a_row(run, clock):
    """What is kept with a checkpoint, through JSON, gives the mean of an uninterrupted run, to the last bit."""
    losses = np.random.default_rng(0).random(8).astype(np.float32)
    straight = Recorder(run, 0, {}, DISPLAY)
    straight.train(8, metrics(*losses))
    clock.now += 5
    first = Recorder(run, 0, {}, DISPLAY)
    first.train(3, metrics(*losses[:3]))
    clock.now += 7
    kept = json.loads(json.dumps(first.record()))
    assert kept["seconds"] == 7
    second = Recorder(run, 3, kept, DISPLAY)
    second.train(8, metrics(*losses[3:]))
    assert train_rows(second)[0]["loss"] == train_rows(straight)[0]["loss"]
    assert train_rows(second)[0]["seconds"] == 7


def test_skipped_updates_are_counted_and_kept_out_of_the_means(run, clock):
    recorder = Recorder(run, 0, {}, DISPLAY)
    recorder.train(8, metrics(1, 2, math.nan, 4, 1, 2, math.inf, 4, skipped=(2, 6)))
    (row,) = train_rows(recorder)
    assert row["skipped"] == 2
    assert row["loss"] == pytest.approx(14 / 6)


def test_a_row_of_skipped_updates_alone_has_no_loss(run, clock):
    recorder = Recorder(run, 0, {}, DISPLAY)
    recorder.train(8, metrics(*[math.nan] * 8, skipped=tuple(range(8))))
    row = json.loads((run.workdir / "metrics.jsonl").read_text())
    assert row["loss"] is None
    assert row["skipped"] == 8
