"""A run small enough to train within seconds."""

import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from vit_jax.data.augment import Mixup, RandomResizedCrop
from vit_jax.training import loop
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig
from vit_jax.training.progress import Lines
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
    )


@pytest.fixture(scope="session")
def run_to_end():
    """Prepares and trains a config in a workdir; returns the run, its result and the lines it printed."""

    def run_to_end(config, workdir, stop=None, **changes):
        run = prepare(dataclasses.replace(config, **changes), workdir)
        console = Console(record=True, width=200, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
        result = loop.train(run, Lines(console, run.total_steps), stop)
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
