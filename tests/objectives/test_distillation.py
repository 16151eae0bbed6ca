"""DeiT's losses against their formulas in float64, values and gradients; and what is made of them."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.objectives.cases import AS_IT_IS, examples
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.objectives.distillation import Distillation, hard_distillation_loss, soft_distillation_loss
from vit_jax.objectives.objective import Given, Teacher

RNG = np.random.default_rng(0)
STUDENT, TEACHER = (RNG.normal(0, 2, (5, 4)).astype(np.float32) for _ in range(2))
LABELS = RNG.dirichlet(np.ones(4), 5).astype(np.float32)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_hard_distillation_is_cross_entropy_with_the_teacher_s_class():
    answers = TEACHER.argmax(-1)
    value, gradient = jax.value_and_grad(hard_distillation_loss)(jnp.asarray(STUDENT), jnp.asarray(TEACHER))
    assert float(value) == pytest.approx(-log_softmax(STUDENT)[np.arange(5), answers].mean(), rel=1e-6)
    expected = (np.exp(log_softmax(STUDENT)) - np.eye(4)[answers]) / 5
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_distillation_is_the_divergence_over_the_number_of_logits(temperature: float):
    """By B x classes, not B: what the published code does, which its authors kept as "legacy behaviour"."""
    student, teacher = log_softmax(STUDENT / temperature), log_softmax(TEACHER / temperature)
    value, gradient = jax.value_and_grad(soft_distillation_loss)(
        jnp.asarray(STUDENT), jnp.asarray(TEACHER), temperature
    )
    expected = (np.exp(teacher) * (teacher - student)).sum() * temperature**2 / 20
    assert float(value) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient, temperature * (np.exp(student) - np.exp(teacher)) / 20, atol=1e-6)


class Student(Network):
    """A "network" whose logits are the first row of pixels; its distillation logits, if it has such, the second."""

    distilled: bool = False

    def __call__(self, images: jax.Array, train: bool = False) -> Any:
        logits, distilled = images[:, 0, :, 0], images[:, 1, :, 0]
        assert train
        return (logits, distilled) if self.distilled else logits


class Constant(Network):
    """A "network" that sees each image enlarged, and not in training: its logits, out of order, are the third row."""

    def __call__(self, images: jax.Array, train: bool = False) -> Any:
        assert not train
        assert images.shape[1:] == (6, 8, 1)
        return images[:, 5, 1::2, 0][:, ::-1]


@pytest.mark.parametrize("distilled", [True, False])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_labels_and_teacher_are_weighed(kind: Any, distilled: bool):
    """The teacher at its own size, its outputs brought into the order of the labels."""
    second = RNG.normal(0, 2, (5, 4)).astype(np.float32)
    pixels = np.stack([STUDENT, second, TEACHER], axis=1)[..., None]  # [B, 3, 4, 1]
    nearest = replace(AS_IT_IS, interpolation="nearest")
    teacher = Teacher(Constant(image_size=(6, 8), in_channels=1, preprocessing=nearest), {}, jnp.array([3, 2, 1, 0]))
    student = Student(image_size=(3, 4), in_channels=1, preprocessing=AS_IT_IS, distilled=distilled)
    objective = Distillation("somewhere", kind=kind, weight=0.3, temperature=2.0, label_smoothing=0.1)
    pixels = np.abs(pixels)  # resized pixels are clipped to [0, 255]
    loss, metrics, statistics = objective.loss(student, {}, examples(pixels, LABELS), Given(jax.random.key(0), teacher))
    logits, taught, answers = np.abs(STUDENT), np.abs(second if distilled else STUDENT), np.abs(TEACHER)
    targets = LABELS * 0.9 + 0.1 / 4
    labelled = -(targets * log_softmax(logits)).sum(-1).mean()
    if kind == "hard":
        of_teacher = -log_softmax(taught)[np.arange(5), answers.argmax(-1)].mean()
    else:
        student_log, teacher_log = log_softmax(taught / 2), log_softmax(answers / 2)
        of_teacher = (np.exp(teacher_log) * (teacher_log - student_log)).sum() * 4 / 20
    assert float(loss) == pytest.approx(0.7 * labelled + 0.3 * of_teacher, rel=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(logits.argmax(-1) == LABELS.argmax(-1)))
    assert float(metrics["teacher_accuracy"]) == pytest.approx(np.mean(answers.argmax(-1) == LABELS.argmax(-1)))
    assert float(metrics["agreement"]) == pytest.approx(np.mean(answers.argmax(-1) == taught.argmax(-1)))
    assert statistics == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(teacher=""), "objective.teacher must say where"),
        (dict(kind="warm"), "objective.kind must be one of hard, soft; not 'warm'"),
        (dict(weight=1.5), "weight must be in"),
        (dict(temperature=0.0), "temperature positive"),
        (dict(label_smoothing=1.0), "label_smoothing in"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Distillation(**{"teacher": "somewhere", **fields})


def test_a_network_without_classes_is_refused():
    with pytest.raises(ValueError, match="has no classes"):
        Distillation("somewhere").check(MaskedAutoencoder(image_size=32))
