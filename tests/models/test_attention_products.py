"""Attention's two products: values, and derivatives in both directions, at sizes on both sides of the switch."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.models.attention_products import SMALL, similarity, weighted_sum


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def arrays(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[jax.Array]:
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def value_and_derivatives(function: Callable[..., jax.Array], inputs: Any, tangents: Any, rng: Any) -> list[jax.Array]:
    value, forward = jax.jvp(function, inputs, tangents)
    cotangent = jnp.asarray(rng.normal(size=value.shape), jnp.float32)
    return [value, forward, *jax.vjp(function, *inputs)[1](cotangent), jax.vmap(function)(*inputs)]


@pytest.mark.parametrize("tokens", [5, SMALL, SMALL + 1])
@pytest.mark.parametrize("name", ["similarity", "weighted_sum"])
def test_values_and_both_derivatives_equal_einsum(name: str, tokens: int):
    rng = np.random.default_rng(0)
    q, k, weights = (2, 3, tokens, 4), (2, 3, tokens, 4), (2, 3, tokens, tokens)
    shapes, ours, plain = {
        "similarity": (
            (q, k),
            lambda q, k: similarity(q, k, jnp.float32),
            lambda q, k: jnp.einsum("...md,...nd->...mn", q, k),
        ),
        "weighted_sum": ((weights, k), weighted_sum, lambda w, v: jnp.einsum("...mn,...nd->...md", w, v)),
    }[name]
    inputs, tangents = tuple(arrays(rng, *shapes)), tuple(arrays(rng, *shapes))
    ours_results = value_and_derivatives(jax.jit(ours), inputs, tangents, np.random.default_rng(1))
    plain_results = value_and_derivatives(plain, inputs, tangents, np.random.default_rng(1))
    for ours_result, plain_result in zip(ours_results, plain_results, strict=True):
        np.testing.assert_allclose(ours_result, plain_result, atol=1e-4 if tokens >= SMALL else 1e-5)


def test_fewer_queries_than_keys(rng: np.random.Generator):
    """As in attention pooling, where one learned query looks at all tokens."""
    q, k, weights = arrays(rng, (2, 1, 4), (2, 7, 4), (2, 1, 7))
    gradient = jax.grad(lambda q, k: similarity(q, k, jnp.float32).sum(), argnums=(0, 1))(q, k)
    assert [g.shape for g in gradient] == [q.shape, k.shape]
    np.testing.assert_allclose(gradient[1], np.broadcast_to(q, k.shape), atol=1e-6)
    np.testing.assert_allclose(
        jax.grad(lambda v: weighted_sum(weights, v).sum())(k),
        np.broadcast_to(np.swapaxes(weights, 1, 2), k.shape),
        atol=1e-6,
    )


def test_products_of_bfloat16_are_summed_in_float32(rng: np.random.Generator):
    q, k = (x.astype(jnp.bfloat16) for x in arrays(rng, (5, 64), (5, 64)))
    result = similarity(q, k, jnp.float32)
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(result, np.asarray(q, np.float32) @ np.asarray(k, np.float32).T, atol=1e-4)
    gradients = jax.grad(lambda q, k: similarity(q, k, jnp.float32).sum(), argnums=(0, 1))(q, k)
    assert [g.dtype for g in gradients] == [jnp.bfloat16, jnp.bfloat16]


def test_compiled_gradients_of_small_products_sum_over_no_rows_of_both(rng: np.random.Generator):
    """Sums over the rows of both factors are what a CPU is slow at, and XLA would fold the transposition into them."""
    q, k = arrays(rng, (8, 16, 4), (8, 16, 4))

    def gradient(q: jax.Array, k: jax.Array) -> Any:
        return jax.grad(lambda q, k: weighted_sum(similarity(q, k, jnp.float32), k).sum(), argnums=(0, 1))(q, k)

    program = str(jax.jit(gradient).lower(q, k).compile().as_text())
    contracted = re.findall(r" dot\(.*lhs_contracting_dims=\{(\d)\}.*rhs_contracting_dims=\{(\d)\}", program)
    assert len(contracted) >= 5
    assert ("1", "1") not in contracted
