"""The arithmetic of `python -m benchmarks.pipeline`, and a small run of each of its parts."""

import dataclasses
import itertools
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.measure import spread
from benchmarks.pipeline.photographs import write_folder
from benchmarks.pipeline.resident import ResidentSize, resident, shares
from benchmarks.pipeline.streaming import row, streaming
from benchmarks.pipeline.tables import tables
from benchmarks.pipeline.waiting import WaitingSize, compared, steps_before, timed, waiting
from configs.swin_cifar10 import get_config
from vit_jax.data.augment import RandomCrop, RandomHorizontalFlip
from vit_jax.data.workers import AHEAD, THREADS
from vit_jax.training.optimizer import OptimizerConfig

SMALL_RESIDENT = ResidentSize(
    8, steps=1, repeats=1, target=0.1, examples=16, fields=dict(embed_dim=16, depth=1, num_heads=2)
)
SMALL_WAITING = WaitingSize(
    8,
    before=1,
    steps=2,
    model="vit_cifar_patch4_32",
    fields=dict(embed_dim=16, depth=1, num_heads=2),
    load_size=32,
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs") / "root"
    write_folder(root, 20)
    return root


def test_shares_are_of_the_step_with_everything_and_taken_round_by_round():
    """The third round is slow in all of its parts, which a ratio of medians would see as a difference."""
    seconds = dict(recipe=np.array([1.0, 1.0, 4.0]), gathering=np.array([0.96, 0.9, 3.7]))
    result = shares(seconds | dict(fixed=np.array([0.95, 0.88, 3.6])), SMALL_RESIDENT)
    assert result["share"] == pytest.approx(dict(median=0.1, min=0.05, max=0.12))
    assert result["share_of_gathering"]["median"] == pytest.approx(0.02)
    assert result["images_per_second"]["recipe"]["median"] == 8
    assert result["met"]
    assert not shares(seconds | dict(fixed=np.array([0.8, 0.88, 3.4])), SMALL_RESIDENT)["met"]


def test_the_feeds_ratio_is_taken_round_by_round():
    speeds = {"Pillow alone": [100.0, 200.0, 400.0], "training batches": [95.0, 160.0, 380.0]}
    assert row("training batches", speeds, 2)["times_pillow"] == dict(median=0.95, min=0.8, max=0.95)


def test_what_the_streaming_feed_costs_a_step():
    times = dict(streaming=np.array([[2.0, 0.5], [4.0, 2.0]]), resident=np.array([[1.5, 0.0], [3.0, 0.03]]))
    result = compared(times, SMALL_WAITING)
    assert result["slower"] == dict(median=0.25, min=0.25, max=0.25)
    assert result["bringing"]["streaming"] == dict(median=0.375, min=0.25, max=0.5)
    assert result["images_per_second"]["streaming"]["max"] == 4


def test_the_clock_leaves_out_the_first_steps_and_counts_the_wait_for_batches(monkeypatch):
    """A batch takes 2 s, the first 50 s, and to compute it 3 s, by a clock that goes when told."""
    clock = SimpleNamespace(now=0.0)

    def steps():
        for number in itertools.count(1):
            clock.now += 50 if number == 1 else 2
            yield number, 1, None, {"loss": jnp.zeros(1)}

    def device_get(metrics):
        clock.now += 3

    monkeypatch.setattr("benchmarks.pipeline.waiting.time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr("benchmarks.pipeline.waiting.jax", SimpleNamespace(device_get=device_get))
    assert timed(steps(), before=1, steps=5) == (5, 2)


def test_the_streaming_feed_beside_pillow(photographs, monkeypatch):
    monkeypatch.setattr("benchmarks.pipeline.streaming.cores", lambda: 1)
    results = streaming(photographs, 32, 2, 3, rounds=1)
    assert [row["what"] for row in results] == ["Pillow alone", "training batches", "evaluation batches"]
    assert results[0]["times_pillow"]["median"] == 1
    assert results[1]["met"] == (results[1]["times_pillow"]["median"] >= 0.9)


def test_the_streaming_feed_is_not_compared_with_other_pixels(photographs, monkeypatch):
    monkeypatch.setattr("benchmarks.pipeline.streaming.decode", lambda path, size: np.zeros((size, size, 3), np.uint8))
    with pytest.raises(ValueError, match="not do the same work"):
        streaming(photographs, 32, 2, 3, rounds=1)


def test_the_clock_starts_when_what_the_workers_have_made_ahead_is_used_up():
    """As many batches as `in_threads` has begun or done for each worker when nobody asks for one."""
    assert steps_before(SMALL_WAITING, workers=3) == 3 * (AHEAD + THREADS)
    assert steps_before(dataclasses.replace(SMALL_WAITING, before=60), workers=2) == 60


@pytest.mark.slow
def test_training_on_either_feed(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.pipeline.waiting.cores", lambda: 0)  # threads: processes take seconds to start
    result = waiting(photographs, tmp_path, SMALL_WAITING, rounds=1)
    assert all(0 < result["bringing"][feed]["median"] <= 1 for feed in ("streaming", "resident"))
    assert result["slower"]["median"] < 1


@pytest.mark.slow
def test_the_step_with_its_augmentation_and_each_transform_alone():
    transforms = (RandomCrop(), RandomHorizontalFlip())
    recipe = dataclasses.replace(get_config(), augment=transforms, optimizer=OptimizerConfig("sgd"))
    step, *alone = resident(SMALL_RESIDENT, recipe, rounds=1)
    assert [row["what"] for row in alone] == [
        "gathering",
        "gathering, RandomCrop",
        "gathering, RandomHorizontalFlip",
        "whole recipe",
    ]
    assert step["met"] == (step["share"]["median"] <= 0.1)


def test_tables_say_what_was_measured_and_whether_that_is_enough():
    speeds = {name: [100.0] for name in ("Pillow alone", "training batches")}
    recipe, fixed = np.array([0.004]), np.array([0.002])
    times = dict(streaming=np.array([[2.0, 0.5]]), resident=np.array([[1.5, 0.1]]))
    alone = {"part": "transforms", "what": "Mixup", "images_per_second": spread(recipe), "of_step": spread(recipe)}
    text = tables(
        [
            row("Pillow alone", speeds, 2),
            row("training batches", speeds, 2) | {"target": 0.9, "met": True},
            compared(times, SMALL_WAITING),
            shares(dict(recipe=recipe, gathering=recipe, fixed=fixed), SMALL_RESIDENT),
            alone,
        ]
    )
    assert "take 50.0% (50.0% to 50.0%)" in text
    assert "At most 10% is asked for: not met" in text
    assert "| gathers, augments and mixes | 2,000 (2,000 to 2,000) |" in text
    assert "| training batches | 100 (100 to 100) | 1.00 (1.00 to 1.00) | at least 0.9: met |" in text
    assert "longer by 25.0%" in text


def test_photographs_are_always_the_same_and_of_two_classes(photographs, tmp_path):
    write_folder(tmp_path / "again", 4)
    files = sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.jpg"))
    assert {path.parts[0] for path in files} == {"first", "second"}
    for path in files:
        assert (tmp_path / "again" / path).read_bytes() == (photographs / path).read_bytes()
        assert 40_000 < (tmp_path / "again" / path).stat().st_size < 200_000
