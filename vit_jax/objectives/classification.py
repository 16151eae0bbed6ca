"""Supervised classification: cross-entropy with label smoothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from vit_jax.models.network import Network


@dataclass(frozen=True)
class Classification:
    """Minimises the cross-entropy between the network's classes and the labels.

    Attributes:
        label_smoothing: share of each label that is spread evenly over all classes (Szegedy et al., 2016).
    """

    label_smoothing: float = 0.0

    def __post_init__(self):
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"objective.label_smoothing must be in [0, 1), not {self.label_smoothing}")

    def loss(
        self, model: Network, params: Any, images: jax.Array, labels: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Mapping[str, Any]]]:
        """The mean loss of a training batch.

        Args:
            model: a classifier.
            params: its parameters.
            images: float32 [B, H, W, C], normalised.
            labels: float32 [B, classes], each row a distribution (mixed labels have several classes).
            key: of dropout and drop path.

        Returns:
            The loss, a scalar; then further means over the batch to report (accuracy against the largest label), and
            the running statistics after this batch, a nested dict that is empty where there is no batch norm.
        """
        logits, changed = cast(
            tuple[jax.Array, dict[str, Any]],
            model.apply({"params": params}, images, train=True, rngs={"dropout": key}, mutable=["statistics"]),
        )
        smoothed = optax.smooth_labels(labels, self.label_smoothing)
        loss = optax.softmax_cross_entropy(logits, smoothed).mean()
        correct = jnp.argmax(logits, -1) == jnp.argmax(labels, -1)
        return loss, ({"accuracy": correct.mean()}, changed.get("statistics", {}))
