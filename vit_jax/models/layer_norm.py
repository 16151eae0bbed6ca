"""Layer normalisation (Ba et al., 2016), computed in float32."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.compiler_hints import computed_once
from vit_jax.models.row_sums import row_sum, spread


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
        scale = self.param("scale", self.scale_init, (x.shape[-1],), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],), jnp.float32)
        rows = x.reshape(-1, x.shape[-1])  # sums over one axis: over two, XLA transposes them in memory on a GPU
        rows = standardize(rows.astype(jnp.float32), self.eps)
        return (rows * scale + bias).astype(self.dtype).reshape(x.shape)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def standardize(x: jax.Array, eps: float) -> jax.Array:
    """(x - mean) / sqrt(variance + eps) over the last axis; the variance in two passes, as PyTorch computes it."""
    return standardize_with_scale(x, *sums(x), eps)[0]


def sums(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sums over the last axis, [..., 1]: of x, and of the squares of its differences from the mean."""
    total = row_sum(x)
    centred = x - total / x.shape[-1]
    return total, row_sum(centred * centred)


def standardize_with_scale(
    x: jax.Array, total: jax.Array, squares: jax.Array, eps: float
) -> tuple[jax.Array, jax.Array]:
    """`standardize` from the `sums`, and the factor 1 / sqrt(variance + eps), [..., 1]."""
    width = x.shape[-1]
    scale = jax.lax.rsqrt(squares / width + eps)
    return (x - total / width) * scale, scale


@standardize.defjvp
def standardize_jvp(eps: float, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> Any:
    """The derivative: of the centred x, less its part along y.

    On a GPU the backward pass reads the sums. If it computed them again, the gradient of LayerNorm's scale would be
    written as an array of x's size, in float32, and then summed.
    """
    (x,), (dx,) = primals, tangents
    width = dx.shape[-1]
    total, squares = computed_once(*sums(x))
    y, scale = standardize_with_scale(x, total, squares, eps)
    mean, along_y = row_sum(dx) / width, row_sum(y * dx) / width
    return y, scale * (dx - spread(mean, width) - y * spread(along_y, width))
