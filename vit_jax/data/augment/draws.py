"""Random values from uniform numbers in [0, 1).

Each call of JAX's generator costs some 0.2 s of compilation on the CPU, so a transform draws the uniform numbers of an
example in one call where it can, and turns them into what it needs with these.
"""

import jax
import jax.numpy as jnp


def whole_number(uniform: jax.Array, count: jax.Array | int) -> jax.Array:
    """Uniform over 0, ..., count - 1. -> int32, shaped as `uniform`"""
    return jnp.floor(uniform * count).astype(jnp.int32)


def sign(uniform: jax.Array) -> jax.Array:
    """-1 or 1, each with probability 0.5. -> float32, shaped as `uniform`"""
    return jnp.where(uniform < 0.5, -1.0, 1.0)
