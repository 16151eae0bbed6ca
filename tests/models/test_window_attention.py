"""Window attention is the published formula."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.models.layers import unit_vectors
from vit_jax.models.relative_position import (
    ContinuousPositionBias,
    RelativePositionBias,
)
from vit_jax.models.window_attention import WindowAttention
from vit_jax.models.windows import window_grid

HEADS, WIDTH = 2, 6


def attention(version: int, shifted: bool) -> tuple[WindowAttention, Any, np.ndarray]:
    """Attention on maps of 4x6 tokens in windows of 2x2, with random parameters, and two maps."""
    rng = np.random.default_rng(version)
    module = WindowAttention(HEADS, window_grid(4, 6, 2, shifted, "microsoft"), version)
    x = rng.normal(size=(2, 4, 6, WIDTH)).astype(np.float32)
    params = jax.jit(module.init, static_argnums=2)(jax.random.key(0), x, False)["params"]
    params = jax.tree.map(lambda p: (p + rng.normal(size=p.shape)).astype(np.float32), params)
    if version == 2:
        params["logit_scale"] = np.array([1.5, 5.0], np.float32).reshape(HEADS, 1, 1)  # the second above log(100)
    return module, params, x


def similarity_by_hand(q: np.ndarray, k: np.ndarray, version: int, logit_scale: Any) -> Any:
    """Of a query and a key [d]: Swin's equation 4 without its bias, and equation 2 of Swin V2."""
    if version == 1:
        return q @ k / math.sqrt(len(q))
    cosine = q @ k / math.sqrt(q @ q) / math.sqrt(k @ k)
    return cosine * min(math.exp(logit_scale), 100)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_attention_is_the_published_formula(version: int, shifted: bool):
    """Window by window, head by head, query by query: scale, limit of the scale, bias, mask, softmax and projection."""
    module, params, x = attention(version, shifted)
    ours: Any = module.apply({"params": params}, x, False)

    kernel, proj, grid = params["qkv"]["kernel"].astype(float), params["proj"], module.grid
    zeros = np.zeros(WIDTH)
    qkv_bias = params["qkv"]["bias"] if version == 1 else np.concatenate([params["q_bias"], zeros, params["v_bias"]])
    biases = RelativePositionBias((2, 2), HEADS) if version == 1 else ContinuousPositionBias((2, 2), 0, HEADS)
    mask = np.zeros((grid.num_windows, 4, 4)) if grid.mask() is None else grid.mask()
    bias: Any = np.asarray(biases.apply({"params": params["relative_position_bias"]}), float)
    bias = bias + np.asarray(mask)[:, None]  # [windows, heads, M, M]
    x = np.roll(x, (-grid.shift[0], -grid.shift[1]), (1, 2)).astype(float)
    expected = np.zeros_like(x)
    for window in range(grid.num_windows):
        row, column = 2 * (window // 3), 2 * (window % 3)
        for image in range(len(x)):
            tokens = x[image, row : row + 2, column : column + 2].reshape(4, WIDTH)
            q, k, v = np.moveaxis(np.asarray(tokens @ kernel + qkv_bias).reshape(4, 3, HEADS, WIDTH // HEADS), 1, 0)
            mixed = np.zeros((4, HEADS, WIDTH // HEADS))
            for head in range(HEADS):
                scale = params["logit_scale"][head, 0, 0] if version == 2 else None
                for i in range(4):
                    logits = [similarity_by_hand(q[i, head], k[j, head], version, scale) for j in range(4)]
                    weights = np.exp(logits + bias[window, head, i])
                    mixed[i, head] = weights / weights.sum() @ v[:, head]
            result = mixed.reshape(4, WIDTH) @ proj["kernel"] + proj["bias"]
            expected[image, row : row + 2, column : column + 2] = result.reshape(2, 2, WIDTH)
    expected = np.roll(expected, grid.shift, (1, 2))
    assert (grid.shift != (0, 0)) == shifted
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_cosines_in_bfloat16_are_summed_and_kept_in_float32():
    """They are multiplied by up to 100: rounded to bfloat16, a weight would be off by a tenth and more."""
    width, tokens = 32, 4
    module = WindowAttention(1, window_grid(2, 2, 2, False, "microsoft"), 2, qkv_bias=False, dtype=jnp.bfloat16)
    rng = np.random.default_rng(0)
    x = jnp.asarray(1 + 0.1 * rng.normal(size=(1, 2, 2, width)), jnp.bfloat16)  # alike, so that no weight is 1
    params: Any = jax.jit(module.init, static_argnums=2)(jax.random.key(0), x, False)["params"]
    params["qkv"]["kernel"] = jnp.tile(jnp.eye(width), 3)  # queries, keys and values are x
    params["logit_scale"] = jnp.full((1, 1, 1), math.log(100))
    _, sown = module.apply({"params": params}, x, False, mutable="intermediates")
    unit = np.asarray(unit_vectors(x), float).reshape(tokens, width)
    bias: Any = ContinuousPositionBias((2, 2), 0, 1).apply({"params": params["relative_position_bias"]})
    expected = np.exp(100 * unit @ unit.T + np.asarray(bias[0], float))
    expected /= expected.sum(-1, keepdims=True)
    weights: Any = sown["intermediates"]["attention"][0]
    np.testing.assert_allclose(weights[0, 0, 0], expected, rtol=0.01)


def test_the_logit_scale_learns_only_below_its_limit():
    """Of exp(min(scale, log 100)): the head above the limit has no gradient."""
    module, params, x = attention(2, shifted=False)
    gradient: Any = jax.grad(lambda p: jnp.square(jnp.asarray(module.apply({"params": p}, x, False))).sum())(params)
    below, above = gradient["logit_scale"][:, 0, 0]
    assert abs(below) > 1e-3
    assert above == 0
