"""A whole run: what it writes, that it can be cut off anywhere, and that its model can be loaded again."""

import dataclasses
import json
import os
import shutil
from concurrent.futures import wait

import jax
import numpy as np
import optax
import pytest
from rich.console import Console

import vit_jax
from vit_jax.data.order import ShuffledOrder
from vit_jax.training import checkpoint, loop
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.config import ModelConfig
from vit_jax.training.errors import TrainingError
from vit_jax.training.nonfinite import NonFiniteGuard
from vit_jax.training.optimizer import OptimizerConfig
from vit_jax.training.parallel import OneProgram, ParallelConfig
from vit_jax.training.progress import Display
from vit_jax.training.recorder import Recorder
from vit_jax.training.run import prepare
from vit_jax.training.step import start_state
from vit_jax.training.stop_signals import StopSignals


@pytest.fixture(scope="module")
def trained(small_config, run_to_end, tmp_path_factory):
    return run_to_end(small_config, tmp_path_factory.mktemp("straight"))


def rows_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_it_learns(trained):
    _, result, _ = trained
    losses = [row["loss"] for row in result.rows if row["kind"] == "train"]
    assert losses[-1] < losses[0] - 0.05
    assert result.test.accuracy > 0.2  # of ten classes


def test_metrics_have_a_row_for_every_boundary(trained):
    run, result, _ = trained
    rows = rows_of(run.workdir)
    assert rows == result.rows
    assert [row["step"] for row in rows if row["kind"] == "train"] == [7, 14, 21, 28, 35, 40]
    assert [(row["step"], row.get("final")) for row in rows if row["kind"] == "test"] == [(20, None), (40, True)]
    for name in ("epoch", "loss", "accuracy", "learning_rate", "gradient_norm", "images_per_second", "seconds"):
        assert name in rows[0]
    assert rows[-1]["epoch"] == pytest.approx(40 * 64 / len(run.dataset.train), abs=1e-3)
    assert rows[-1]["peak_memory"] > 50e6


def test_the_rows_have_the_learning_rates_of_the_schedule(trained):
    """Five steps of warm-up, a cosine to zero at step 40; a row has the mean over its steps."""
    _, result, _ = trained
    warmup = [0.01 * (step + 1) / 5 for step in range(5)]
    rates = np.array(warmup + [0.005 * (1 + np.cos(np.pi * (step - 5) / 35)) for step in range(5, 40)])
    expected = [rates[first : first + 7].mean() for first in range(0, 40, 7)]
    rows = [row["learning_rate"] for row in result.rows if row["kind"] == "train"]
    np.testing.assert_allclose(rows, expected, rtol=1e-5)


def test_every_test_image_is_scored_once(trained):
    """The number of test images is no multiple of the batch: the last one must be neither dropped nor counted twice."""
    run, result, _ = trained
    _, labels = run.dataset.test.as_arrays()
    assert len(labels) % run.config.batch_size
    np.testing.assert_array_equal(result.test.label, labels)
    assert result.rows[-1]["examples"] == len(labels)


def test_the_loaded_model_is_the_trained_one(trained):
    """`load_pretrained(workdir)` must score exactly what the run reported, head and preprocessing included."""
    run, result, _ = trained
    model, params = vit_jax.load_pretrained(run.workdir)
    jax.tree.map(np.testing.assert_array_equal, params, result.params)
    preprocess = vit_jax.preprocessing(model)
    images, labels = run.dataset.test.as_arrays()
    logits = jax.jit(model.apply)({"params": params}, np.stack([preprocess(image) for image in images]))
    predicted = np.asarray(logits).argmax(-1)
    assert float(np.mean(predicted == labels)) == result.test.accuracy == result.rows[-1]["accuracy"]


def test_the_workdir_has_what_a_user_looks_for(trained):
    run, _, lines = trained
    assert json.loads((run.workdir / "config.json").read_text())["model"]["name"] == "vit_digits_patch2_8"
    assert json.loads((run.workdir / "model" / "config.json").read_text())["class_names"] == list("0123456789")
    assert sorted(int(path.name) for path in (run.workdir / "checkpoints").iterdir()) == [20, 30, 40]
    assert any("test accuracy" in line for line in lines)
    assert any(line.startswith("step  7/40") and "images/s" in line for line in lines)


def test_a_finished_run_is_not_trained_again(trained, small_config, run_to_end, tmp_path):
    run, result, _ = trained
    workdir = shutil.copytree(run.workdir, tmp_path / "copy")
    before = rows_of(workdir)
    with (workdir / "metrics.jsonl").open("a") as file:  # as if training had needed much more than testing does
        file.write(json.dumps({**before[-1], "peak_memory": 2**50}) + "\n")
    _, again, lines = run_to_end(small_config, workdir)
    assert lines[0] == "continuing at step 40 of 40"
    jax.tree.map(np.testing.assert_array_equal, again.params, result.params)
    assert [row["step"] for row in rows_of(workdir)] == [row["step"] for row in before]
    assert again.rows[-1]["peak_memory"] == 2**50


def test_the_seed_decides_the_order_and_every_draw(small_config, tmp_path, monkeypatch):
    """Seen in what the first step is given: its batch, and the key that augmentation and dropout draw from."""
    run, given = prepare(dataclasses.replace(small_config, seed=3), tmp_path), []

    def compile_train(self, step):
        return lambda *inputs: given.append(inputs) or (inputs[0], {})

    monkeypatch.setattr(OneProgram, "compile_train", compile_train)
    next(loop.dispatches(run, run.initial_state(), 0))
    ((_, _, batches, key),) = given
    order = ShuffledOrder(3, len(run.dataset.train))
    np.testing.assert_array_equal(batches["index"], [order.batch(0, run.config.batch_size)])
    assert key == jax.random.key(3)


def test_a_single_batch_is_not_copied():
    batches = [{"image": np.full((4, 2, 2, 1), number, np.uint8)} for number in range(3)]
    alone = loop.stacked(batches[:1])["image"]
    assert np.shares_memory(alone, batches[0]["image"])
    np.testing.assert_array_equal(alone, np.zeros((1, 4, 2, 2, 1)))
    np.testing.assert_array_equal(loop.stacked(batches)["image"][:, 0, 0, 0, 0], [0, 1, 2])


def test_a_save_that_failed_in_the_background_stops_the_run_at_the_next_step(
    small_config, run_to_end, tmp_path, monkeypatch
):
    """Not at the next save, which may be an hour later."""
    steps, dispatches, save = [], loop.dispatches, Checkpoints.save

    def counted(*args):
        for step, *rest in dispatches(*args):
            steps.append(step)
            yield step, *rest

    def save_to_the_end(self, *args):
        save(self, *args)
        wait([self.saving])

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "dispatches", counted)
    monkeypatch.setattr(Checkpoints, "save", save_to_the_end)
    monkeypatch.setattr(checkpoint, "write_manifest", no_space)
    with pytest.raises(TrainingError, match=r"saving checkpoint 4 failed, so the run stops: .*No space left"):
        run_to_end(small_config, tmp_path, duration="12 steps", checkpoint_every="4 steps")
    assert steps[-1] <= 5


def test_the_rows_are_on_the_disk_before_a_checkpoint_is_saved(small_config, tmp_path, monkeypatch):
    """After a power cut, a checkpoint that is ahead of them would leave a hole in the record."""
    run = prepare(small_config, tmp_path)
    events, fsync, save = [], os.fsync, Checkpoints.save
    recorder = Recorder(run, 0, {}, Display(Console(quiet=True), run.total_steps))
    recorder.log.write("train", run.total_steps, loss=1.0)

    def record_fsync(descriptor):
        if os.path.samestat(os.fstat(descriptor), (tmp_path / "metrics.jsonl").stat()):
            events.append((tmp_path / "metrics.jsonl").read_text())
        fsync(descriptor)

    def record_save(self, *args):
        events.append("save")
        save(self, *args)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Checkpoints, "save", record_save)
    with Checkpoints(tmp_path / "checkpoints", 2, print) as checkpoints:
        guard, stop = NonFiniteGuard(run, ()), StopSignals()
        course = loop.Course(
            run, recorder, guard, checkpoints, stop, "test", evaluate=lambda _: pytest.fail("evaluated")
        )
        course.save(run.total_steps, start_state({"bias": np.zeros(3, np.float32)}, optax.sgd(0.1), ema=False))
    assert [json.loads(event)["step"] if event != "save" else event for event in events] == [run.total_steps, "save"]


@pytest.fixture(scope="module")
def plain(small_config, run_to_end, tmp_path_factory):
    """A config without drop path, whose draws pmap makes per device, and the result of its run on one device."""
    fields = {**small_config.model.fields, "drop_path_rate": 0.0}
    config = dataclasses.replace(small_config, model=ModelConfig(small_config.model.name, fields), duration="12 steps")
    return config, run_to_end(config, tmp_path_factory.mktemp("plain"))[1]


@pytest.mark.parametrize(
    "changes",
    [
        dict(all_devices=True, parallel=ParallelConfig("pmap")),
        dict(all_devices=True, parallel=ParallelConfig(fsdp=4)),
        dict(steps_per_dispatch=5),
    ],
    ids=["pmap", "fsdp", "dispatch"],
)
def test_other_ways_to_compute_give_the_same_run(changes, plain, run_to_end, tmp_path):
    config, one = plain
    _, other, _ = run_to_end(config, tmp_path, **changes)
    np.testing.assert_allclose(other.test.loss, one.test.loss, atol=2e-3)
    assert other.rows[-1]["loss"] == pytest.approx(one.rows[-1]["loss"], abs=1e-4)


def test_validation_is_watched_and_the_test_split_looked_at_once(small_config, run_to_end, tmp_path):
    data = dataclasses.replace(small_config.data, validation_fraction=0.1)
    run, result, _ = run_to_end(small_config, tmp_path, data=data)
    assert [row["step"] for row in result.rows if row["kind"] == "validation"] == [20, 40]
    assert [row["step"] for row in result.rows if row["kind"] == "test"] == [40]
    assert len(run.dataset.validation) not in (0, len(run.dataset.test))


def test_streaming_and_resident_feeds_train_alike(small_config, run_to_end, tmp_path):
    """But for the rounding of two programs, of which one takes its images from those on the device; by SGD, as other
    optimizers take whole steps by the rounding of the keys' biases, whose gradient is zero."""
    changes, results = dict(optimizer=OptimizerConfig("sgd", 0.02), duration="6 steps"), []
    for feed in ("resident", "streaming"):
        data = dataclasses.replace(small_config.data, feed=feed, workers=0)
        results.append(run_to_end(small_config, tmp_path / feed, data=data, **changes)[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=1e-6), results[0].params, results[1].params)


def test_the_next_batch_is_on_its_way_while_the_device_computes(small_config, run_to_end, tmp_path, monkeypatch):
    """Reading and placing a batch must cost no time beside a longer step: it comes before the wait for metrics."""
    events = []
    place_batch, take = OneProgram.place_batch, loop.Course.take

    def place(self, batch, stacked=False):
        if stacked:
            events.append(("placed", sum(what == "placed" for what, _ in events) + 1))
        return place_batch(self, batch, stacked)

    def take_metrics(self, step, metrics):
        events.append(("taken", step))
        take(self, step, metrics)

    monkeypatch.setattr(OneProgram, "place_batch", place)
    monkeypatch.setattr(loop.Course, "take", take_metrics)
    run_to_end(small_config, tmp_path, duration="6 steps", checkpoint_every="3 steps")
    placed_first = [events.index(("placed", step + 1)) < events.index(("taken", step)) for step in range(1, 6)]
    assert placed_first == [True, True, False, True, True]  # what is saved after step 3 is all that was done


def test_images_of_another_size_are_resized_to_the_models(small_config, run_to_end, tmp_path):
    """Digits of 8 px into a network for 16 px, and back through `preprocessing`."""
    fields = {**small_config.model.fields, "image_size": 16, "patch_size": 4}
    run, result, _ = run_to_end(
        small_config, tmp_path, model=ModelConfig("vit_digits_patch2_8", fields), duration="6 steps"
    )
    model, params = vit_jax.load_pretrained(run.workdir)
    images, _ = run.dataset.test.as_arrays()
    preprocess = vit_jax.preprocessing(model)
    logits = jax.jit(model.apply)({"params": params}, np.stack([preprocess(image) for image in images]))
    agreement = float(np.mean(np.argmax(logits, -1) == result.test.predicted))
    assert agreement > 0.98  # Pillow rounds its resize to 8 bits
