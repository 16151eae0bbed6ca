"""Protects that runs have the length the budget gives them, and that what cannot work is found before."""

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vit_jax.comparison import decide as deciding
from vit_jax.comparison.decide import decide, more_often, seconds_per_step
from vit_jax.comparison.request import Request
from vit_jax.training import workdir as workdir_module

CONFIG = """
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import ScheduleConfig

def get_config():
    return Config(
        ModelConfig("vit_digits_patch2_8", dict(embed_dim=16, depth=1, num_heads=2)),
        schedule=ScheduleConfig(warmup="9 steps"),
        duration="400 steps",
        evaluate_every="10 epochs",
        log_every="5 steps",
        checkpoint_every="80 steps",
    )
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(CONFIG)
    return path


def test_without_a_budget_of_time_nothing_is_measured(path):
    entry = decide(Request((path,)), path, path.parent)
    assert (entry.steps, entry.seconds_per_step) == (400, None)
    assert entry.changes == {"evaluate_every": "80 steps"}  # the only interval that is too long
    assert entry.images["test"]["examples"] == 359
    assert len(entry.images["class_names"]) == 10
    assert entry.notes[0] == "digits of scikit-learn"
    assert "processor cores" in entry.machine["Machine"]


def test_the_disk_of_the_runs_is_asked_for_room_and_left_as_it_was(path, tmp_path, monkeypatch):
    """/tmp may be small, or in memory."""
    asked, disk_usage = [], workdir_module.shutil.disk_usage
    monkeypatch.setattr(workdir_module.shutil, "disk_usage", lambda place: asked.append(place) or disk_usage(place))
    scratch = tmp_path / "comparison"
    scratch.mkdir()
    decide(Request((path,)), path, scratch)
    assert asked
    assert all(scratch in place.parents for place in asked)
    assert not list(scratch.iterdir())


def test_neighbours_are_not_taken_for_a_classifier(path):
    pretraining = """
import dataclasses
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding
classifier = get_config

def get_config():
    fields = dict(image_size=8, patch_size=2, embed_dim=16, depth=1, num_heads=2)
    fields |= dict(decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2, preprocessing=Preprocessing())
    model = ModelConfig("mae_cifar_patch2_32", fields)
    return dataclasses.replace(classifier(), model=model, objective=MaskedAutoencoding())
"""
    path.write_text(CONFIG + pretraining)
    entry = decide(Request((path,)), path, path.parent)
    assert "small learns no classes: its accuracy is that of 20 nearest neighbours" in entry.notes
    path.write_text(CONFIG)
    assert not any("neighbours" in note for note in decide(Request((path,)), path, path.parent).notes)


def test_epochs_are_counted_in_steps(path):
    entry = decide(Request((path,), "2 epochs"), path, path.parent)
    assert entry.changes["duration"] == "2 epochs"
    assert entry.steps == 23  # of 128; 1438 images
    assert entry.changes["log_every"] == "1 steps"


def test_seconds_become_steps_of_the_measured_speed(path, monkeypatch):
    monkeypatch.setattr(deciding, "measure", lambda *_: 0.25)
    entry = decide(Request((path,), "30 seconds"), path, path.parent)
    assert (entry.steps, entry.changes["duration"], entry.seconds_per_step) == (120, "120 steps", 0.25)


@pytest.mark.parametrize("budget", ["2 seconds", "0.5 epochs"])
def test_a_budget_shorter_than_the_warm_up_is_refused(budget, path, monkeypatch):
    monkeypatch.setattr(deciding, "measure", lambda *_: 0.25)
    with pytest.raises(ValueError, match=r"^small.*warmup .*9 steps.* is longer than the run of [68] steps"):
        decide(Request((path,), budget), path, path.parent)


def test_a_budget_without_a_dispatch_to_be_timed_is_refused(path):
    path.write_text(CONFIG.replace('"400 steps"', '"19 steps", steps_per_dispatch=10'))
    with pytest.raises(ValueError, match=r"small: a run of 19 steps, 10 a dispatch, .* at least 20 steps"):
        decide(Request((path,)), path, path.parent)
    assert decide(Request((path,), "2 epochs"), path, path.parent).steps == 23


@pytest.mark.parametrize(("budget", "measured_for"), [("30 seconds", 5), ("600 seconds", 30)])
def test_a_speed_is_measured_for_a_share_of_the_budget(budget, measured_for, path, monkeypatch):
    asked_for = []
    monkeypatch.setattr(deciding, "measure", lambda _, __, at_least, ___: asked_for.append(at_least) or 0.25)
    decide(Request((path,), budget), path, path.parent)
    assert asked_for == [measured_for]


def test_a_speed_is_measured_on_the_real_step(path):
    assert 1e-4 < deciding.measure(Request((path,), "9 seconds"), path, at_least=0.05, scratch=path.parent) < 5


def test_the_first_two_dispatches_are_not_measured(monkeypatch):
    """Compilation takes 100 s, the next dispatch 10 s, each one after that 2 s for its 4 steps."""
    clock = SimpleNamespace(now=0.0)
    waits = itertools.chain([100.0, 10.0], itertools.repeat(2.0))

    def block(_):
        clock.now += next(waits)

    run: Any = SimpleNamespace(initial_state=lambda: None)
    endless = ((step, 4, None, {"loss": np.zeros(4)}) for step in itertools.count(4, 4))
    monkeypatch.setattr(deciding, "dispatches", lambda *_, **__: endless)
    monkeypatch.setattr(deciding.jax, "block_until_ready", block)
    monkeypatch.setattr(deciding.time, "perf_counter", lambda: clock.now)
    assert seconds_per_step(run, at_least=5.0) == 0.5
    assert clock.now == 116  # two dispatches are 4 s, three are enough


def test_intervals_are_only_shortened():
    config = SimpleNamespace(log_every="1 steps", evaluate_every="20 steps", checkpoint_every="21 steps")
    run: Any = SimpleNamespace(total_steps=100, config=config, steps=lambda text: int(text.split()[0]))
    assert more_often(run) == {"checkpoint_every": "20 steps"}
