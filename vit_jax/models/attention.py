"""Multi-head self-attention (Vaswani et al., 2017), and pooling by attention."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.attention_kernel import Kernel, choose_kernel, flash_attention
from vit_jax.models.layer_norm import LayerNorm
from vit_jax.models.layers import Gelu, KernelInit, Mlp, fresh_kernel, hidden_width, stacked_xavier_uniform
from vit_jax.models.relative_position import RelativePositionBias
from vit_jax.models.softmax import add_bias, softmax


def scaled_dot_product_weights(q: jax.Array, k: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """softmax(q k^T / sqrt(d) + bias) for q [B, heads, M, d] and k [B, heads, N, d]: [B, heads, M, N], in q's dtype.

    A position bias, float32 [heads, M, N], is added in float32.
    """
    # In 16 bits where q is: logits in float32 are an array [B, heads, M, N] in memory (docs/performance.md).
    logits = (q * q.shape[-1] ** -0.5) @ k.swapaxes(-2, -1)
    return softmax(logits if bias is None else add_bias(logits, bias), q.dtype)


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017; ViT, appendix A).

    Sows its attention weights, float32 [B, heads, N, N], as "attention" in the collection "intermediates".

    Attributes:
        num_heads: attention heads; must divide the width of the tokens.
        qkv_bias: whether queries, keys and values have a bias.
        key_bias: whether keys have one, too. Without, the kernel "qkv" stands beside "q_bias" and "v_bias" (BEiT).
        bias_grid: rows and columns of the patches behind one class token, for a relative position bias of this layer's
            own; None for no such bias.
        qk_norm: LayerNorm on the queries and keys of every head.
        norm_eps: of those norms.
        attn_drop_rate: dropout on the attention weights.
        proj_drop_rate: dropout after the projection.
        kernel_init: how its kernels begin; see `KernelInit`.
        kernel: the program that computes it; see `attention_kernel`.
        dtype: of the computation; softmax and position bias are float32.
    """

    num_heads: int
    qkv_bias: bool = True
    key_bias: bool = True
    bias_grid: tuple[int, int] | None = None
    qk_norm: bool = False
    norm_eps: float = 1e-6
    attn_drop_rate: float = 0.0
    proj_drop_rate: float = 0.0
    kernel_init: KernelInit = "xavier_uniform"
    kernel: Kernel = "auto"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, bias: jax.Array | None = None, queries: int | None = None
    ) -> jax.Array:
        """Maps tokens [B, N, D] to [B, N, D]; a position bias that layers share is float32 [heads, N, N].

        With `queries`, only the first so many tokens attend, to all N, and are returned: [B, queries, D].
        """
        batch, tokens, width = x.shape
        head_dim = width // self.num_heads
        dense = partial(nn.Dense, dtype=self.dtype)

        x = x.reshape(batch * tokens, width)
        one_bias = self.qkv_bias and self.key_bias
        x = dense(3 * width, use_bias=one_bias, kernel_init=fresh_kernel(self.kernel_init, 3), name="qkv")(x)
        if self.qkv_bias and not self.key_bias:
            q_bias, v_bias = (
                self.param(name, nn.initializers.zeros, (width,), jnp.float32) for name in ("q_bias", "v_bias")
            )
            x = x + jnp.concatenate([q_bias, jnp.zeros_like(q_bias), v_bias]).astype(self.dtype)
        if self.bias_grid is not None:
            name = "relative_position_bias"
            bias = RelativePositionBias(self.bias_grid, self.num_heads, class_token=True, name=name)()
        kernel = "matmul" if self.is_mutable_collection("intermediates") else self.kernel  # the others keep no weights
        kernel = choose_kernel(kernel, tokens, head_dim, self.dtype, bias is not None, self.attn_drop_rate).kernel
        if queries is not None:
            kernel = "matmul"  # with few rows, the others have nothing to gain; one that cannot serve was refused

        if kernel == "matmul":  # q, k, v each [B, heads, N, D / heads]
            q, k, v = x.reshape(batch, tokens, 3, self.num_heads, head_dim).transpose(2, 0, 3, 1, 4)
        else:  # JAX's kernels take [B, N, heads, D / heads]
            # Slices: one kernel on a GPU then joins their gradients and sums them for the bias (docs/performance.md).
            columns = (x[:, start : start + width] for start in (0, width, 2 * width))
            q, k, v = (part.reshape(batch, tokens, self.num_heads, head_dim) for part in columns)
        if queries is not None:
            q, bias = q[:, :, :queries], None if bias is None else bias[:, :queries]
        if self.qk_norm:
            norm = partial(LayerNorm, self.norm_eps, self.dtype)
            q, k = norm(name="q_norm")(q), norm(name="k_norm")(k)

        if kernel == "matmul":
            weights = scaled_dot_product_weights(q, k, bias)
            self.sow("intermediates", "attention", weights.astype(jnp.float32))
            weights = nn.Dropout(self.attn_drop_rate)(weights, deterministic=not train)
            x = (weights @ v).transpose(0, 2, 1, 3)
        elif kernel == "cudnn":
            x = flash_attention(q, k, v)
        else:
            x = jax.nn.dot_product_attention(q, k, v, None if bias is None else bias[None], implementation="xla")
        x = dense(width, kernel_init=fresh_kernel(self.kernel_init), name="proj")(x.reshape(-1, width))
        x = nn.Dropout(self.proj_drop_rate)(x, deterministic=not train)
        return x.reshape(batch, -1, width)


class AttentionPool(nn.Module):
    """Pools tokens by attention from one learned query, followed by an MLP (MAP head: Zhai et al., 2022; big_vision).

    Parameters are named as timm's `AttentionPoolLatent`.
    """

    num_heads: int
    mlp_ratio: float = 4.0
    gelu: Gelu = "erf"
    norm_eps: float = 1e-6
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps tokens [B, N, D] to [B, D]."""
        batch, tokens, width = x.shape
        head_dim = width // self.num_heads
        dense = partial(nn.Dense, dtype=self.dtype, kernel_init=nn.initializers.xavier_uniform())
        latent = self.param("latent", nn.initializers.xavier_uniform(), (1, 1, width), jnp.float32)

        q = dense(width, name="q")(latent.reshape(1, width).astype(self.dtype))
        q = q.reshape(1, 1, self.num_heads, head_dim).transpose(0, 2, 1, 3)  # [1, heads, 1, D / heads]
        kv = dense(2 * width, kernel_init=stacked_xavier_uniform(2), name="kv")(x.reshape(batch * tokens, width))
        k, v = kv.reshape(batch, tokens, 2, self.num_heads, head_dim).transpose(2, 0, 3, 1, 4)

        weights = scaled_dot_product_weights(q, k)  # [B, heads, 1, N]
        pooled = dense(width, name="proj")((weights @ v).reshape(batch, width))
        normed = LayerNorm(self.norm_eps, self.dtype, name="norm")(pooled)
        return pooled + Mlp(hidden_width(width, self.mlp_ratio), self.gelu, dtype=self.dtype, name="mlp")(normed, train)
