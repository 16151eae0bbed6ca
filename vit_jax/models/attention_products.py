"""The two matrix products of attention, over the leading axes (batch and heads), with a backward pass fast on a CPU.

Of the four products of that backward pass, two sum over the rows of both factors. XLA's CPU backend is slow at these
for small matrices (four times, for windows of 4x4 tokens and heads of 16 channels): there the gradient is transposed
in memory first, which makes them products of rows and columns like the others.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

SMALL = 64
"""Tokens up to which transposing first is faster: measured at 16 (3x), 49 (1.5x), 65 (0.8x) and 197 (0.6x)."""


def transpose(x: jax.Array) -> jax.Array:
    """Swaps the last two axes; the backward pass of it writes the swapped gradient to memory, on a CPU."""
    return jax.lax.platform_dependent(
        x,
        cpu=lambda x: jax.lax.optimization_barrier(x).swapaxes(-2, -1),
        default=lambda x: x.swapaxes(-2, -1),
    )


def times_transposed(a: jax.Array, b: jax.Array, dtype: Any) -> jax.Array:
    """a bᵀ: [..., M, d] and [..., N, d] to `dtype` [..., M, N]."""
    return jnp.matmul(a, b.swapaxes(-2, -1), preferred_element_type=dtype)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def similarity(q: jax.Array, k: jax.Array, dtype: Any) -> jax.Array:
    """q kᵀ of queries [..., M, d] and keys [..., N, d], summed in and returned as `dtype`: [..., M, N]."""
    return times_transposed(q, k, dtype)


@similarity.defjvp
def similarity_jvp(dtype: Any, primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]) -> Any:
    """The product rule."""
    (q, k), (dq, dk) = primals, tangents
    small = q.shape[-2] <= SMALL
    dk_term = transpose(times_transposed(dk, q, dtype)) if small else times_transposed(q, dk, dtype)
    return times_transposed(q, k, dtype), times_transposed(dq, k, dtype) + dk_term


@jax.custom_jvp
def weighted_sum(weights: jax.Array, v: jax.Array) -> jax.Array:
    """Attention weights [..., M, N] times values [..., N, d]: [..., M, d]."""
    return weights @ v


@weighted_sum.defjvp
def weighted_sum_jvp(primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]) -> Any:
    """The product rule."""
    (weights, v), (dweights, dv) = primals, tangents
    small = v.shape[-2] <= SMALL
    dv_term = transpose(dv.swapaxes(-2, -1) @ weights.swapaxes(-2, -1)) if small else weights @ dv
    return weights @ v, dweights @ v + dv_term
