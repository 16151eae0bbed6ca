"""LayerNorm and softmax: their values, and derivatives in both directions, are those of the plain formulas."""

from collections.abc import Callable
from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.test_util import check_grads

from vit_jax.models.layer_norm import LayerNorm, standardize
from vit_jax.models.row_sums import row_sum, spread
from vit_jax.models.softmax import softmax


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def x(rng: np.random.Generator) -> jax.Array:
    return jnp.asarray(rng.normal(size=(2, 3, 5, 24)), jnp.float32)


def flax_standardize(x: jax.Array) -> jax.Array:
    return cast(jax.Array, nn.LayerNorm(1e-5, use_bias=False, use_scale=False, use_fast_variance=False).apply({}, x))


PAIRS = {
    "standardize": (lambda x: standardize(x, 1e-5), flax_standardize),
    "softmax": (partial(softmax, dtype=jnp.float32), jax.nn.softmax),
    "row_sum": (row_sum, lambda x: x.sum(-1, keepdims=True)),
    "spread": (lambda x: spread(x[..., :1], 24), lambda x: jnp.broadcast_to(x[..., :1], x.shape)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_both_derivatives_equal_the_plain_formulas(name: str, x: jax.Array, rng: np.random.Generator):
    ours, plain = PAIRS[name]
    tangent = jnp.asarray(rng.normal(size=x.shape), jnp.float32)
    cotangent = jnp.asarray(rng.normal(size=plain(x).shape), jnp.float32)

    def all_of(function: Callable[[jax.Array], jax.Array]) -> list[jax.Array]:
        value, forward = jax.jvp(function, (x,), (tangent,))
        return [value, forward, *jax.vjp(function, x)[1](cotangent), jax.vmap(jax.vmap(function))(x)]

    for ours_result, plain_result in zip(all_of(jax.jit(ours)), all_of(plain), strict=True):
        np.testing.assert_allclose(ours_result, plain_result, atol=5e-6)


@pytest.mark.parametrize("name", ["standardize", "softmax"])
def test_derivatives_of_derivatives(name: str, x: jax.Array):
    check_grads(PAIRS[name][0], (x[0, 0],), order=2, atol=1e-2, rtol=1e-2)


def test_tokens_far_from_zero_keep_their_digits(x: jax.Array):
    """The variance is that of centred values: E[x²] - E[x]² would lose it here."""
    np.testing.assert_allclose(standardize(x + 1000, 1e-5), standardize(x, 1e-5), atol=2e-3)


def test_softmax_of_large_logits_is_finite():
    np.testing.assert_allclose(softmax(jnp.array([1e4, 1e4, -1e4]), jnp.float32), [0.5, 0.5, 0])


def test_layer_norm_equals_flax(x: jax.Array, rng: np.random.Generator):
    scale, bias = (jnp.asarray(rng.normal(size=24), jnp.float32) for _ in range(2))
    params = {"params": {"scale": scale, "bias": bias}}
    for dtype, tolerance in ((jnp.float32, 5e-6), (jnp.bfloat16, 0)):
        flax_norm = nn.LayerNorm(1e-5, dtype=dtype, use_fast_variance=False)
        reference = cast(jax.Array, flax_norm.apply(params, x.astype(dtype)))
        result = cast(jax.Array, LayerNorm(1e-5, dtype).apply(params, x.astype(dtype)))
        assert result.dtype == dtype
        # Half of bfloat16's last digit where the two float32 results round apart.
        difference = np.abs(np.asarray(result, np.float32) - np.asarray(reference, np.float32))
        assert (difference <= tolerance + (dtype == jnp.bfloat16) * 2**-7 * np.abs(reference)).all()


def test_layer_norm_starts_as_the_standardisation(x: jax.Array):
    result, variables = LayerNorm(1e-5).init_with_output(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables["params"]) == {"scale": (24,), "bias": (24,)}
    np.testing.assert_allclose(result, flax_standardize(x), atol=5e-6)
