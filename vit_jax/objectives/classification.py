"""Supervised classification: cross-entropy, of the classes together or of each by itself."""

from dataclasses import dataclass

import jax.numpy as jnp
import optax

from vit_jax.models.network import Network
from vit_jax.models.pretraining import PretrainingNetwork
from vit_jax.objectives.objective import Examples, Given, Loss, Objective, Params, outputs_in_training


@dataclass(frozen=True)
class Classification(Objective):
    """Minimises the cross-entropy between the network's classes and the labels.

    Attributes:
        label_smoothing: share of each label that is spread evenly over all classes (Szegedy et al., 2016).
        binary: every class is a yes or no of its own (DeiT-III, section 3.2): the mean cross-entropy of a sigmoid; of
            mixed labels, each class that has a share is a yes.
        balanced: every class counts alike, however many training images it has: an example's loss is weighted by one
            over those of its class, 1 on average. A mixed example has the mean weight of its classes.
    """

    label_smoothing: float = 0.0
    binary: bool = False
    balanced: bool = False

    def __post_init__(self):
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"objective.label_smoothing must be in [0, 1), not {self.label_smoothing}")
        if self.binary and self.label_smoothing:
            raise ValueError(
                "objective.label_smoothing is for classes that share one label: set it to 0, or binary=False"
            )

    @property
    def weighs_classes(self) -> bool:
        """Whether it is to be given the weights by which all classes count alike."""
        return self.balanced

    def check(self, model: Network) -> None:
        """Raises ValueError if a network has no classes, or a second head that only a teacher can train."""
        if isinstance(model, PretrainingNetwork):
            raise ValueError(
                f"a {type(model).__name__} is a network for pre-training, without classes: it cannot classify"
            )
        if getattr(model, "distilled", False):
            raise ValueError(
                "the network has a distillation token, which classification alone does not train: give it a teacher "
                "(objective Distillation), or take the plain network of the same size"
            )

    def loss(self, model: Network, params: Params, examples: Examples, given: Given) -> Loss:
        """The mean cross-entropy, and the "accuracy" against the largest label."""
        logits, statistics = outputs_in_training(model, params, examples.pixels, given.key)
        if self.binary:
            loss = optax.sigmoid_binary_cross_entropy(logits, (examples.labels > 0).astype(jnp.float32)).mean(-1)  # [B]
        else:
            smoothed = optax.smooth_labels(examples.labels, self.label_smoothing)
            loss = optax.softmax_cross_entropy(logits, smoothed)  # [B]
        if given.class_weights is not None:
            loss *= (examples.labels * given.class_weights).sum(-1)
        correct = jnp.argmax(logits, -1) == jnp.argmax(examples.labels, -1)
        return Loss(loss.mean(), {"accuracy": correct.mean()}, statistics)
