"""The layer that Vision Transformers and their decoders are made of."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.attention import Attention
from vit_jax.models.attention_kernel import Kernel
from vit_jax.models.layer_norm import LayerNorm
from vit_jax.models.layers import DropPath, DropPathRate, Gelu, KernelInit, LayerScale, Mlp, SwiGlu, hidden_width


class EncoderBlock(nn.Module):
    """One layer of the encoder: attention, then MLP, each normalised before and added to its input (ViT, figure 1)."""

    num_heads: int
    mlp_ratio: float = 4.0
    swiglu: bool = False
    qkv_bias: bool = True
    key_bias: bool = True
    bias_grid: tuple[int, int] | None = None
    qk_norm: bool = False
    layer_scale: float | None = None
    attn_drop_rate: float = 0.0
    proj_drop_rate: float = 0.0
    gelu: Gelu = "erf"
    norm_eps: float = 1e-6
    kernel_init: KernelInit = "xavier_uniform"
    attention: Kernel = "auto"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool,
        bias: jax.Array | None = None,
        drop_path_rate: DropPathRate = None,
        queries: int | None = None,
    ) -> jax.Array:
        """Maps tokens [B, N, D] to [B, N, D]; a position bias that layers share is float32 [heads, N, N].

        With `queries`, only so many of the first tokens come out, [B, queries, D]: the others are attended to, no more.
        """
        norm = partial(LayerNorm, self.norm_eps, self.dtype)
        attention = Attention(
            num_heads=self.num_heads,
            qkv_bias=self.qkv_bias,
            key_bias=self.key_bias,
            bias_grid=self.bias_grid,
            qk_norm=self.qk_norm,
            norm_eps=self.norm_eps,
            attn_drop_rate=self.attn_drop_rate,
            proj_drop_rate=self.proj_drop_rate,
            kernel_init=self.kernel_init,
            kernel=self.attention,
            dtype=self.dtype,
            name="attn",
        )
        hidden = hidden_width(x.shape[-1], self.mlp_ratio)
        if self.swiglu:
            mlp = SwiGlu(hidden, self.proj_drop_rate, self.dtype, self.kernel_init, name="mlp")
        else:
            mlp = Mlp(hidden, self.gelu, self.proj_drop_rate, self.dtype, self.kernel_init, name="mlp")

        y = attention(norm(name="norm1")(x), train, bias, queries)
        if self.layer_scale is not None:
            y = LayerScale(self.layer_scale, self.dtype, name="ls1")(y)
        x = x[:, :queries] + DropPath()(y, drop_path_rate, train)

        y = mlp(norm(name="norm2")(x), train)
        if self.layer_scale is not None:
            y = LayerScale(self.layer_scale, self.dtype, name="ls2")(y)
        return x + DropPath()(y, drop_path_rate, train)
