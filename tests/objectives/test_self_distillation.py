"""DINO's loss, centre and schedules against the published formulas, written out in float64; what it refuses."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.models.cases import random_params
from tests.objectives.cases import examples
from vit_jax.data.augment.views import View
from vit_jax.models.dino import DinoNetwork, DinoSwinTransformer, DinoVisionTransformer
from vit_jax.models.other_size import at_size
from vit_jax.models.vit import VisionTransformer
from vit_jax.objectives import self_distillation
from vit_jax.objectives.objective import Examples, Given, Teacher
from vit_jax.objectives.self_distillation import SelfDistillation, entropy, self_distillation_loss
from vit_jax.training.optimizer import OptimizerConfig, weight_decay_over

HEAD: dict[str, Any] = dict(prototypes=12, head_hidden_dim=16, head_bottleneck_dim=8, in_channels=1)
VIT = DinoVisionTransformer(image_size=8, patch_size=2, embed_dim=8, depth=1, num_heads=2, drop_path_rate=0.0, **HEAD)
SWIN = DinoSwinTransformer(
    image_size=8, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(2, 2), window_size=4, drop_path_rate=0.0, **HEAD
)
OBJECTIVE = SelfDistillation(local_crops=3, local_size=4, local_scale=(0.3, 0.5))
NOW = dict(teacher_temperature=jnp.float32(0.5), teacher_momentum=jnp.float32(0.9))


def softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def published_loss(student: np.ndarray, taught: np.ndarray, centre: np.ndarray, cold: float, warm: float) -> float:
    """`DINOLoss.forward`: every pair of a teacher's view and another of the student's. [B, views, K] each."""
    total, terms = 0.0, 0
    for t in range(taught.shape[1]):
        q = softmax((taught[:, t] - centre) / cold)
        for s in range(student.shape[1]):
            if s == t:
                continue
            logits = student[:, s] / warm
            log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            total += (-q * log_p).sum(-1).mean()
            terms += 1
    return total / terms


def published_gradient(student: np.ndarray, target: np.ndarray, warm: float) -> np.ndarray:
    """That of the published loss to the student's outputs: of a cross-entropy (p - q) / temperature."""
    pairs, gradient = target.shape[1] * student.shape[1] - target.shape[1], np.zeros_like(student)
    for s in range(student.shape[1]):
        for t in range(target.shape[1]):
            if s != t:
                gradient[:, s] += (softmax(student[:, s] / warm) - target[:, t]) / warm / len(student) / pairs
    return gradient


@pytest.fixture
def batch() -> Examples:
    return examples(np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 1)).astype(np.float32))


def taught_by(model: DinoNetwork, seed: int = 7) -> Teacher:
    return Teacher(model, random_params(model, seed), None)


def test_the_loss_and_its_gradient_are_float32_on_accelerators_too():
    """Which multiply float32 in fewer bits unless they are told: what a CPU cannot show."""
    shapes = jax.ShapeDtypeStruct((5, 6, 9), jnp.float32), jax.ShapeDtypeStruct((5, 2, 9), jnp.float32)
    jaxpr = jax.make_jaxpr(jax.grad(partial(self_distillation_loss, temperature=0.7), argnums=(0, 1)))(*shapes)
    products = [line for line in str(jaxpr).split(" = ") if line.startswith("dot_general")]
    assert len(products) >= 2
    assert all("precision=(Precision.HIGHEST, Precision.HIGHEST)" in product for product in products)


def test_the_loss_and_its_gradient_are_the_published_ones():
    rng = np.random.default_rng(0)
    student, taught, centre = rng.normal(size=(5, 6, 9)), rng.normal(size=(5, 2, 9)), rng.normal(size=9)
    target = softmax((taught - centre) / 0.3)
    value, gradient = jax.value_and_grad(self_distillation_loss)(jnp.asarray(student), jnp.asarray(target), 0.7)
    assert float(value) == pytest.approx(published_loss(student, taught, centre, 0.3, 0.7), rel=1e-5)
    np.testing.assert_allclose(gradient, published_gradient(student, target, 0.7), atol=1e-7)


def outputs(model: DinoNetwork, params: Any, *crops: jax.Array | None) -> jax.Array:
    """Of crops [B, V, h, w, C] of one size and then another, each by the encoder at its size: [B, all views, K]."""
    found: list[Any] = []
    for views in (views for views in crops if views is not None):
        encoder, encoder_params = at_size(model.make_encoder(), params["encoder"], (views.shape[2], views.shape[3]))
        features = [encoder.apply({"params": encoder_params}, views[:, i]) for i in range(views.shape[1])]
        found += [model.make_head().apply({"params": params["head"]}, pooled) for pooled in features]
    return jnp.stack(found, axis=1)


@pytest.mark.parametrize(("model", "local_crops"), [(VIT, 3), (SWIN, 3), (VIT, 0)])
def test_what_the_objective_makes_of_a_batch(model: Any, local_crops: int, batch: Examples):
    """From the crops that it cuts: who sees which, every pair of them, and the centre, moved after it was used."""
    objective = dataclasses.replace(OBJECTIVE, local_crops=local_crops)
    params, teacher = random_params(model, 0), taught_by(model)
    large, small = objective.crops(model, batch)
    assert large.shape == (4, 2, 8, 8, 1)
    assert (None if small is None else small.shape) == ((4, 3, 4, 4, 1) if local_crops else None)
    given = Given(jax.random.key(0), teacher, NOW)
    found = jax.jit(lambda params: objective.loss(model, params, batch, given))(params)

    of_both = jax.jit(lambda params, taught: (outputs(model, params, large, small), outputs(model, taught, large)))
    student, taught = (np.asarray(x, np.float64) for x in of_both(params, teacher.params))
    assert student.shape == (4, 2 + local_crops, 12)
    centre = np.asarray(params["centre"], np.float64)
    assert float(found.value) == pytest.approx(published_loss(student, taught, centre, 0.5, 0.1), rel=1e-4)

    moved = 0.9 * centre + 0.1 * taught.mean((0, 1))
    np.testing.assert_allclose(found.statistics["centre"], moved, atol=1e-6)
    assert float(found.metrics["centre_norm"]) == pytest.approx(np.linalg.norm(centre), rel=1e-5)
    q = softmax((taught - centre) / 0.5)
    expected_entropy = -(q * np.log(np.maximum(q, 1e-300))).sum(-1).mean()
    assert float(found.metrics["teacher_entropy"]) == pytest.approx(expected_entropy, rel=1e-4)


def test_entropy_shows_a_collapse():
    assert float(entropy(jnp.full((3, 8), 1 / 8))) == pytest.approx(np.log(8))
    assert float(entropy(jnp.eye(8))) == 0


def test_gradients_are_the_published_ones_and_reach_the_student_alone(batch: Examples):
    """Back from the outputs for large and small crops, where the formula gives them."""
    params, teacher = random_params(VIT, 0), taught_by(VIT)

    @jax.jit
    @jax.grad
    def gradient_of(params: Any, taught: Any) -> jax.Array:
        return OBJECTIVE.loss(VIT, params, batch, Given(jax.random.key(0), Teacher(VIT, taught, None), NOW)).value

    gradient = gradient_of(params, teacher.params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert (np.abs(leaf).max() > 0) == (path[0].key != "centre"), path

    large, small = OBJECTIVE.crops(VIT, batch)
    target = softmax((np.asarray(outputs(VIT, teacher.params, large), np.float64) - params["centre"]) / 0.5)
    student, pull = jax.vjp(jax.jit(lambda params: outputs(VIT, params, large, small)), params)
    (expected,) = pull(jnp.asarray(published_gradient(np.asarray(student, np.float64), target, 0.1), jnp.float32))
    jax.tree.map(lambda found, wanted: np.testing.assert_allclose(found, wanted, atol=1e-5), gradient, expected)


def test_drop_path_is_the_student_s_alone(batch: Examples):
    """The loss depends on its key; the centre, which is made of the teacher's outputs, does not."""
    model = VIT.clone(depth=2, drop_path_rate=0.5)
    params, teacher = random_params(model, 0), taught_by(model)
    loss = jax.jit(lambda key: OBJECTIVE.loss(model, params, batch, Given(key, teacher, NOW)))
    one, other = loss(jax.random.key(0)), loss(jax.random.key(1))
    assert float(one.value) != float(other.value)
    np.testing.assert_array_equal(one.statistics["centre"], other.statistics["centre"])


def test_large_and_small_crops_are_dropped_by_keys_of_their_own(batch: Examples, monkeypatch: pytest.MonkeyPatch):
    """Else the same paths would be dropped in both; and none in the teacher's."""
    keys, outputs_of = [], self_distillation.outputs_of
    monkeypatch.setattr(self_distillation, "outputs_of", lambda *args: keys.append(args[3:]) or outputs_of(*args))
    OBJECTIVE.loss(VIT, random_params(VIT, 0), batch, Given(jax.random.key(0), taught_by(VIT), NOW))
    of_teacher, (of_large,), (of_small,) = keys
    assert of_teacher == ()
    assert not np.array_equal(jax.random.key_data(of_large), jax.random.key_data(of_small))


def test_views_are_the_published_ones():
    """`DataAugmentationDINO`: the first always blurred, the second seldom and then solarized, small ones half of the
    time.
    """
    first, second, *small = SelfDistillation(local_crops=3, local_size=4).views(VIT)
    assert first == View((8, 8), (0.4, 1.0), blur=1.0, solarize=0.0, sigma=(0.1, 2.0))
    assert second == View((8, 8), (0.4, 1.0), blur=0.1, solarize=0.2, sigma=(0.1, 2.0))
    assert small == [View((4, 4), (0.05, 0.4), blur=0.5, solarize=0.0, sigma=(0.1, 2.0))] * 3
    given = dataclasses.replace(OBJECTIVE, global_scale=(0.6, 0.9), blur_sigma=(0.2, 0.7)).views(VIT)
    assert [view.scale for view in given] == [(0.6, 0.9)] * 2 + [(0.3, 0.5)] * 3
    assert {view.sigma for view in given} == {(0.2, 0.7)}


def test_crops_depend_on_the_examples_keys(batch: Examples):
    first, again = OBJECTIVE.crops(VIT, batch), OBJECTIVE.crops(VIT, batch)
    other = OBJECTIVE.crops(VIT, batch._replace(keys=jax.random.split(jax.random.key(9), 4)))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        assert not np.array_equal(np.asarray(a), np.asarray(c))
    for crops in map(np.asarray, first):  # of one image they differ, too
        assert not any(np.array_equal(crops[:, 0], crops[:, i]) for i in range(1, crops.shape[1]))


def test_schedules_are_the_published_ones():
    """`main_dino.py`'s, for a run of 40 steps in epochs of 4; a linear temperature where it has one for each epoch.

    Momentum and weight decay are those of `cosine_scheduler` at every step. The teacher's temperature begins and ends
    with the published staircase, and rises within the same epochs: never further from it than an epoch rises.
    """
    objective = SelfDistillation(first_teacher_temperature=0.02, temperature_warmup="3 epochs", teacher_momentum=0.9)
    schedules = objective.schedules(40, lambda duration: 4 * int(duration.split()[0]))
    decay = weight_decay_over(OptimizerConfig(weight_decay=0.04, final_weight_decay=0.4), 40, 0)
    assert callable(decay)
    steps = np.arange(40)

    def cosine_scheduler(first: float, last: float) -> np.ndarray:
        return last + 0.5 * (first - last) * (1 + np.cos(np.pi * steps / len(steps)))

    def over_the_run(schedule: optax.Schedule) -> np.ndarray:
        return np.array([float(jnp.asarray(schedule(step))) for step in steps])

    np.testing.assert_allclose(over_the_run(schedules["teacher_momentum"]), cosine_scheduler(0.9, 1), rtol=1e-6)
    np.testing.assert_allclose(over_the_run(decay), cosine_scheduler(0.04, 0.4), rtol=1e-5)

    temperature = over_the_run(schedules["teacher_temperature"])
    np.testing.assert_allclose(temperature, np.minimum(0.02 + (0.04 - 0.02) * steps / 12, 0.04), rtol=1e-5)
    staircase = np.concatenate((np.linspace(0.02, 0.04, 3), np.ones(10 - 3) * 0.04))[steps // 4]
    assert temperature[0] == pytest.approx(staircase[0])
    np.testing.assert_allclose(temperature[12:], staircase[12:], rtol=1e-6)
    assert np.abs(temperature - staircase).max() < 1.001 * (0.04 - 0.02) / 3
    assert objective.frozen_steps(lambda duration: 4 * int(duration.split()[0])) == {"head/last_layer/*": 4}
    assert not dataclasses.replace(objective, frozen_prototypes="0 epochs").frozen_steps(lambda _: 0)
    flat = SelfDistillation().schedules(40, lambda duration: 0)
    assert float(jnp.asarray(flat["teacher_temperature"](0))) == pytest.approx(0.04)


def test_a_run_that_ends_before_its_schedules_do_is_refused():
    """Of prototypes that are frozen to the end the head would be what it was at random."""

    def in_steps(duration: str) -> int:
        return 4 * int(duration.split()[0])

    warming = SelfDistillation(temperature_warmup="3 epochs")
    assert warming.schedules(12, in_steps)
    with pytest.raises(ValueError, match=r"objective\.temperature_warmup \(3 epochs: 12 steps\) is longer than .* 11 "):
        warming.schedules(11, in_steps)
    assert SelfDistillation().schedules(5, in_steps)
    with pytest.raises(
        ValueError, match=r"objective\.frozen_prototypes \(1 epochs: 4 steps\) is not shorter than the run of 4"
    ):
        SelfDistillation().schedules(4, in_steps)


@pytest.mark.parametrize(
    ("objective", "model", "message"),
    [
        (OBJECTIVE, VisionTransformer(image_size=8, patch_size=2, embed_dim=8, num_heads=2), "projection head"),
        (SelfDistillation(local_size=5), VIT, "local_size 5 does not fit the network: .*whole number of patches"),
        (SelfDistillation(local_size=3), SWIN, "local_size 3 does not fit the network"),
        (SelfDistillation(), VIT, "local_size 96 must be positive and at most the network's image_size 8"),
    ],
)
def test_a_network_that_it_cannot_train_is_refused(objective: SelfDistillation, model: Any, message: str):
    with pytest.raises(ValueError, match=message):
        objective.check(model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(local_crops=-1), "local_crops"),
        (dict(teacher_temperature=0.0), "temperatures must be positive"),
        (dict(teacher_momentum=1.1), "teacher_momentum must be in"),
        (dict(local_scale=(0.5, 0.2)), "local_scale must be"),
        (dict(global_scale=(0.5, 1.2)), "global_scale must be"),
    ],
)
def test_fields_that_cannot_work_are_refused(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        SelfDistillation(**fields)
