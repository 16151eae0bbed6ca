"""Multi-head self-attention: its initial values, and its weights against their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.models.attention import Attention, scaled_dot_product_weights


def test_query_key_and_value_kernels_are_each_xavier_uniform():
    """The fused kernel does not count as one wide layer, whose values would be smaller by a factor of sqrt(2)."""
    width = 48
    init = jax.jit(Attention(num_heads=3).init, static_argnums=2)
    params = init(jax.random.key(0), jnp.ones((1, 2, width)), False)["params"]
    q, k, v = np.split(np.asarray(params["qkv"]["kernel"]), 3, axis=1)
    for part in (q, k, v):
        assert np.abs(part).max() == pytest.approx(np.sqrt(6 / (2 * width)), rel=0.01)
    assert not np.array_equal(q, k)


def test_attention_weights_are_a_softmax_of_scaled_products():
    q, k = np.random.default_rng(0).standard_normal((2, 1, 2, 3, 16), dtype=np.float32)
    weights = jax.jit(scaled_dot_product_weights)(q, k)
    exponentials = np.exp(np.einsum("bhid,bhjd->bhij", q, k) / 4)
    np.testing.assert_allclose(weights, exponentials / exponentials.sum(-1, keepdims=True), rtol=1e-5)
    half = jax.ShapeDtypeStruct(q.shape, jnp.bfloat16)
    assert jax.eval_shape(scaled_dot_product_weights, half, half).dtype == jnp.bfloat16


def test_bias_and_softmax_are_float32():
    """To a product of 256, a bias of 0.5 is added as it is, where bfloat16 has 256 or 258; only the weights round."""
    q, k = (jnp.array([[[[16.0, 0, 0, 0], [0, 0, 0, 0]]]], jnp.bfloat16) for _ in range(2))
    weights = scaled_dot_product_weights(2 * q, k, jnp.array([[[-255.5, 0.0], [0.0, 0.0]]]))
    np.testing.assert_allclose(weights[0, 0, 0, 0], 1 / (1 + np.exp(-0.5)), rtol=2**-8)
