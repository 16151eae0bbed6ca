"""A student and its teacher through the whole of training."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vit_jax
from tests.models.cases import random_params
from tests.training.pretraining_steps import after_steps, assert_same_on
from vit_jax.data.order import ShuffledOrder
from vit_jax.models.initialise import init_params
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.models.vit import VisionTransformer
from vit_jax.objectives.distillation import Distillation
from vit_jax.objectives.objective import Teacher
from vit_jax.training.config import ModelConfig
from vit_jax.training.description import describe
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig
from vit_jax.training.parallel import ParallelConfig
from vit_jax.training.run import prepare

SMALL = dict(image_size=8, num_classes=10, in_channels=1, preprocessing=Preprocessing())
DISTILLED = create_model("vit_digits_patch2_8", **SMALL, embed_dim=16, depth=1, num_heads=2, distilled=True)
SWIN = create_model(
    "swin_cifar_patch2_window4_32", **SMALL, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2
).clone(drop_path_rate=0.0)
CNN = create_model("cnn_small_32", **SMALL, widths=(8, 12), hidden_dim=16)


@pytest.fixture(scope="module")
def teacher(small_config, run_to_end, tmp_path_factory):
    """The workdir of a CNN that knows digits."""
    fields = dict(widths=(8, 12), hidden_dim=16, image_size=8, preprocessing=Preprocessing())
    model = ModelConfig("cnn_small_32", fields)
    workdir = tmp_path_factory.mktemp("teacher")
    optimizer = dataclasses.replace(small_config.optimizer, name="adamw", learning_rate=1e-2)
    _, result, _ = run_to_end(small_config, workdir, model=model, optimizer=optimizer, duration="100 steps")
    assert result.test.accuracy > 0.8
    return workdir


@pytest.fixture(scope="module")
def config(small_config, teacher):
    model = ModelConfig(small_config.model.name, {**small_config.model.fields, "distilled": True, "pool": "token"})
    return dataclasses.replace(small_config, model=model, objective=Distillation(str(teacher)))


@pytest.fixture(scope="module")
def trained(config, run_to_end, tmp_path_factory):
    return run_to_end(config, tmp_path_factory.mktemp("student"))


def test_the_student_learns_from_it(trained):
    _, result, _ = trained
    rows = [row for row in result.rows if row["kind"] == "train"]
    assert rows[-1]["agreement"] > rows[0]["agreement"] + 0.1
    assert rows[-1]["teacher_accuracy"] > 0.6  # of augmented, mixed digits
    assert result.test.accuracy > 0.25


def test_the_teacher_is_told_and_not_saved(trained, teacher):
    run, result, _ = trained
    told = next(line for line in describe(run) if line.startswith("teacher"))
    assert f"ConvNet of {teacher}" in told
    saved, _ = vit_jax.load_pretrained(run.workdir)
    assert isinstance(saved, VisionTransformer)
    assert saved.distilled
    state = run.parallel.gather_state(run.initial_state())
    assert jax.tree.structure(state.params) == jax.tree.structure(result.params)


def test_the_teacher_computes_in_the_run_s_dtype(config, tmp_path):
    run = prepare(dataclasses.replace(config, dtype="bfloat16"), tmp_path)
    student, teacher = run.step.model, run.step.teacher
    assert teacher is not None
    assert student.dtype == teacher.dtype == jnp.bfloat16


def test_either_head_can_answer_alone(trained):
    """Evaluated, both answer together: their mean."""
    run, _, _ = trained
    model, params = vit_jax.load_pretrained(run.workdir)
    images = np.random.default_rng(0).normal(size=(3, *model.input_shape)).astype(np.float32)
    both, of_class, of_teacher = (
        np.asarray(model.clone(answer=answer).apply({"params": params}, images))
        for answer in ("mean", "class", "distillation")
    )
    np.testing.assert_allclose(both, (of_class + of_teacher) / 2, atol=1e-6)
    assert np.abs(of_class - of_teacher).max() > 1e-3
    np.testing.assert_array_equal(both, model.apply({"params": params}, images))


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize(
    ("teacher", "student", "kind"),
    [(DISTILLED, SWIN, "hard"), (SWIN, CNN, "soft")],
    ids=["distilled ViT teaches Swin", "Swin teaches CNN"],
)
def test_a_run_s_loss_is_deit_s_formula(teacher, student, kind, small_config, run_to_end, tmp_path):
    """That of the first step: of both networks' answers to its batch, where the teacher has its classes in another
    order. Both begin with random weights, as a head of zeros would give every answer the same loss."""
    taught, params = random_params(teacher, 1), random_params(student, 2)
    vit_jax.save_pretrained(tmp_path / "teacher", teacher, taught, class_names=tuple("9876543210"))
    vit_jax.save_pretrained(tmp_path / "student", student, params, class_names=tuple("0123456789"))
    run, result, _ = run_to_end(
        small_config,
        tmp_path / "run",
        model=ModelConfig(pretrained=str(tmp_path / "student")),
        objective=Distillation(str(tmp_path / "teacher"), kind=kind, weight=0.3, temperature=2.0, label_smoothing=0.1),
        augment=(),
        optimizer=OptimizerConfig("adamw"),
        schedule=ScheduleConfig(warmup="1 steps"),
        duration="2 steps",
        log_every="1 steps",
    )
    pixels, labels = run.dataset.train.as_arrays()
    batch = ShuffledOrder(small_config.seed, len(labels)).batch(0, small_config.batch_size)
    seen = pixels[batch].astype(np.float32) / 127.5 - 1
    answers = np.asarray(jax.jit(teacher.apply)({"params": taught}, seen), np.float64)[:, ::-1]
    in_training = jax.jit(lambda images: student.apply({"params": params}, images, True, mutable=["statistics"])[0])
    logits = np.asarray(in_training(seen), np.float64)

    targets = 0.9 * np.eye(10)[labels[batch]] + 0.1 / 10
    labelled = -(targets * log_softmax(logits)).sum(-1).mean()
    if kind == "hard":
        of_teacher = -np.take_along_axis(log_softmax(logits), answers.argmax(-1)[:, None], 1).mean()
    else:
        p, q = log_softmax(logits / 2), log_softmax(answers / 2)
        of_teacher = (np.exp(q) * (q - p)).mean() * 4
    losses = [row["loss"] for row in result.rows if row["kind"] == "train"]
    assert losses[0] == pytest.approx(0.7 * labelled + 0.3 * of_teacher, rel=1e-5)
    assert losses[1] != losses[0]
    assert np.isfinite(losses[1])


@functools.cache
def train_on(ways):
    """The parameters after two steps, and the losses: of a student with a token of its own for the teacher."""
    teacher = Teacher(SWIN, random_params(SWIN, 1), jnp.arange(9, -1, -1))
    objective = Distillation("somewhere", kind="soft", temperature=2.0)
    state, losses = after_steps(DISTILLED, objective, ways, random_params(DISTILLED, 0), 2, teacher=teacher)
    return state.params, losses


@pytest.mark.parametrize("ways", ["fsdp", "pmap", "accumulated"])
def test_devices_do_not_matter(ways):
    assert_same_on(ways, train_on)


@pytest.mark.slow
def test_killed_it_comes_to_the_same(config, assert_killed_comes_to_the_same):
    assert_killed_comes_to_the_same(config, ("agreement", "teacher_accuracy"))


@pytest.mark.slow
def test_pmap_and_fsdp_give_the_same(config, run_to_end, tmp_path):
    """But for drop path, whose draws pmap makes per device."""
    fields = {**config.model.fields, "drop_path_rate": 0.0}
    plain = dict(model=ModelConfig(config.model.name, fields), duration="6 steps", log_every="2 steps")
    losses = {}
    for name, parallel in (
        ("jit", ParallelConfig()),
        ("pmap", ParallelConfig("pmap")),
        ("fsdp", ParallelConfig(fsdp=4)),
    ):
        _, result, _ = run_to_end(config, tmp_path / name, all_devices=True, **plain, parallel=parallel)
        losses[name] = [row["loss"] for row in result.rows if row["kind"] == "train"]
    np.testing.assert_allclose(losses["pmap"], losses["jit"], atol=1e-4)
    np.testing.assert_allclose(losses["fsdp"], losses["jit"], atol=1e-4)


def test_a_distilled_network_is_fine_tuned_with_a_teacher(trained, config, tmp_path):
    """As DeiT at a higher resolution: the distillation token is kept, for other classes both heads are new."""
    source, result, _ = trained
    params, width = dict(result.params), result.params["dist_token"].shape[-1]
    for name in ("head", "head_dist"):
        params[name] = {"kernel": np.ones((width, 3), np.float32), "bias": np.ones(3, np.float32)}
    vit_jax.save_pretrained(tmp_path / "stored", source.model.clone(num_classes=3), params, class_names=tuple("abc"))
    model = ModelConfig(pretrained=str(tmp_path / "stored"), fields={"image_size": 16})
    run = prepare(dataclasses.replace(config, model=model), tmp_path / "run")
    assert isinstance(run.model, VisionTransformer)
    assert (run.model.distilled, run.model.num_classes, run.model.image_size) == (True, 10, 16)
    state = jax.device_get(run.parallel.gather_state(run.initial_state()))
    np.testing.assert_array_equal(state.params["dist_token"], result.params["dist_token"])
    assert not any(np.any(leaf) for name in ("head", "head_dist") for leaf in jax.tree.leaves(state.params[name]))
    assert state.params["head"]["kernel"].shape == state.params["head_dist"]["kernel"].shape == (width, 10)


def with_teacher(config, teacher):
    return dataclasses.replace(config, objective=Distillation(str(teacher)))


def renamed(teacher, names, folder):
    """The teacher's model with other names for its classes."""
    vit_jax.save_pretrained(folder, *vit_jax.load_pretrained(teacher), class_names=names)
    return folder


def test_a_teacher_with_the_classes_in_another_order_teaches_the_same(config, teacher, tmp_path):
    names = list("9876543210")
    run = prepare(with_teacher(config, renamed(teacher, names, tmp_path / "teacher")), tmp_path / "run")
    assert run.teacher is not None
    assert run.teacher.outputs is not None
    assert run.teacher.outputs.tolist() == list(range(9, -1, -1))


def test_teachers_that_cannot_teach_are_refused(config, teacher, tmp_path):
    letters = renamed(teacher, list("abcdefghij"), tmp_path / "letters")
    with pytest.raises(ValueError, match=r"(?s)cannot teach the classes of digits.*the model's 10: 'a'"):
        prepare(with_teacher(config, letters), tmp_path / "run")

    infrared = vit_jax.create_model(
        "vit_cifar_patch4_32", embed_dim=12, depth=1, num_heads=3, in_channels=4, preprocessing=vit_jax.Preprocessing()
    )
    params = init_params(infrared, jax.random.key(0))
    vit_jax.save_pretrained(tmp_path / "infrared", infrared, params)
    with pytest.raises(ValueError, match="takes images of 4 channels; those of digits have 1"):
        prepare(with_teacher(config, tmp_path / "infrared"), tmp_path / "run")

    headless = infrared.clone(num_classes=0)
    del params["head"]
    vit_jax.save_pretrained(tmp_path / "headless", headless, params)
    with pytest.raises(ValueError, match="has no classes to teach"):
        prepare(with_teacher(config, tmp_path / "headless"), tmp_path / "run")

    with pytest.raises(FileNotFoundError):
        prepare(with_teacher(config, tmp_path / "nowhere"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_the_teacher_it_began_with(config, teacher, tmp_path):
    """Whatever its file is called now; with other weights in the same file, nothing is done."""
    copy = renamed(teacher, list("0123456789"), tmp_path / "teacher")
    workdir = tmp_path / "run"

    def prepared(source):
        run = prepare(with_teacher(config, source), workdir)
        with run.lock or pytest.fail("the workdir is not locked"):
            return (workdir / "teacher.json").read_text()

    began_with = prepared(copy)
    (workdir / "checkpoints" / "1").mkdir(parents=True)  # else it has not begun
    assert prepared(copy) == began_with

    model, params = vit_jax.load_pretrained(copy)
    params["head"]["bias"] = params["head"]["bias"] + 1e-6
    vit_jax.save_pretrained(copy, model, params)
    with pytest.raises(ValueError, match=r"(?s)run with another teacher: it began with.* the old weights back"):
        prepared(copy)
    assert (workdir / "teacher.json").read_text() == began_with
