"""Layer normalisation (Ba et al., 2016), computed in float32."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.row_sums import standardize


class LayerNorm(nn.Module):
    """Standardises the last axis, then scales and shifts each channel: parameters "scale" and "bias", float32 [D].

    Attributes:
        eps: added to the variance.
        dtype: of the result.
        scale_init: of the scale.
    """

    eps: float
    dtype: Any = jnp.float32
    scale_init: Callable[..., jax.Array] = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., D] to [..., D]."""
        scale = self.param("scale", self.scale_init, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        rows = x.reshape(-1, x.shape[-1])  # sums over one axis: over two, XLA transposes them in memory on a GPU
        rows = standardize(rows.astype(jnp.promote_types(x.dtype, jnp.float32)), self.eps)
        return (rows * scale + bias).astype(self.dtype).reshape(x.shape)
