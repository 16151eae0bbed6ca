"""The softmax of attention, in float32."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from vit_jax.models.row_sums import row_sum, spread


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
