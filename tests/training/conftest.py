"""A run small enough to train within seconds."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from vit_jax.data.augment import Mixup, RandomResizedCrop
from vit_jax.training import loop
from vit_jax.training import run as run_module
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig
from vit_jax.training.parallel import OneProgram, ParallelConfig
from vit_jax.training.progress import Display
from vit_jax.training.run import prepare

FIELDS = dict(embed_dim=16, depth=2, num_heads=2, drop_path_rate=0.1, pool="avg", pos_embed="sincos")


@pytest.fixture(scope="session")
def small_config():
    """Digits, two blocks, 40 steps, with everything random switched on."""
    return Config(
        model=ModelConfig("vit_digits_patch2_8", FIELDS),
        augment=(RandomResizedCrop(scale=(0.7, 1.0)), Mixup(alpha=0.2)),
        optimizer=OptimizerConfig("muon", learning_rate=1e-2),
        schedule=ScheduleConfig(warmup="5 steps"),
        duration="40 steps",
        batch_size=64,
        ema_decay=0.9,
        log_every="7 steps",
        evaluate_every="20 steps",
        checkpoint_every="10 steps",
        keep_checkpoints=3,
    )


@pytest.fixture(scope="session")
def arrays():
    """60 images of 8 x 8 pixels, and labels of ten classes."""
    random = np.random.default_rng(1)
    return {
        "image": random.integers(0, 256, (60, 8, 8, 1), np.uint8),
        "label": random.integers(0, 10, 60).astype(np.int32),
    }


def on_one_device(config, batch_size, accumulate_steps):
    assert config == ParallelConfig(), "for other ways to use devices, ask for all_devices"
    return OneProgram(jax.devices()[:1], 1)


@pytest.fixture(scope="session")
def run_to_end():
    """Prepares and trains a config in a workdir; returns the run, its result and the lines it printed.

    On one device, which compiles and runs faster than all; and simulated devices that share two cores may wait for one
    another forever, as XLA runs collectives of a program that do not depend on each other in any order.
    """

    def run_to_end(config, workdir, stop=None, all_devices=False, **changes):
        with pytest.MonkeyPatch.context() as patch:
            if not all_devices:
                patch.setattr(run_module, "make_parallel", on_one_device)
            run = prepare(dataclasses.replace(config, **changes), workdir)
        console = Console(record=True, width=200, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
        result = loop.train(run, Display(console, run.total_steps), stop)
        return run, result, console.export_text().splitlines()

    return run_to_end


class Killed(Exception):
    """Stands for the process's end."""


@pytest.fixture
def cut_off(run_to_end, monkeypatch):
    """Trains a config in a workdir until its process is killed, at the first dispatch that ends after a step."""

    def cut_off(config: Config, workdir: Path, killed_after: int) -> None:
        original = loop.dispatches

        def dispatches(*args):
            for step, *rest in original(*args):
                if step > killed_after:
                    raise Killed
                yield step, *rest

        with monkeypatch.context() as patch:
            patch.setattr(loop, "dispatches", dispatches)
            with pytest.raises(Killed):
                run_to_end(config, workdir)

    return cut_off


@pytest.fixture
def assert_killed_comes_to_the_same(run_to_end, cut_off, tmp_path):
    """Checks that a few steps come to the same, to the last bit, after a process that was killed: parameters, the
    test's losses and, of each row, these metrics. Returns the result of the run that was not killed."""

    def assert_killed_comes_to_the_same(
        config: Config, metrics: tuple[str, ...], steps: int = 12, checkpoint_every: int = 5, killed_after: int = 8
    ) -> loop.Result:
        short = dataclasses.replace(config, duration=f"{steps} steps", checkpoint_every=f"{checkpoint_every} steps")
        _, straight, _ = run_to_end(short, tmp_path / "straight")
        cut_off(short, tmp_path / "killed", killed_after)
        _, continued, lines = run_to_end(short, tmp_path / "killed")
        assert lines[0] == f"continuing at step {checkpoint_every} of {steps}"
        jax.tree.map(np.testing.assert_array_equal, continued.params, straight.params)
        np.testing.assert_array_equal(continued.test.loss, straight.test.loss)
        rows = [
            [
                [row.get(name) for name in ("kind", "step", "loss", "accuracy", *metrics)]
                for row in map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
            ]
            for name in ("straight", "killed")
        ]
        assert rows[0] == rows[1]
        assert all(any(row[4 + i] is not None for row in rows[0]) for i in range(len(metrics)))
        return straight

    return assert_killed_comes_to_the_same
