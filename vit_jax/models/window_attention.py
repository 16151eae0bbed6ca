"""Attention within windows: Swin's, and Swin V2's by cosines."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.layers import SMALL, unit_vectors
from vit_jax.models.relative_position import ContinuousPositionBias, RelativePositionBias
from vit_jax.models.softmax import add_bias, softmax
from vit_jax.models.windows import WindowGrid


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows (W-MSA; SW-MSA where the grid is shifted): Swin, section 3.2.

    Sows its attention weights, float32 [B, windows, heads, M, M], as "attention" in the collection "intermediates".

    Attributes:
        num_heads: attention heads.
        grid: the windows.
        version: 1, or 2 for Swin V2's cosine attention, continuous position bias and keys without a bias.
        pretrained_window: window that version 2's position bias was trained with; 0 for the grid's own.
        qkv_bias: whether queries, keys and values have a bias.
        attn_drop_rate: dropout on the attention weights.
        proj_drop_rate: dropout after the projection.
        dtype: of the computation; bias and softmax are float32, and version 2's similarity, which is multiplied by up
            to 100.
    """

    num_heads: int
    grid: WindowGrid
    version: int = 1
    pretrained_window: int = 0
    qkv_bias: bool = True
    attn_drop_rate: float = 0.0
    proj_drop_rate: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, H, W, C]."""
        batch, height, width, channels = x.shape
        tokens, head_dim = math.prod(self.grid.window), channels // self.num_heads
        dense = partial(nn.Dense, dtype=self.dtype, kernel_init=SMALL)

        x = self.grid.partition(x).reshape(-1, channels)  # [B * windows * M, C]
        qkv = dense(3 * channels, use_bias=self.qkv_bias and self.version == 1, name="qkv")(x)
        if self.qkv_bias and self.version == 2:
            q_bias, v_bias = (
                self.param(name, nn.initializers.zeros, (channels,), jnp.float32) for name in ("q_bias", "v_bias")
            )
            qkv = qkv + jnp.concatenate([q_bias, jnp.zeros_like(q_bias), v_bias]).astype(self.dtype)
        # Split, then transposed each: the gradients are then put together by one concatenation.
        q, k, v = (
            part.reshape(-1, tokens, self.num_heads, head_dim).transpose(0, 2, 1, 3)
            for part in jnp.split(qkv, 3, axis=-1)
        )  # each [B * windows, heads, M, C / heads]

        logits = self.scaled_similarity(q, k).reshape(batch, -1, self.num_heads, tokens, tokens)
        weights = softmax(add_bias(logits, self.bias()), self.dtype)  # [B, windows, heads, M, M]
        self.sow("intermediates", "attention", weights.astype(jnp.float32))
        weights = nn.Dropout(self.attn_drop_rate)(weights, deterministic=not train)

        weights = weights.reshape(-1, self.num_heads, tokens, tokens)
        x = (weights @ v).transpose(0, 2, 1, 3)
        x = self.grid.reverse(x.reshape(-1, tokens, channels)).reshape(-1, channels)  # [B * H * W, C]
        x = dense(channels, name="proj")(x)
        x = nn.Dropout(self.proj_drop_rate)(x, deterministic=not train)
        return x.reshape(batch, height, width, channels)

    def scaled_similarity(self, q: jax.Array, k: jax.Array) -> jax.Array:
        """How alike queries and keys [B * windows, heads, M, d] are: [B * windows, heads, M, M]; in version 1 in their
        dtype, in version 2 in float32."""
        if self.version == 1:  # a product of 16 bits is rounded to these, as in `scaled_dot_product_weights`
            # Not `@`: XLA on a GPU would transpose k apart from q and v, and read all three twice.
            return jnp.einsum("...md,...nd->...mn", q * q.shape[-1] ** -0.5, k)
        scale = self.param("logit_scale", nn.initializers.constant(math.log(10)), (self.num_heads, 1, 1), jnp.float32)
        cosines = jnp.matmul(unit_vectors(q), unit_vectors(k).swapaxes(-2, -1), preferred_element_type=jnp.float32)
        return cosines * jnp.exp(jnp.minimum(scale, math.log(100)))

    def bias(self) -> jax.Array:
        """Position bias and shift mask, float32 [1 or windows, heads, M, M]."""
        window, name = self.grid.window, "relative_position_bias"
        if self.version == 1:
            bias = RelativePositionBias(window, self.num_heads, name=name)()
        else:
            bias = ContinuousPositionBias(window, self.pretrained_window, self.num_heads, name=name)()
        mask = self.grid.mask()
        return bias[None] if mask is None else bias[None] + mask[:, None]
