"""The softmax of attention and the bias before it, in float32."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from vit_jax.models.compiler_hints import computed_once
from vit_jax.models.row_sums import row_sum, spread


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def softmax(x: jax.Array, dtype: Any) -> jax.Array:
    """exp(x) / sum exp(x) over the last axis, computed in float32 and returned as `dtype`.

    The backward pass keeps only that result: in 16 bits it is half of what a float32 softmax would keep.
    """
    x = x.astype(jnp.float32)
    exponentials = jnp.exp(x - x.max(-1, keepdims=True))
    return (exponentials * (1 / row_sum(exponentials))).astype(dtype)


@softmax.defjvp
def softmax_jvp(dtype: Any, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> Any:
    """The derivative: y (dx - sum of y dx). Only the result is kept for it, as it is (`computed_once`)."""
    (result,) = computed_once(softmax(*primals, dtype))
    y, dx = (x.astype(jnp.float32) for x in (result, *tangents))
    weighted = y * dx
    return result, (weighted - y * spread(row_sum(weighted), y.shape[-1])).astype(dtype)


@jax.custom_jvp
def add_bias(logits: jax.Array, bias: jax.Array) -> jax.Array:
    """Logits [..., M, N] plus a float32 bias that has their shape or fewer axes, or axes of 1: float32 [..., M, N]."""
    return logits.astype(jnp.float32) + bias


@add_bias.defjvp
def add_bias_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The derivative, a sum in the logits' precision: in 16 bits the gradient is kept in 16 bits, once, from which the
    gradients of logits and bias are computed, the latter as a sum in float32."""
    result, (dlogits, dbias) = add_bias(*primals), tangents
    (change,) = computed_once(dlogits + jnp.broadcast_to(dbias, result.shape).astype(dlogits.dtype))
    return result, change.astype(result.dtype)
