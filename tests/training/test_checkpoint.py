"""Checkpoints: what was saved comes back bit for bit or not at all, and two that are whole are always there."""

import dataclasses
import random
import shutil
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vit_jax.training import checkpoint
from vit_jax.training.checkpoint import Checkpoints, has_checkpoint, steps_of
from vit_jax.training.errors import TrainingError
from vit_jax.training.manifest import MANIFEST, problems
from vit_jax.training.step import TrainState, start_state

OPTIMIZER = optax.adam(1e-3)

Restored = tuple[TrainState, dict[str, Any]]
"""A state and the record of its run."""


def state_at(step: int, width: int = 5) -> TrainState:
    params = {"dense": {"kernel": jax.random.normal(jax.random.key(step), (3, width)), "bias": jnp.arange(3.0)}}
    return dataclasses.replace(start_state(params, OPTIMIZER, ema=True), step=jnp.int32(step))


def assert_equal(one: TrainState, other: TrainState):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture
def said():
    return []


@pytest.fixture
def saved(tmp_path, said):
    """A directory with the steps 10 and 20, and what is said about it afterwards."""
    with Checkpoints(tmp_path, 2, said.append) as checkpoints:
        for step in (10, 20):
            checkpoints.save(step, state_at(step), {"seconds": step / 10})
    return tmp_path


def restore(directory: Path, said: list[str], like: TrainState | None = None) -> Restored:
    with Checkpoints(directory, 2, said.append) as checkpoints:
        return restored(checkpoints, like)


def restored(checkpoints: Checkpoints, like: TrainState | None = None) -> Restored:
    found = checkpoints.restore(like or state_at(0))
    assert found is not None
    return found


def damage(path: Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def files_of(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_the_latest_comes_back_with_its_record(saved, said):
    state, record = restore(saved, said)
    assert_equal(state, state_at(20))
    assert record == {"seconds": 2.0}
    assert said == []


def test_there_is_nothing_to_restore_at_the_start(tmp_path, said):
    with Checkpoints(tmp_path / "new", 2, said.append) as checkpoints:
        assert checkpoints.restore(state_at(0)) is None
    assert not has_checkpoint(tmp_path / "new")


def test_damage_to_any_file_is_noticed_said_and_passed_over(saved, said, tmp_path_factory):
    """Flipped bit, truncation and deletion of each file, the manifest among them."""
    for number, file in enumerate(files_of(saved / "20")):
        for how, spoil in (
            ("flip", damage),
            ("truncate", lambda path: path.write_bytes(path.read_bytes()[:-1])),
            ("delete", Path.unlink),
        ):
            copy = shutil.copytree(saved, tmp_path_factory.mktemp(f"{how}{number}") / "checkpoints")
            spoil(copy / file.relative_to(saved))
            said.clear()
            assert_equal(restore(copy, said)[0], state_at(10))
            assert len(said) == 1, (how, file)
            assert said[0].startswith("checkpoint 20 is not used, and kept as 20.damaged: ")
            assert file.name in said[0]
            assert steps_of(copy) == [10]
            assert (copy / "20.damaged").is_dir()


def test_a_step_saved_again_after_it_was_damaged_may_be_damaged_again(saved, said):
    for _ in range(2):
        damage(saved / "20" / MANIFEST)
        with Checkpoints(saved, 2, said.append) as checkpoints:
            assert int(restored(checkpoints)[0].step) == 10
            checkpoints.save(20, state_at(20), {})
    assert sorted(path.name for path in saved.iterdir()) == ["10", "20", "20.damaged", "20.damaged1"]
    shutil.rmtree(saved / "20.damaged")
    damage(saved / "20" / MANIFEST)
    restore(saved, said)
    assert sorted(path.name for path in saved.iterdir()) == ["10", "20.damaged", "20.damaged1"]


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_over_silently(saved, said):
    for step in (10, 20):
        damage(files_of(saved / str(step))[0])
    for _ in range(2):  # the second time, they are set aside already
        with pytest.raises(TrainingError, match=r"no checkpoint in .* is whole: 10.damaged, 20.damaged. Bring back"):
            restore(saved, said)


def test_a_first_save_that_was_cut_off_leaves_a_run_at_its_start(tmp_path, said):
    with Checkpoints(tmp_path, 2, said.append) as checkpoints:
        checkpoints.save(10, state_at(10), {})
    (tmp_path / "10" / MANIFEST).unlink()
    assert not has_checkpoint(tmp_path)
    with Checkpoints(tmp_path, 2, said.append) as checkpoints:
        assert checkpoints.restore(state_at(0)) is None
    assert said == [
        "checkpoint 10 is not used, and kept as 10.damaged: it has no manifest.json: saving it did not come to its end"
    ]


def test_what_a_killed_process_left_half_written_or_half_deleted_is_cleared(saved, said):
    (saved / "30.orbax-checkpoint-tmp").mkdir()
    (saved / "5.deleting").mkdir()
    assert int(restore(saved, said)[0].step) == 20
    assert sorted(path.name for path in saved.iterdir()) == ["10", "20"]


def test_the_oldest_go_only_while_enough_newer_ones_are_whole(saved, said):
    with Checkpoints(saved, 2, said.append) as checkpoints:
        damage(files_of(saved / "20")[0])  # after the run has begun
        checkpoints.save(30, state_at(30), {})
        checkpoints.wait()
        assert steps_of(saved) == [10, 20, 30]  # 10 and 30 are the two that are whole
        checkpoints.save(40, state_at(40), {})
        checkpoints.wait()
        assert steps_of(saved) == [30, 40]


def test_nothing_is_read_again_where_nothing_is_to_go(saved, said, monkeypatch):
    """Reading many large ones would keep each save waiting, and the end after a signal."""
    with Checkpoints(saved, 5, said.append) as checkpoints:
        monkeypatch.setattr(checkpoint, "problems", lambda path: pytest.fail(f"{path} was read"))
        checkpoints.save(30, state_at(30), {})
        checkpoints.wait()
    assert steps_of(saved) == [10, 20, 30]


def test_an_old_one_stays_until_the_newer_is_verified(saved, said, monkeypatch):
    """Each deletion must find two newer ones whole at that very moment."""
    real, seen = shutil.rmtree, []

    def rmtree(path):
        seen.append([step for step in steps_of(saved) if not problems(saved / str(step))])
        real(path)

    with Checkpoints(saved, 2, said.append) as checkpoints:
        monkeypatch.setattr(checkpoint.shutil, "rmtree", rmtree)
        for step in (30, 40):
            checkpoints.save(step, state_at(step), {})
    assert seen == [[20, 30], [30, 40]]


def test_a_clock_that_is_set_does_not_matter(tmp_path, said, monkeypatch):
    """A laptop that slept while it saved must not lose what it saved, nor end."""
    real, chance = time.time, random.Random(0)
    monkeypatch.setattr(time, "time", lambda: real() + chance.uniform(-9e5, 9e5))
    with Checkpoints(tmp_path, 2, said.append) as checkpoints:
        for step in (10, 20, 30, 40):
            checkpoints.save(step, state_at(step), {})
    assert [step for step in steps_of(tmp_path) if not problems(tmp_path / str(step))] == [30, 40]


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf, -jnp.inf])
@pytest.mark.parametrize("where", ["params", "opt_state", "ema_params"])
def test_what_is_not_finite_is_never_saved(saved, said, where, value):
    state = state_at(30)
    spoiled = jax.tree.map(lambda x: x.at[1].set(value) if x.shape == (3,) else x, getattr(state, where))
    with Checkpoints(saved, 2, said.append) as checkpoints, pytest.raises(TrainingError) as error:
        checkpoints.save(30, dataclasses.replace(state, **{where: spoiled}), {})
    assert str(error.value).startswith(f"the state of step 30 is not saved: not every value is finite in {where}/")
    assert "kernel" not in str(error.value)
    assert steps_of(saved) == [10, 20]


def test_an_error_of_the_background_save_is_raised_at_the_next_check(saved, said, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    with Checkpoints(saved, 2, said.append) as checkpoints:
        monkeypatch.setattr(checkpoint, "write_manifest", no_space)
        checkpoints.save(30, state_at(30), {})
        checkpoints.thread.submit(lambda: None).result()  # the save came to its end
        with pytest.raises(TrainingError, match=r"saving checkpoint 30 failed, so the run stops: .*No space left"):
            checkpoints.check()
    assert int(restore(saved, said)[0].step) == 20


def test_a_save_that_orbax_has_not_joined_is_no_checkpoint(saved, said, monkeypatch):
    """Orbax passes over what it does not find with a line in its log; nothing could be read from what it leaves."""
    monkeypatch.setattr(checkpoint, "MERGED", "another.ocdbt")
    checkpoints = Checkpoints(saved, 2, said.append)
    with pytest.raises(TrainingError, match=r"saving checkpoint 30 failed.*has not joined its files"), checkpoints:
        checkpoints.save(30, state_at(30), {})
    monkeypatch.undo()
    assert int(restore(saved, said)[0].step) == 20


def test_an_error_of_the_last_save_is_not_lost_at_the_end(saved, said, monkeypatch):
    monkeypatch.setattr(checkpoint, "write_manifest", lambda *_: 1 / 0)
    checkpoints = Checkpoints(saved, 2, said.append)
    with pytest.raises(TrainingError, match="saving checkpoint 30 failed"), checkpoints:
        checkpoints.save(30, state_at(30), {})


def test_an_error_of_orbax_is_told_in_our_words(saved, said):
    """Its own thread must not have the last word, where a save fails after it began: here, a file is in its way."""
    (saved / "30").write_text("in the way")
    checkpoints = Checkpoints(saved, 2, said.append)
    with pytest.raises(TrainingError, match="saving checkpoint 30 failed"), checkpoints:
        checkpoints.save(30, state_at(30), {})


def test_a_state_of_another_shape_is_refused_before_it_is_read(saved, said):
    with pytest.raises(TrainingError, match=r"checkpoint 20 .* is of another network or optimizer: .*dense/kernel"):
        restore(saved, said, state_at(0, width=6))
    assert steps_of(saved) == [10, 20]
