"""The bias of attention and the softmax after it: their derivatives, in float32 and in 16 bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.models.softmax import add_bias, softmax


def drawn(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("bias", [(3, 4, 5), (1, 3, 4, 5), (2, 3, 4, 5), (3, 1, 5)])
def test_a_bias_is_added_and_has_the_gradient_of_a_sum(bias: tuple[int, ...]):
    inputs, weights = (drawn(0, 2, 3, 4, 5), drawn(1, *bias)), drawn(2, 2, 3, 4, 5)
    np.testing.assert_array_equal(add_bias(*inputs), inputs[0] + inputs[1])
    found = jax.grad(lambda *inputs: (weights * add_bias(*inputs)).sum(), argnums=(0, 1))(*inputs)
    expected = jax.grad(lambda x, b: (weights * (x + b)).sum(), argnums=(0, 1))(*inputs)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_bias_has_derivatives_forward_too():
    inputs, changes = (drawn(0, 2, 3, 4, 5), drawn(1, 3, 4, 5)), (drawn(2, 2, 3, 4, 5), drawn(3, 3, 4, 5))
    result, change = jax.jvp(add_bias, inputs, changes)
    np.testing.assert_array_equal(result, inputs[0] + inputs[1])
    np.testing.assert_array_equal(change, changes[0] + changes[1])


def test_in_16_bits_the_sum_is_float32_and_so_is_the_gradient_of_the_bias():
    """4,096 gradients of 1 / 256: summed in bfloat16, they would stay where an addend is half of a last digit, at 1."""
    logits, bias = drawn(0, 4096, 2, 2).astype(jnp.bfloat16), drawn(1, 2, 2)
    np.testing.assert_array_equal(add_bias(logits, bias), logits.astype(jnp.float32) + bias)
    of_logits, of_bias = jax.grad(lambda *x: add_bias(*x).sum() / 256, argnums=(0, 1))(logits, bias)
    assert of_logits.dtype == jnp.bfloat16
    assert of_bias.dtype == jnp.float32
    np.testing.assert_array_equal(of_bias, np.full((2, 2), 16))


@pytest.mark.parametrize(("platform", "told"), [("cuda", 2), ("cpu", 0), ("tpu", 0)])
def test_on_a_gpu_the_backward_pass_reads_what_is_kept_in_16_bits(platform: str, told: int):
    """The softmax, and the gradient of its logits: XLA would otherwise keep both in float32, the latter beside it."""
    logits, bias = (
        jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in (((2, 4, 4), "bfloat16"), ((4, 4), "float32"))
    )

    def loss(logits: jax.Array, bias: jax.Array) -> jax.Array:
        return (softmax(add_bias(logits, bias), jnp.bfloat16).astype(jnp.float32) ** 2).sum()

    traced = jax.jit(jax.grad(loss, argnums=(0, 1))).trace(logits, bias)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    kept = [line for line in text.splitlines() if "optimization_barrier" in line]
    assert len(kept) == told
    assert all("bf16" in line for line in kept)
