"""What tests of objectives share."""

from typing import Any

import jax
import jax.numpy as jnp

from vit_jax.models.preprocessing import Preprocessing
from vit_jax.objectives.objective import Examples

AS_IT_IS = Preprocessing(mean=(0.0,), std=(1 / 255,))
"""Pixels are the network's input."""


def examples(pixels: Any, labels: Any = None, seed: int = 0) -> Examples:
    """A batch of these pixels [B, H, W, C], by default all of the first of two classes."""
    batch = len(pixels)
    labels = jnp.eye(2)[jnp.zeros(batch, int)] if labels is None else labels
    return Examples(jnp.asarray(pixels), jnp.asarray(labels), jax.random.split(jax.random.key(seed), batch))
