"""A run that was stopped or killed anywhere and goes on equals one that was not: to the last bit, in everything."""

import dataclasses
import json
from itertools import permutations

import jax
import numpy as np
import pytest

import vit_jax
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.training import evaluating, loop
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.config import ModelConfig
from vit_jax.training.errors import Stopped
from vit_jax.training.optimizer import OptimizerConfig
from vit_jax.training.parallel import ParallelConfig
from vit_jax.training.run import Run, prepare
from vit_jax.training.stop_signals import StopSignals

SWIN = dict(
    image_size=8,
    patch_size=1,
    embed_dim=8,
    depths=(2, 2),
    num_heads=(1, 2),
    window_size=2,
    drop_rate=0.1,
    drop_path_rate=0.2,
    attn_drop_rate=0.1,
    preprocessing=Preprocessing(),
)
MEASURED = ("seconds", "images_per_second", "peak_memory")


def cases(config):
    """What a config is changed to, for each case; each has all that is random and all that is kept."""
    vit = ModelConfig(config.model.name, {**config.model.fields, "drop_rate": 0.1, "attn_drop_rate": 0.1})
    swin = ModelConfig("swin_tiny_patch4_window7_224", SWIN)
    several = dict(accumulate_steps=2, steps_per_dispatch=4)
    streaming = dataclasses.replace(config.data, feed="streaming", workers=0, validation_fraction=0.1)
    workers = dataclasses.replace(streaming, workers=2)
    return {
        "vit": dict(model=vit, **several),
        "vit, streamed": dict(model=vit, data=streaming, optimizer=OptimizerConfig("lamb"), **several),
        "vit, no average": dict(model=vit, ema_decay=None),
        "swin": dict(model=swin, **several),
        "swin, streamed by workers": dict(model=swin, data=workers, **several),
    }


def final_state(run):
    """All of the last checkpoint: step, parameters, optimizer, average."""
    with Checkpoints(run.workdir / "checkpoints", 2, print) as checkpoints:
        saved = checkpoints.restore(run.parallel.gather_state(run.initial_state()))
    assert saved is not None
    state, _ = saved
    return jax.device_get(state)


def rows_of(run):
    rows = [json.loads(line) for line in (run.workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in MEASURED} for row in rows]


def assert_same(one, other):
    """Two runs, each with its result."""
    (one_run, one_result), (other_run, other_result) = one, other
    jax.tree.map(np.testing.assert_array_equal, final_state(one_run), final_state(other_run))
    np.testing.assert_array_equal(one_result.test.loss, other_result.test.loss)
    assert rows_of(one_run) == rows_of(other_run)


@pytest.fixture
def stop_at(run_to_end, monkeypatch):
    """Trains until it is asked to stop while a given step is under way; returns the step that it was saved at."""

    def stop_at(step, config, workdir, **changes):
        stop, original = StopSignals(), loop.dispatches

        def dispatches(*args):
            for at, *rest in original(*args):
                stop.received = "SIGTERM" if at >= step else None
                yield at, *rest

        with monkeypatch.context() as patch:
            patch.setattr(loop, "dispatches", dispatches)
            with pytest.raises(Stopped) as stopped:
                run_to_end(config, workdir, stop, **changes)
        return stopped.value.step

    return stop_at


@pytest.mark.parametrize(
    "case",
    [
        "vit, streamed",
        *(
            pytest.param(case, marks=pytest.mark.slow)
            for case in ("vit", "vit, no average", "swin", "swin, streamed by workers")
        ),
    ],
)
def test_stopped_by_signals_and_killed_it_comes_to_the_same(case, small_config, run_to_end, stop_at, cut_off, tmp_path):
    """Stopped in the middle of an epoch and of a row of metrics, then killed after the last checkpoint."""
    config = dataclasses.replace(
        small_config,
        **cases(small_config)[case],
        duration="30 steps",
        evaluate_every="13 steps",
        checkpoint_every="10 steps",
    )
    *straight, _ = run_to_end(config, tmp_path / "straight")
    multiple = config.steps_per_dispatch
    assert stop_at(3, config, tmp_path / "stopped") == -(-3 // multiple) * multiple
    cut_off(config, tmp_path / "stopped", 25)
    *stopped, lines = run_to_end(config, tmp_path / "stopped")
    assert lines[0].startswith("continuing at step ")
    assert_same(straight, stopped)


def test_a_signal_while_metrics_are_waited_for_loses_none_of_them(small_config, run_to_end, monkeypatch, tmp_path):
    """Most signals come then. The row of the step under way must not be missing afterwards."""
    changes = dict(duration="12 steps", log_every="1 steps")
    *straight, _ = run_to_end(small_config, tmp_path / "straight", **changes)
    stop, original = StopSignals(), loop.Course.take

    def take(self, step, metrics):
        stop.received = "SIGTERM" if step >= 4 else None
        original(self, step, metrics)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Course, "take", take)
        with pytest.raises(Stopped):
            run_to_end(small_config, tmp_path / "stopped", stop, **changes)
    *continued, _ = run_to_end(small_config, tmp_path / "stopped", **changes)
    assert_same(straight, continued)


@pytest.mark.parametrize("evaluation", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_stopped_during_an_evaluation_it_does_it_again(evaluation, small_config, run_to_end, monkeypatch, tmp_path):
    """The one at step 8, and the final test: the run must end at once, and have each row once afterwards."""
    changes = dict(duration="12 steps", evaluate_every="8 steps", checkpoint_every="8 steps")
    *straight, _ = run_to_end(small_config, tmp_path / "straight", **changes)
    stop, count, original = StopSignals(), 0, evaluating.collect

    def collect(results):
        nonlocal count
        count += 1
        number = count

        def signalled():
            for result in results:
                if number == evaluation:
                    stop.received = "SIGTERM"  # after the first batch
                yield result

        return original(signalled())

    with monkeypatch.context() as patch:
        patch.setattr(evaluating, "collect", collect)
        with pytest.raises(Stopped) as stopped:
            run_to_end(small_config, tmp_path / "stopped", stop, **changes)
    assert stopped.value.step == {1: 8, 2: 12}[evaluation]
    *continued, _ = run_to_end(small_config, tmp_path / "stopped", **changes)
    assert_same(straight, continued)


def test_the_model_of_a_run_under_way_is_that_of_its_last_checkpoint(small_config, cut_off, tmp_path):
    """Whoever looks at it before the end finds what would be evaluated: the moving average."""
    config = dataclasses.replace(small_config, duration="12 steps", checkpoint_every="4 steps")
    cut_off(config, tmp_path, 6)
    state = final_state(prepare(config, tmp_path))
    assert state.step == 4
    _, params = vit_jax.load_pretrained(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, params, state.ema_params)
    assert np.any(params["head"]["kernel"] != state.params["head"]["kernel"])


@pytest.fixture(scope="module", params=["vit", pytest.param("swin", marks=pytest.mark.slow)])
def movable(request, small_config, run_to_end, tmp_path_factory):
    """A config without dropout and drop path, whose draws pmap makes per device, and its run on one device."""
    swin = {**SWIN, "drop_rate": 0.0, "attn_drop_rate": 0.0, "drop_path_rate": 0.0}
    networks = {
        "vit": ModelConfig(small_config.model.name, {**small_config.model.fields, "drop_path_rate": 0.0}),
        "swin": ModelConfig("swin_tiny_patch4_window7_224", swin),
    }
    config = dataclasses.replace(
        small_config,
        model=networks[request.param],
        optimizer=OptimizerConfig("sgd", 0.02),
        duration="12 steps",
        log_every="1 steps",
    )
    return config, *run_to_end(config, tmp_path_factory.mktemp("straight"))


MACHINES = {
    "one": {},
    "eight": dict(all_devices=True),
    "pmap": dict(all_devices=True, parallel=ParallelConfig("pmap")),
    "fsdp": dict(all_devices=True, parallel=ParallelConfig(fsdp=4)),
}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *[("eight", "one"), ("one", "eight")],
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in permutations(("one", "pmap", "fsdp"), 2)),
    ],
)
def test_a_run_goes_on_on_other_devices(first, second, movable, run_to_end, stop_at, tmp_path):
    """Same order of examples, same numbers but for rounding: parameters, optimizer state, average, losses."""
    config, run, straight, _ = movable
    assert stop_at(5, config, tmp_path / "moved", **MACHINES[first]) == 5
    moved_run, moved, lines = run_to_end(config, tmp_path / "moved", **MACHINES[second])
    assert lines[0] == "continuing at step 5 of 12"
    states = final_state(moved_run), final_state(run)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), *states)
    np.testing.assert_allclose(moved.test.loss, straight.test.loss, atol=1e-4)
    losses = [[row["loss"] for row in rows_of(r) if row["kind"] == "train"] for r in (run, moved_run)]
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)


@pytest.mark.parametrize("parallel", [ParallelConfig(), ParallelConfig(fsdp=8), ParallelConfig("pmap")], ids=str)
def test_no_state_is_built_beside_the_one_that_is_read(parallel, small_config, tmp_path, monkeypatch):
    """A device that has room for one might have none for two."""
    run = prepare(dataclasses.replace(small_config, parallel=parallel), tmp_path)
    with Checkpoints(tmp_path / "checkpoints", 2, print) as checkpoints:
        state, step, _ = loop.restore(run, checkpoints)
        assert step == 0
        state = dataclasses.replace(state, step=state.step + 3)
        checkpoints.save(3, run.parallel.gather_state(state), {})
        checkpoints.wait()
        monkeypatch.delattr(Run, "initial_state")
        restored, step, _ = loop.restore(run, checkpoints)
    assert step == 3
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(state), strict=True):
        assert one.sharding.is_equivalent_to(other.sharding, one.ndim)
