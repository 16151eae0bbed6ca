"""Distillation (DeiT: Touvron et al., 2021, section 3): classes learned from labels and from a teacher at once."""

from dataclasses import dataclass
from typing import Literal, cast

import jax
import jax.numpy as jnp
import optax

from vit_jax.choices import check_fields
from vit_jax.models.network import Network
from vit_jax.models.network_input import network_input
from vit_jax.models.pretraining import PretrainingNetwork
from vit_jax.objectives.objective import Examples, Given, Loss, Objective, Params, outputs_in_training


def hard_distillation_loss(logits: jax.Array, teacher_logits: jax.Array) -> jax.Array:
    """The mean cross-entropy of logits [B, classes] against the class that the teacher finds most probable."""
    labels = jnp.argmax(teacher_logits, -1)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def soft_distillation_loss(logits: jax.Array, teacher_logits: jax.Array, temperature: float) -> jax.Array:
    """The divergence KL(teacher || student) of logits [B, classes] softened by a temperature T, times T^2.

    As published (`losses.py` of DeiT), the sum is divided by the number of logits, B x classes, not by B.
    """
    student = jax.nn.log_softmax(logits / temperature)
    teacher = jax.nn.log_softmax(teacher_logits / temperature)
    divergence = (jnp.exp(teacher) * (teacher - student)).sum()
    return divergence * temperature**2 / logits.size


@dataclass(frozen=True)
class Distillation(Objective):
    """Minimises (1 - weight) cross-entropy with the labels + weight distillation loss with a teacher's answers.

    A network with a distillation token (`distilled=True`) answers the labels by its class token, the teacher by that
    token; another network answers both by its only head. The teacher sees the augmented, mixed images, brought to its
    own size and normalised as it expects; it has no dropout.

    Attributes:
        teacher: where it comes from: a file, a folder (a run's workdir, too) or an id of the Hugging Face Hub, as
            `vit_jax.load_pretrained` takes it. It must have the classes of the data set.
        publisher: whose weights the teacher's are, where a bare file does not tell.
        revision: of the teacher on the Hub.
        kind: "hard": the teacher's most probable class is the label. "soft": its probabilities are.
        weight: of the teacher, in [0, 1]; alpha in DeiT's code.
        temperature: of soft probabilities; tau.
        label_smoothing: of the labels, not of the teacher's.
    """

    teacher: str = ""
    publisher: str | None = None
    revision: str | None = None
    kind: Literal["hard", "soft"] = "hard"
    weight: float = 0.5
    temperature: float = 1.0
    label_smoothing: float = 0.0

    def __post_init__(self):
        if not self.teacher:
            raise ValueError("objective.teacher must say where the teacher comes from: a file, a folder or a hub id")
        check_fields(self, "objective.")
        if not 0 <= self.weight <= 1 or self.temperature <= 0 or not 0 <= self.label_smoothing < 1:
            raise ValueError(
                "objective.weight must be in [0, 1], temperature positive and label_smoothing in [0, 1); got "
                f"{self.weight}, {self.temperature} and {self.label_smoothing}"
            )

    def check(self, model: Network) -> None:
        """Raises ValueError if a network has no classes."""
        if isinstance(model, PretrainingNetwork):
            raise ValueError(f"a {type(model).__name__} has no classes, which a teacher could teach")

    def loss(self, model: Network, params: Params, examples: Examples, given: Given) -> Loss:
        """The loss; "accuracy" of the class head, "teacher_accuracy", and how often the distillation head answers as
        the teacher does ("agreement"); accuracies are against the largest label."""
        teacher = given.teacher
        assert teacher is not None
        assert teacher.outputs is not None
        seen = network_input(teacher.model, examples.pixels)
        teacher_logits = cast(jax.Array, teacher.model.apply({"params": teacher.params}, seen))[:, teacher.outputs]
        outputs, statistics = outputs_in_training(model, params, examples.pixels, given.key)
        logits, distilled = outputs if isinstance(outputs, tuple) else (outputs, outputs)
        smoothed = optax.smooth_labels(examples.labels, self.label_smoothing)
        labelled = optax.softmax_cross_entropy(logits, smoothed).mean()
        if self.kind == "hard":
            taught = hard_distillation_loss(distilled, teacher_logits)
        else:
            taught = soft_distillation_loss(distilled, teacher_logits, self.temperature)
        label, answer = jnp.argmax(examples.labels, -1), jnp.argmax(teacher_logits, -1)
        metrics = {
            "accuracy": (jnp.argmax(logits, -1) == label).mean(),
            "teacher_accuracy": (answer == label).mean(),
            "agreement": (jnp.argmax(distilled, -1) == answer).mean(),
        }
        return Loss((1 - self.weight) * labelled + self.weight * taught, metrics, statistics)
