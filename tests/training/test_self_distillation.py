"""DINO through the whole of training: its teacher is the average that the run keeps, its centre a running statistic."""

import dataclasses
from functools import cache, partial

import jax
import numpy as np
import pytest

import vit_jax
from tests.models.cases import random_params
from tests.training.pretraining_steps import after_steps, assert_same_on
from vit_jax.evaluation.nearest_neighbours import Neighbours
from vit_jax.inspection.run_report import chosen_examples, write_run_report
from vit_jax.models.dino import DinoVisionTransformer
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.models.swin import SwinTransformer
from vit_jax.objectives.self_distillation import SelfDistillation
from vit_jax.training.config import ModelConfig
from vit_jax.training.optimizer import OptimizerConfig
from vit_jax.training.run import prepare

HEAD = dict(prototypes=32, head_hidden_dim=16, head_bottleneck_dim=8, image_size=8, preprocessing=Preprocessing())
VIT = dict(**HEAD, patch_size=2, embed_dim=96, depth=1, num_heads=2)
SWIN = dict(**HEAD, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(2, 2), window_size=2)
NAMES = {
    "vit": ModelConfig("dino_pretraining_vit_cifar_patch4_32", VIT),
    "swin": ModelConfig("dino_pretraining_swin_cifar_patch2_window4_32", SWIN),
}
OBJECTIVE = SelfDistillation(
    local_crops=1,
    local_size=4,
    local_scale=(0.4, 0.6),
    global_scale=(0.6, 1.0),
    blur_sigma=(0.1, 0.3),
    teacher_momentum=0.9,
    frozen_prototypes="3 steps",
    first_teacher_temperature=0.06,
    temperature_warmup="10 steps",
)


@pytest.fixture(scope="module")
def config(small_config):
    optimizer = OptimizerConfig(
        "adamw", learning_rate=3e-3, weight_decay=0.04, final_weight_decay=0.4, clip_norm=3.0, clip="each"
    )
    return dataclasses.replace(
        small_config,
        model=NAMES["vit"],
        augment=(),
        ema_decay=None,
        objective=OBJECTIVE,
        optimizer=optimizer,
        neighbours=Neighbours(k=5, examples=500),
    )


@pytest.fixture(scope="module")
def trained(config, run_to_end, tmp_path_factory):
    return run_to_end(config, tmp_path_factory.mktemp("dino"))


def test_it_trains_and_its_collapse_would_show(trained):
    _, result, _ = trained
    rows = [row for row in result.rows if row["kind"] == "train"]
    assert all(0 < row["teacher_entropy"] < np.log(32) and row["centre_norm"] > 0 for row in rows)
    assert rows[-1]["loss"] < np.log(32)  # what one answer to everything comes to
    assert result.test.accuracy > 0.3  # of ten classes, by neighbours


def test_the_prototypes_rest_as_long_as_the_objective_says(trained):
    """In the run's own optimizer: three steps of it leave them as they are, the fourth does not."""
    run, _, _ = trained
    params = random_params(run.model, 0)
    gradient, state = jax.tree.map(np.ones_like, params), run.step.optimizer.init(params)
    update, moved = jax.jit(run.step.optimizer.update), []
    for _ in range(4):
        updates, state = update(gradient, state, params)
        moved.append(bool(np.any(updates["head"]["last_layer"]["kernel"])))
    assert moved == [False, False, False, True]


def test_the_teacher_is_what_is_kept(trained):
    run, result, _ = trained
    model, params = vit_jax.load_pretrained(run.workdir)
    assert isinstance(model, DinoVisionTransformer)
    jax.tree.map(np.testing.assert_array_equal, params, result.params)
    page = write_run_report(run, result, "python train.py").read_text()
    assert "by 5 nearest neighbours" in page
    assert page.count('alt="attention of the last block"') == len(chosen_examples(result.test))


def test_a_classifier_is_fine_tuned_from_its_encoder(trained, small_config, tmp_path):
    run, result, _ = trained
    tuned = prepare(dataclasses.replace(small_config, model=ModelConfig(pretrained=str(run.workdir))), tmp_path)
    state = jax.device_get(tuned.parallel.gather_state(tuned.initial_state()))
    head = state.params.pop("head")
    jax.tree.map(np.testing.assert_array_equal, dict(state.params), dict(result.params["encoder"]))
    assert head["kernel"].shape == (VIT["embed_dim"], 10)


@pytest.mark.slow
def test_a_swin_s_encoder_is_fine_tuned(config, small_config, run_to_end, tmp_path):
    short = dataclasses.replace(config, model=NAMES["swin"], duration="10 steps", evaluate_every="10 steps")
    run, result, _ = run_to_end(short, tmp_path / "swin")
    page = write_run_report(run, result, "python train.py").read_text()
    assert page.count('alt="attention of the last block"') == len(chosen_examples(result.test))
    again = dataclasses.replace(small_config, model=ModelConfig(pretrained=str(tmp_path / "swin")))
    tuned = prepare(again, tmp_path / "tuned")
    assert isinstance(tuned.model, SwinTransformer)
    state = jax.device_get(tuned.parallel.gather_state(tuned.initial_state()))
    del state.params["head"]
    jax.tree.map(np.testing.assert_array_equal, dict(state.params), dict(result.params["encoder"]))


@pytest.mark.slow
def test_killed_it_comes_to_the_same(config, assert_killed_comes_to_the_same):
    """Teacher, centre, crops and schedules included."""
    assert_killed_comes_to_the_same(config, ("centre_norm", "teacher_entropy"))


def at_random(network):
    """A network without drop path, which depends on devices, and its parameters."""
    config = NAMES[network]
    model = create_model(config.name, **{**config.fields, "drop_path_rate": 0.0}, in_channels=1)
    return model, random_params(model, 0)


@cache
def train_on(network, ways):
    """Student and teacher after three steps, and the losses."""
    model, params = at_random(network)
    state, losses = after_steps(model, OBJECTIVE, ways, params, 3)
    return {"student": state.params, "teacher": state.ema_params}, losses


def test_the_teacher_follows_and_the_centre_moves():
    """By three steps: momentum 0.9, 0.925, 0.975; the prototypes stand still in the first."""
    _, params = at_random("vit")
    state, losses = train_on("vit", "one device")
    assert len(set(losses.tolist())) == 3
    change = jax.tree.map(lambda new, old: np.abs(new - old).max(), state, {"student": params, "teacher": params})
    for path, student in jax.tree_util.tree_leaves_with_path(change["student"]):
        teacher = change["teacher"]
        for key in path:
            teacher = teacher[key.key]
        assert 0 < teacher < student, path


@pytest.mark.parametrize(
    ("network", "ways"),
    [
        *[("vit", "fsdp"), ("vit", "pmap"), ("vit", "accumulated")],
        pytest.param("swin", "eight devices", marks=pytest.mark.slow),
    ],
)
def test_devices_do_not_matter(network, ways):
    assert_same_on(ways, partial(train_on, network))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(objective=dataclasses.replace(OBJECTIVE, local_size=3)), "local_size 3 does not fit the network"),
        (dict(model=ModelConfig("mae_cifar_patch2_32")), "needs a network with a projection head"),
    ],
)
def test_what_cannot_be_pre_trained_is_refused(changes, message, config, tmp_path):
    with pytest.raises(ValueError, match=message):
        prepare(dataclasses.replace(config, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_average_than_the_teacher_is_refused(config):
    with pytest.raises(ValueError, match="the average of the parameters is the teacher"):
        dataclasses.replace(config, ema_decay=0.99)
