"""Mistakes are answered before any work is done."""

import dataclasses
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import multihost_utils
from PIL import Image

import vit_jax
from vit_jax.data.augment import Cutmix, Mixup
from vit_jax.data.dataset import ArraySource, DataConfig, Dataset
from vit_jax.data.folder import FolderSource
from vit_jax.models.attention_kernel import Choice
from vit_jax.models.initialise import init_params
from vit_jax.models.network_input import network_input
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.models.vit import VisionTransformer
from vit_jax.objectives.classification import Classification
from vit_jax.objectives.distillation import Distillation
from vit_jax.objectives.masked_image_modelling import MaskedImageModelling
from vit_jax.training import run as run_module
from vit_jax.training import workdir_lock
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig
from vit_jax.training.run import fingerprint, prepare
from vit_jax.training.teacher import LoadedTeacher
from vit_jax.training.workdir import claim_workdir, refuse_other_config

DIGITS = ModelConfig("vit_digits_patch2_8")


def begin(config, workdir):
    """Prepares a run, and leaves a checkpoint as if it had come to one."""
    run = prepare(config, workdir)
    (workdir / "checkpoints" / "1").mkdir(parents=True, exist_ok=True)
    return run


@pytest.fixture
def config():
    return Config(model=DIGITS, schedule=ScheduleConfig(warmup="1 epoch"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(model=ModelConfig("vit_digit_patch2_8")), "unknown model 'vit_digit_patch2_8' .*vit_digits_patch2_8"),
        (dict(model=ModelConfig("vit_digits_patch2_8", {"embed_dims": 4})), "no field 'embed_dims' .*embed_dim"),
        (dict(model=ModelConfig("vit_digits_patch2_8", {"patch_size": 3})), "8x8 is not a whole number of patches"),
        (dict(model=ModelConfig("deit_tiny_distilled_patch16_224")), "distillation token"),
        (
            dict(model=ModelConfig("mae_base_patch16_224")),
            "mae_base_patch16_224: a MaskedAutoencoder is a network for pre-training",
        ),
        (dict(model=ModelConfig("beit_pretraining_base_patch16_224")), "is a network for pre-training"),
        (dict(data=DataConfig("digit")), "no data set 'digit'.*digits"),
        (dict(batch_size=30), "batch_size 30 must be a multiple of 8 devices"),
        (dict(accumulate_steps=3), "accumulate_steps 3"),
        (dict(schedule=ScheduleConfig(warmup="31 epochs")), "longer than the run"),
        (dict(optimizer=OptimizerConfig(freeze=("nothing",))), "matches no parameter"),
        (dict(optimizer=OptimizerConfig("muon", freeze=("blocks_*",))), "optimizer.freeze freezes them all"),
    ],
)
def test_a_config_that_cannot_work_is_refused_and_leaves_nothing(changes, message, config, tmp_path):
    workdir = tmp_path / "run"
    with pytest.raises(ValueError, match=message):
        prepare(dataclasses.replace(config, **changes), workdir)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("field", "decider"), [("num_classes", "data's classes"), ("in_channels", "channels"), ("dtype", "config's own")]
)
def test_a_field_of_the_network_that_is_decided_elsewhere_is_refused(field, decider):
    with pytest.raises(ValueError, match=rf"^model\.fields must not set {field}: .*{decider}"):
        ModelConfig("vit_digits_patch2_8", {field: 4})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("duration", "0 steps"),
        ("duration", "long"),
        ("log_every", "0 epochs"),
        ("checkpoint_every", "5"),
        ("batch_size", 0),
        ("keep_checkpoints", 1),
        ("stop_after_skipped", 0),
        ("ema_decay", 1.0),
        ("seed", -1),
        ("seed", 2**32),  # JAX would take it for 0
    ],
)
def test_a_config_field_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field} (must be|is written like) "):
        Config(model=DIGITS, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("weight_decay", float("nan")),
        ("final_weight_decay", float("nan")),
        ("b1", 1.0),
        ("b2", 5.0),
        ("eps", -1.0),
        ("clip_norm", float("nan")),
    ],
)
def test_an_optimizer_s_field_that_cannot_be_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"{field} (must|not negative)"):
        OptimizerConfig(**{field: value})
    with pytest.raises(ValueError, match=r"schedule\.final must not be negative"):
        ScheduleConfig(final=-3.0)


def test_a_duration_of_the_schedule_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^schedule\.warmup is written like .* not 'long'"):
        ScheduleConfig(warmup="long")
    with pytest.raises(ValueError, match=r"^schedule\.timescale is written like .* not '10'"):
        ScheduleConfig(timescale="10")


def test_another_configs_workdir_is_refused_with_the_differences(config, tmp_path):
    begin(config, tmp_path)
    changed = dataclasses.replace(config, seed=1, optimizer=OptimizerConfig(b1=0.8))
    with pytest.raises(ValueError, match=r"(?s)optimizer.b1: 0.9 -> 0.8.*seed: 0 -> 1.*another --workdir"):
        prepare(changed, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 0


def test_a_run_that_began_and_ended_while_another_read_its_data_keeps_its_workdir(config, tmp_path, monkeypatch):
    """Both found it empty at first; the second would write its config over the first one's results."""
    original, other = run_module.load_dataset, dataclasses.replace(config, seed=1)

    def slow(*args):
        monkeypatch.setattr(run_module, "load_dataset", original)
        run = prepare(config, tmp_path)
        assert run.lock is not None
        run.lock.close()
        return original(*args)

    monkeypatch.setattr(run_module, "load_dataset", slow)
    with pytest.raises(ValueError, match="seed: 0 -> 1"):
        prepare(other, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 0
    with claim_workdir(config, tmp_path):  # the second has let go of it
        pass


@pytest.mark.parametrize("name", ["a[x]b", "a*", "a?", "a\\b"])
def test_a_path_that_orbax_takes_for_a_pattern_is_refused(name, config, tmp_path, monkeypatch):
    """Of a relative workdir, the folders above count, too."""
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(ValueError, match=r"checkpoints cannot be kept in .*give a --workdir whose path has none of"):
        prepare(config, Path("run"))


@pytest.mark.parametrize(("kept", "refused"), [("report.html", True), ("model", True), ("model checkpoints", False)])
def test_a_run_whose_checkpoints_were_deleted_does_not_start_over(kept, refused, config, tmp_path):
    """It would write over the model and the metrics that it came to. Killed in its first save, it has both folders."""
    prepare(config, tmp_path)
    for name in kept.split():
        (tmp_path / name).mkdir()
    if refused:
        with pytest.raises(ValueError, match=r"none of the checkpoints to go on from\. Bring .*checkpoints back"):
            prepare(config, tmp_path)
    else:
        prepare(config, tmp_path)


def test_a_set_that_has_become_another_is_refused(config, tmp_path, monkeypatch):
    """With the same config: what changed is in the data directory."""
    begin(config, tmp_path)
    original = run_module.load_dataset

    def another(*args):
        data = original(*args)
        assert isinstance(data.train, ArraySource)
        return dataclasses.replace(data, train=ArraySource(255 - data.train.images, data.train.labels))

    monkeypatch.setattr(run_module, "load_dataset", another)
    with pytest.raises(ValueError, match="began with other images called digits"):
        prepare(config, tmp_path)


def test_the_same_config_is_taken_again(config, tmp_path):
    prepare(config, tmp_path)
    prepare(dataclasses.replace(config), tmp_path)


def test_a_run_has_its_workdir_for_as_long_as_it_is_there(config, tmp_path):
    """From `prepare` on, and not from the training on only: two that began at once would both train."""
    run = prepare(config, tmp_path)
    with pytest.raises(
        BlockingIOError, match=f"process {os.getpid()} on .* is training in {tmp_path}: wait for its end"
    ):
        prepare(config, tmp_path)
    assert run.lock is not None
    with run.lock:
        pass  # as after the training
    prepare(config, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        dict(data=DataConfig(data_dir="x")),
        dict(data=DataConfig(feed="streaming")),
        dict(data=DataConfig(workers=5)),
        dict(keep_checkpoints=3),
        dict(log_every="7 steps"),
        dict(evaluate_every="7 steps"),
        dict(checkpoint_every="7 steps"),
        dict(model=ModelConfig("vit_digits_patch2_8", {"attention": "xla"})),
    ],
    ids=["data_dir", "feed", "workers", "keep", "log", "evaluate", "checkpoint", "attention"],
)
def test_a_run_may_go_on_elsewhere(changes, config, tmp_path):
    """What says where and how it is computed, and what is told of it, may be another, and is written down."""
    changed = dataclasses.replace(config, **changes)
    with claim_workdir(config, tmp_path):
        pass
    refuse_other_config(changed, tmp_path)
    with claim_workdir(changed, tmp_path):
        pass
    refuse_other_config(changed, tmp_path)
    with pytest.raises(ValueError, match="seed: 0 -> 1"):
        refuse_other_config(dataclasses.replace(config, seed=1), tmp_path)


def test_a_run_goes_on_with_the_same_kind_of_objective_and_transforms_only(config, tmp_path):
    """Fields do not tell: those of Mixup and Cutmix are alike."""
    first = dataclasses.replace(config, augment=(Mixup(alpha=1.0),), objective=Distillation("t"))
    with claim_workdir(first, tmp_path):
        pass
    others = dict(augment=(Cutmix(alpha=1.0),), objective=MaskedImageModelling("t"))
    changes = r"(?s)augment: .*Mixup.*Cutmix.*objective\.objective: Distillation -> MaskedImageModelling"
    with pytest.raises(ValueError, match=changes):
        refuse_other_config(dataclasses.replace(first, **others), tmp_path)


@pytest.mark.parametrize(("field", "old", "new"), [("split_seed", 0, 1), ("load_size", 256, 64), ("repeats", 1, 3)])
def test_a_run_goes_on_with_the_same_images_only(field, old, new, config, tmp_path):
    """Else it would be tested on images that it learned from, or see others than it began with."""
    with claim_workdir(config, tmp_path):
        pass
    changed = dataclasses.replace(config, data=DataConfig(**{field: new}))
    with pytest.raises(ValueError, match=rf"data\.{field}: {old} -> {new}"):
        refuse_other_config(changed, tmp_path)


def test_another_folder_in_a_run_s_workdir_is_told_as_such(config, tmp_path):
    """Not as files of the first folder that are missing in the other."""
    for folder, first in (("one", 0), ("other", 40)):
        for i in range(40):
            path = tmp_path / folder / "ab"[i % 2] / f"{first + i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
    model = ModelConfig("vit_digits_patch2_8", {"preprocessing": Preprocessing()})
    for folder in ("one", "other"):
        data = DataConfig(f"folder:{tmp_path / folder}", load_size=8)
        changed = dataclasses.replace(config, model=model, data=data, batch_size=8)
        if folder == "one":
            begin(changed, tmp_path / "run")
        else:
            with pytest.raises(ValueError, match=r"data\.name: .*one -> .*other"):
                prepare(changed, tmp_path / "run")


def test_a_run_that_never_came_to_a_checkpoint_is_forgotten(config, tmp_path):
    """Its images are listed before they are decoded: what is mended then must not be refused."""
    folder = tmp_path / "pictures"
    for i in range(40):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    data = DataConfig(f"folder:{folder}", load_size=8)
    model = ModelConfig("vit_digits_patch2_8", {"preprocessing": Preprocessing()})
    config = dataclasses.replace(config, model=model, data=data, batch_size=8)
    workdir = tmp_path / "run"
    run = prepare(config, workdir)
    skipping = dataclasses.replace(config, data=dataclasses.replace(data, skip_unreadable=True))
    with pytest.raises(BlockingIOError, match="is training in"):
        prepare(config, workdir)  # it goes on: nothing is forgotten
    assert run.lock is not None
    run.lock.close()
    (folder / "a" / "0.png").unlink()
    (workdir / "report.html").touch()  # of a run that ended, whose checkpoints were deleted
    with pytest.raises(ValueError, match="seed: 0 -> 1"):
        prepare(dataclasses.replace(config, seed=1), workdir)
    (workdir / "report.html").unlink()
    (workdir / "checkpoints" / "1.orbax-checkpoint-tmp").mkdir(parents=True)  # of one that was killed
    (workdir / "tensorboard").mkdir()
    (workdir / "not_finite.json").touch()
    run = begin(dataclasses.replace(config, seed=1), workdir)
    assert len(run.dataset.train) + len(run.dataset.test) == 39
    assert not any((workdir / name).exists() for name in ("tensorboard", "not_finite.json"))
    assert run.lock is not None
    run.lock.close()
    with pytest.raises(ValueError, match="seed: 1 -> 0"):
        prepare(config, workdir)
    (folder / "a" / "2.png").unlink()
    with pytest.raises(ValueError, match=r"2\.png.*Put it back, or ask for skip_unreadable"):
        prepare(dataclasses.replace(config, seed=1), workdir)
    assert len(prepare(dataclasses.replace(skipping, seed=1), workdir).dataset.train) == len(run.dataset.train)


def test_classes_are_weighed_by_their_training_images(config, tmp_path):
    for name, count in (("few", 10), ("many", 50)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / name / f"{i}.png")
    model = ModelConfig("vit_digits_patch2_8", {"preprocessing": Preprocessing()})
    data = DataConfig(f"folder:{tmp_path / 'pictures'}", load_size=8, test_fraction=0.2)
    config = dataclasses.replace(config, model=model, data=data, batch_size=8)
    run = prepare(config, tmp_path / "as_they_come")
    assert run.step.class_weights is None
    note = "class 'few' has 8 training images, 'many' 40: objective.balanced True makes all classes count alike"
    assert note in run.dataset.notes
    run = prepare(dataclasses.replace(config, objective=Classification(balanced=True)), tmp_path / "balanced")
    assert note not in run.dataset.notes
    assert run.step.class_weights == (48 / 8 / 2, 48 / 40 / 2)


def test_images_that_pretrained_weights_or_a_teacher_know_are_told(config, small_config, run_to_end, tmp_path):
    """Where images were added, others are tested on."""
    folder = tmp_path / "pictures"
    for i in range(60):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (4 * i, 0, 0)).save(path)
    data = DataConfig(f"folder:{folder}", load_size=8)
    first = dataclasses.replace(small_config, data=data, augment=(), batch_size=8, duration="5 steps")
    workdir = tmp_path / "old"
    old, _, _ = run_to_end(first, workdir)
    again = dataclasses.replace(first, model=ModelConfig(pretrained=str(workdir)))
    same = prepare(again, tmp_path / "again")
    assert isinstance(same.dataset.test, FolderSource)
    assert isinstance(old.dataset.test, FolderSource)
    assert isinstance(old.dataset.train, FolderSource)
    assert same.dataset.test.files == old.dataset.test.files
    assert not [note for note in same.dataset.notes if "learned from" in note]
    other = dataclasses.replace(again, data=dataclasses.replace(data, split_seed=1))
    run = prepare(other, tmp_path / "other")
    assert isinstance(run.dataset.test, FolderSource)
    learned = len(set(run.dataset.test.files) & set(old.dataset.train.files))
    told = f"of the {len(run.dataset.test)} test images, the run in {workdir} learned from {learned} of them"
    assert learned > 0
    assert told in run.dataset.notes
    taught = dataclasses.replace(first, data=other.data, objective=Distillation(str(workdir)))
    assert told in prepare(taught, tmp_path / "taught").dataset.notes


def test_a_run_goes_on_with_the_images_that_it_began_with(config, tmp_path):
    """An image that comes to the folder divides it anew: those that are tested on would have been learned from."""
    root = tmp_path / "images"
    for number in range(20):
        path = root / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    model = ModelConfig("vit_digits_patch2_8", {"preprocessing": Preprocessing()})
    config = dataclasses.replace(config, model=model, data=DataConfig(f"folder:{root}", load_size=8), batch_size=8)

    def files(workdir: str) -> list[tuple[str, ...]]:
        dataset = begin(config, tmp_path / workdir).dataset
        assert isinstance(dataset.train, FolderSource)
        assert isinstance(dataset.test, FolderSource)
        return [dataset.train.files, dataset.test.files]

    before = files("run")
    Image.new("RGB", (8, 8)).save(root / "a" / "another.png")
    assert files("run") == before
    anew = files("new")
    assert any(file.endswith("another.png") for file in [*anew[0], *anew[1]])


def test_processes_must_share_the_workdir(config, tmp_path, monkeypatch):
    """Else no checkpoint would be whole. Two processes stand here one after the other."""
    of_first = {}
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", lambda x: of_first.setdefault(x.shape, x))
    monkeypatch.setattr(workdir_lock, "SHOWN_AFTER_SECONDS", 0)
    prepare(config, tmp_path / "run")
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    prepare(config, tmp_path / "run")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / ".lock").write_text("process 1 on another")
    for own in ("new", "used"):
        with pytest.raises(ValueError, match=r"process 1 and process 0 .* differ in the workdir, which all .* share$"):
            prepare(config, tmp_path / own)


def test_processes_must_have_the_same_images_and_teacher_wherever_they_keep_them(config):
    """What they compare is another for other images or another teacher, and for nothing of the machine."""

    def dataset(train: list[str], test: int) -> Dataset:
        source = FolderSource(tuple(train), np.zeros(len(train), np.int32), (8, 8))
        tested = ArraySource(np.zeros((test, 8, 8, 1), np.uint8), np.zeros(test, np.int32))
        return Dataset("folder:x", ("a", "b"), (8, 8, 1), source, None, tested, ())

    def teacher(weight: float) -> LoadedTeacher:
        kernel = {"kernel": np.full(3, weight)}
        return LoadedTeacher(create_model("vit_digits_patch2_8"), kernel, np.arange(2), "a teacher", "teacher")

    def compared(config: Config, data: Dataset, teacher: LoadedTeacher | None) -> dict[str, str]:
        return fingerprint(config, data, create_model("vit_digits_patch2_8"), None, teacher)

    data = dataset(["a/1", "b/2"], 3)
    same = compared(config, data, teacher(1))
    assert compared(config, dataset(["a/1", "b/2"], 3), teacher(1)) == same
    elsewhere = dataclasses.replace(config, data=DataConfig(data_dir="elsewhere", workers=7))
    assert compared(elsewhere, data, teacher(1)) == same
    for other in (
        compared(config, dataset(["a/1", "b/3"], 3), teacher(1)),
        compared(config, dataset(["b/2", "a/1"], 3), teacher(1)),
        compared(config, dataset(["a/1", "b/2"], 4), teacher(1)),
        compared(config, dataclasses.replace(data, validation=data.test), teacher(1)),
        compared(config, dataclasses.replace(data, class_names=("a", "c")), teacher(1)),
        compared(config, data, teacher(2)),
        compared(config, data, None),
        compared(dataclasses.replace(config, seed=1), data, teacher(1)),
    ):
        assert other != same


def test_the_network_begins_with_the_seed_s_parameters(config, tmp_path):
    run = prepare(dataclasses.replace(config, seed=3), tmp_path)
    expected = init_params(run.model, jax.random.key(3))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(run.initial_state().params), jax.device_get(expected))
    other = init_params(run.model, jax.random.key(0))["patch_embed"]["kernel"]
    assert np.any(np.asarray(other != expected["patch_embed"]["kernel"]))


def test_the_optimizer_goes_by_the_schedule_of_the_config(config, tmp_path):
    """Warm-up, peak, shape and end, in epochs of this data set: seen in how far a gradient of one moves."""
    plain = OptimizerConfig("sgd", learning_rate=0.5, b1=0.0, weight_decay=0.0, clip_norm=None)
    schedule = ScheduleConfig("linear", warmup="1 epoch", final=0.2)
    config = dataclasses.replace(config, optimizer=plain, schedule=schedule, duration="2 epochs", batch_size=360)
    optimizer = prepare(config, tmp_path).step.optimizer  # 1438 images: 4 steps an epoch
    one, moved = {"kernel": np.ones((1, 1), np.float32)}, []
    state = optimizer.init(one)
    for _ in range(8):
        update, state = optimizer.update(one, state, one)
        moved += [-np.asarray(leaf).item() for leaf in jax.tree.leaves(update)]
    np.testing.assert_allclose(moved, [0.125, 0.25, 0.375, 0.5, 0.5, 0.4, 0.3, 0.2], rtol=1e-6)


def test_a_folder_that_moved_is_taken_again(config, tmp_path):
    """The images are those that the run lists, by their names within the folder."""
    for name in ("dark", "light"):
        (tmp_path / "here" / name).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / "here" / name / f"{i}.png")
    fields = {"embed_dim": 8, "num_heads": 2, "depth": 1}
    changes = dict(model=ModelConfig("vit_digits_patch2_8", fields), batch_size=16, duration="9 epochs")

    def at(name):
        data = DataConfig(f"folder:{tmp_path}/{name}", load_size=8)
        return begin(dataclasses.replace(config, data=data, **changes), tmp_path / "run")

    before = at("here").dataset.test
    (tmp_path / "here").rename(tmp_path / "there")
    after = at("there").dataset.test
    assert isinstance(before, FolderSource)
    assert isinstance(after, FolderSource)
    assert [file.replace("/here/", "/there/") for file in before.files] == list(after.files)
    at("there/../there")
    shutil.copytree(tmp_path / "there", tmp_path / "others")
    with pytest.raises(ValueError, match=r"data\.name: .*there/\.\./there -> .*others"):
        at("others")
    with pytest.raises(ValueError, match=r"data\.name"):
        prepare(dataclasses.replace(config, **changes), tmp_path / "run")


def test_a_fresh_network_crops_nothing(config, tmp_path):
    """Training shows it whole images, and `predict` is to do the same; a config may say otherwise."""
    fields = dict(image_size=16, depth=1, embed_dim=12, num_heads=3)
    assert create_model("vit_tiny_patch16_224", **fields).preprocessing.crop_fraction == 0.9
    run = prepare(dataclasses.replace(config, model=ModelConfig("vit_tiny_patch16_224", fields)), tmp_path / "a")
    assert run.model.preprocessing == Preprocessing(crop_fraction=1.0)
    own = {**fields, "preprocessing": Preprocessing(crop_fraction=0.5)}
    run = prepare(dataclasses.replace(config, model=ModelConfig("vit_tiny_patch16_224", own)), tmp_path / "b")
    assert run.model.preprocessing == Preprocessing(crop_fraction=0.5)


def test_images_of_other_proportions_are_squashed_in_use_as_they_are_in_training(config, tmp_path):
    """And no others are."""
    for image_size, squash in (((8, 12), True), ((16, 16), False)):
        fields = dict(image_size=image_size, depth=1, embed_dim=12, num_heads=3)
        changed = dataclasses.replace(config, model=ModelConfig("vit_digits_patch2_8", fields))
        run = prepare(changed, tmp_path / f"{squash}")
        assert run.model.preprocessing.squash == squash
        image = run.dataset.test[0][0]
        trained = network_input(run.model, jnp.asarray(image)[None])[0]
        np.testing.assert_allclose(
            vit_jax.preprocessing(run.model)(image), trained, atol=0.1
        )  # Pillow clips between its passes


def test_images_loaded_in_the_network_s_proportions_are_not_squashed(config, tmp_path):
    """And the same part of each is seen in use."""
    slope = np.linspace(0, 255, 40).astype(np.uint8)
    for name, pixels in (("left", slope), ("right", slope[::-1])):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(10):
            image = Image.fromarray(np.broadcast_to(pixels[None, :, None], (20, 40, 3)).copy())
            image.save(tmp_path / "pictures" / name / f"{i}.png")
    model = ModelConfig("vit_digits_patch2_8", dict(image_size=(8, 12), depth=1, embed_dim=12, num_heads=3))
    data = DataConfig(f"folder:{tmp_path / 'pictures'}", load_size=(8, 12))
    run = prepare(dataclasses.replace(config, model=model, data=data, batch_size=8), tmp_path / "run")
    assert not run.model.preprocessing.squash
    trained = network_input(run.model, jnp.asarray(run.dataset.test[0][0])[None])[0]
    assert isinstance(run.dataset.test, FolderSource)
    with Image.open(run.dataset.test.files[0]) as file:
        np.testing.assert_allclose(vit_jax.preprocessing(run.model)(file), trained, atol=0.02)
    written = json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    assert DataConfig(**written) == data


def test_the_attention_that_is_told_is_of_the_tokens_that_training_has(monkeypatch):
    """A masked autoencoder's encoder sees a quarter of the patches, and fewer tokens may have another program."""
    counted = []
    monkeypatch.setattr("vit_jax.models.vit.choose_kernel", lambda kernel, tokens, *_: counted.append(tokens))
    for name in ("mae_cifar_patch2_32", "beit_pretraining_cifar_patch4_32"):
        run_module.attention_choice(create_model(name))
    assert counted == [1 + 64, 1 + 64]


def test_the_folder_of_a_model_is_no_workdir(config, tmp_path):
    """Its config.json would be lost, of a publisher's weights or of a run's own model/."""
    description = json.dumps({"model": "vit_tiny", "hidden_size": 192})
    (tmp_path / "config.json").write_text(description)
    with pytest.raises(ValueError, match=r"config\.json is not the config of a run.*another --workdir"):
        prepare(config, tmp_path)
    assert (tmp_path / "config.json").read_text() == description


def test_what_a_killed_run_was_writing_of_its_models_is_removed(config, tmp_path):
    for folder in ("model", "best"):
        (tmp_path / folder).mkdir()
        for name in (".model.safetensors.4711", ".mine", "config.json"):
            (tmp_path / folder / name).touch()
    claim_workdir(config, tmp_path).close()
    for folder in ("model", "best"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == [".mine", "config.json"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_named(config, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot write to the workdir"):
        prepare(config, tmp_path / "run")


def test_a_workdir_that_cannot_be_made_is_named(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write to the workdir .*file/run"):
        prepare(config, tmp_path / "file" / "run")


def test_a_full_disk_is_told_before_training(config, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with pytest.raises(OSError, match="checkpoints need 15 MiB"):  # 3 x (parameters + 2 moments) of 450,730 float32
        prepare(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()  # another config may be tried there


def test_a_run_s_own_checkpoints_need_no_room_again(config, tmp_path, monkeypatch):
    """Two are there, 15 MiB for three are not; but the one more fits."""
    usage, each = namedtuple("usage", "total used free"), 12 * 450_730
    for step in ("10", "20", "5.damaged"):
        (tmp_path / "checkpoints" / step / "state").mkdir(parents=True)
        (tmp_path / "checkpoints" / step / "state" / "arrays").write_bytes(bytes(each))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, each - 100))
    with pytest.raises(OSError, match="checkpoints need 5 MiB more"):
        prepare(config, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, each + 100))
    prepare(config, tmp_path)


@pytest.mark.parametrize("damaged", ["{", "[]", None])
def test_a_damaged_config_is_named(config, tmp_path, damaged):
    begin(config, tmp_path)
    whole = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(damaged or whole.replace('"name"', '"nbme"'))
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        prepare(config, tmp_path)


def test_a_network_that_normalises_other_channels_is_refused(config, tmp_path):
    model = ModelConfig("vit_tiny_patch4_32", {"preprocessing": Preprocessing((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))})
    with pytest.raises(ValueError, match=r"means of 3 channels; those of digits have 1\. Set model\.preprocessing"):
        prepare(dataclasses.replace(config, model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_data_set_decides_classes_and_channels(config, tmp_path):
    grey = Preprocessing((0.5,), (0.5,))
    model = ModelConfig("vit_tiny_patch4_32", {"embed_dim": 8, "num_heads": 2, "depth": 1, "preprocessing": grey})
    run = prepare(dataclasses.replace(config, model=model, dtype="bfloat16"), tmp_path)
    assert (run.model.num_classes, run.model.in_channels) == (10, 1)
    assert run.model.dtype == "bfloat16"


def test_what_processes_must_have_alike_is_told_by_its_name(config, tmp_path, monkeypatch):
    run = prepare(config, tmp_path)
    params = {"head": {"bias": np.zeros(10, np.float32)}}
    alike: dict[str, Any] = dict(config=config, dataset=run.dataset, model=run.model, params=params, teacher=None)
    first = fingerprint(**alike)

    def others(**changes):
        now = fingerprint(**{**alike, **changes})
        return [name for name in first if now[name] != first[name]]

    def with_data(**changes):
        return dataclasses.replace(config, data=dataclasses.replace(config.data, **changes))

    assert others() == others(config=with_data(data_dir="/elsewhere")) == others(config=with_data(workers=3)) == []
    assert others(config=dataclasses.replace(config, seed=1)) == ["config"]
    assert others(dataset=dataclasses.replace(run.dataset, train=run.dataset.test)) == ["images"]
    assert others(params={"head": {"bias": np.eye(1, 10, dtype=np.float32)[0]}}) == ["pretrained weights"]
    assert others(teacher=SimpleNamespace(model=run.model, sha256="1"))[0] == "teacher or tokenizer"
    for module, name, value, other in (
        (run_module, "version", lambda package: "0.0.1", ["jax and jaxlib"]),
        (jax, "local_devices", lambda: [SimpleNamespace(device_kind="another")] * 8, ["devices"]),
        (VisionTransformer, "attention_choice", lambda *_: Choice("matmul", "another reason"), []),
        (VisionTransformer, "attention_choice", lambda *_: Choice("cudnn", "as asked"), ["programs of attention"]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert others() == other
