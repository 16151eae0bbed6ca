"""Sums over the last axis, and the normalisations built on them: standardisation (of LayerNorm) and softmax.

On a CPU they are products with a vector of ones: alone no faster than XLA's reductions, but inference of a whole ViT-Ti
takes a tenth less time with them (docs/performance.md). Written as linear maps, they are products in the backward pass
too. On other devices they are plain reductions, which XLA fuses well.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


def row_sum(x: jax.Array) -> jax.Array:
    """Sum over the last axis, which is kept: [..., D] to [..., 1]."""
    return jax.lax.platform_dependent(
        x,
        cpu=lambda x: x @ jnp.ones((x.shape[-1], 1), x.dtype),
        default=lambda x: x.sum(-1, keepdims=True),
    )


def spread(x: jax.Array, width: int) -> jax.Array:
    """Repeats [..., 1] to [..., width]; the backward pass is `row_sum`."""
    return jax.lax.platform_dependent(
        x,
        cpu=lambda x: x @ jnp.ones((1, width), x.dtype),
        default=lambda x: jnp.broadcast_to(x, (*x.shape[:-1], width)),
    )


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def standardize(x: jax.Array, eps: float) -> jax.Array:
    """(x - mean) / sqrt(variance + eps) over the last axis; the variance in two passes, as PyTorch computes it."""
    return standardize_with_scale(x, eps)[0]


def standardize_with_scale(x: jax.Array, eps: float) -> tuple[jax.Array, jax.Array]:
    """`standardize`, and the factor 1 / sqrt(variance + eps), [..., 1]."""
    width = x.shape[-1]
    centred = x - row_sum(x) / width
    scale = jax.lax.rsqrt(row_sum(centred * centred) / width + eps)
    return centred * scale, scale


@standardize.defjvp
def standardize_jvp(eps: float, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> Any:
    """The derivative: of the centred x, less its part along y."""
    (dx,) = tangents
    width = dx.shape[-1]
    y, scale = standardize_with_scale(*primals, eps)
    mean, along_y = row_sum(dx) / width, row_sum(y * dx) / width
    return y, scale * (dx - spread(mean, width) - y * spread(along_y, width))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def softmax(x: jax.Array, dtype: Any) -> jax.Array:
    """exp(x) / sum exp(x) over the last axis, computed in float32 and returned as `dtype`.

    The backward pass keeps only that result: in 16 bits it is half of what a float32 softmax would keep.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    exponentials = jnp.exp(x - x.max(-1, keepdims=True))
    return (exponentials * (1 / row_sum(exponentials))).astype(dtype)


@softmax.defjvp
def softmax_jvp(dtype: Any, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> Any:
    """The derivative: y (dx - sum of y dx)."""
    result = softmax(*primals, dtype)
    y, dx = (x.astype(jnp.promote_types(x.dtype, jnp.float32)) for x in (result, *tangents))
    weighted = y * dx
    return result, (weighted - y * spread(row_sum(weighted), y.shape[-1])).astype(dtype)
