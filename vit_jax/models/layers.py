"""The parts of an encoder but attention: patches, their embedding, MLP, layer scale, drop path, position embeddings.

Dense layers work on [tokens of the whole batch, width] rather than [batch, tokens, width]: the gradient of a weight is
then one matrix product, which XLA on a CPU computes about twice as fast as the same product over two batch axes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

Gelu = Literal["erf", "tanh", "quick"]
"""Form of the GELU: "erf" is the exact one of the PyTorch publishers, "tanh" the approximation of Google's ViT, "quick"
that of OpenAI's CLIP."""

SMALL = nn.initializers.normal(0.02)
"""Of tokens, positions and many kernels. Publishers truncate at 2, a hundred standard deviations; BEiT at one
standard deviation."""

KernelInit = Literal["xavier_uniform", "normal"]
"""How the kernels of a block begin: Xavier-uniform, with biases near zero in MLPs (Google's), or normal with a
deviation of 0.02 and zeros for biases (DeiT's, DINO's, BEiT's, Swin's). MAE's code is Xavier-uniform as well, but takes
queries, keys and values for one matrix, whose values are smaller by the root of two."""


def patchify(images: jax.Array, patch_size: tuple[int, int]) -> jax.Array:
    """Images [B, H, W, C] to the pixels of their patches, row by row: [B, N, P * P * C], channels fastest."""
    batch, height, width, channels = images.shape
    rows, columns = height // patch_size[0], width // patch_size[1]
    x = images.reshape(batch, rows, patch_size[0], columns, patch_size[1], channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows * columns, -1)


def unpatchify(patches: jax.Array, grid: tuple[int, int], patch_size: tuple[int, int]) -> jax.Array:
    """The inverse of `patchify` for `grid` rows and columns of patches: [B, N, P * P * C] to [B, H, W, C]."""
    x = patches.reshape(patches.shape[0], *grid, *patch_size, -1)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(
        patches.shape[0], grid[0] * patch_size[0], grid[1] * patch_size[1], x.shape[-1]
    )


class PatchEmbed(nn.Module):
    """Cuts an image into patches and maps each linearly to a token (ViT, section 3.1; Swin's patch partition).

    The same as a convolution whose stride is its kernel size; the kernel is stored as that convolution's, float32
    [patch height, patch width, channels, embed_dim]. It begins with a deviation of 1 / sqrt(fan in), as Google's, in
    every network: with the blocks' kernels of DeiT, DINO, BEiT and Swin, too, whose own code has 1 / sqrt(3 fan in).
    """

    patch_size: tuple[int, int]
    embed_dim: int
    dtype: Any = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps images [B, H, W, C] to a grid of tokens [B, H / patch height, W / patch width, embed_dim]."""
        batch, height, width, channels = images.shape
        patch_height, patch_width = self.patch_size
        rows, columns = height // patch_height, width // patch_width
        kernel_init = nn.initializers.lecun_normal(in_axis=(0, 1, 2))
        kernel = self.param("kernel", kernel_init, (patch_height, patch_width, channels, self.embed_dim), jnp.float32)

        patches = patchify(images, self.patch_size).reshape(batch * rows * columns, -1)  # [B * N, P * P * C]
        tokens = patches.astype(self.dtype) @ kernel.reshape(-1, self.embed_dim).astype(self.dtype)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.embed_dim,), jnp.float32)
            tokens = tokens + bias.astype(self.dtype)
        return tokens.reshape(batch, rows, columns, self.embed_dim)


def sincos_position_embedding(grid: tuple[int, int], embed_dim: int) -> np.ndarray:
    """Fixed two-dimensional sine-cosine position embedding (MAE, section 3; `util/pos_embed.py` of its code).

    Returns float32 [rows * columns, embed_dim]. As published, the first half of the channels encodes the column and
    the second half the row, each as all sines followed by all cosines of `position / 10000^(i / (embed_dim / 4))`.

    Raises:
        ValueError: if `embed_dim` is not a multiple of 4.
    """
    if embed_dim % 4:
        raise ValueError(f"a sin-cos position embedding needs embed_dim to be a multiple of 4, not {embed_dim}")
    frequencies = 10000.0 ** -(np.arange(embed_dim // 4, dtype=np.float64) / (embed_dim // 4))
    row, column = np.meshgrid(np.arange(grid[0]), np.arange(grid[1]), indexing="ij")
    angles = [np.outer(position.reshape(-1), frequencies) for position in (column, row)]  # each [N, D / 4]
    return np.concatenate([f(angle) for angle in angles for f in (np.sin, np.cos)], axis=1).astype(np.float32)


class LayerScale(nn.Module):
    """A learned factor for each channel of a residual branch (CaiT; DeiT-III, BEiT, DINOv2)."""

    init_value: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        gamma = self.param("gamma", nn.initializers.constant(self.init_value), (x.shape[-1],), jnp.float32)
        return (x.reshape(-1, x.shape[-1]) * gamma.astype(self.dtype)).reshape(x.shape)  # as LayerNorm does


DropPathRate = jax.typing.ArrayLike | None
"""Of one block, a float32 scalar; None for no drop path.

It is an argument of the block and no field of it, so that blocks which differ in nothing else are traced once."""


class DropPath(nn.Module):
    """Stochastic depth: drops a whole residual branch for some examples, and scales the others by 1 / (1 - rate).

    Uses the random stream "dropout".
    """

    @nn.compact
    def __call__(self, x: jax.Array, rate: DropPathRate, train: bool) -> jax.Array:
        """Maps [B, ...] to the same; the identity where `rate` is None, and when `train` is False."""
        if rate is None or not train:
            return x
        kept = jax.random.bernoulli(self.make_rng("dropout"), 1 - rate, (x.shape[0],) + (1,) * (x.ndim - 1))
        return jnp.where(kept, x / jnp.asarray(1 - rate, x.dtype), jnp.zeros_like(x))


def traced_once(remat: bool, static: tuple[int, ...] = (2,)) -> Callable[..., jax.Array]:
    """Calls a block, its first argument: those of equal fields are traced once, however deep the network. Arguments at
    `static` are no arrays (`train` is the third). With `remat`, the backward pass computes each block again.

    To be made anew in each pass through a network, as traces do not know of Flax's interceptors. A function is
    transformed, not the class: while Flax derives a class, it takes fields from the one it derives from, and another
    thread that traces such a network just then fails.
    """

    def call(block: Callable[..., jax.Array], *inputs: Any) -> jax.Array:
        return block(*inputs)

    return nn.jit(nn.remat(call, static_argnums=static) if remat else call, static_argnums=static)


def drop_path_rates(highest: float, depth: int) -> tuple[float, ...]:
    """The rates of `depth` blocks, which grow linearly from 0 to the highest."""
    return tuple(np.linspace(0, highest, depth).tolist())


@partial(jax.checkpoint, static_argnums=(2,))
def gelu(x: jax.Array, bias: jax.Array, form: Gelu) -> jax.Array:
    """x [..., D] + bias [D] times the normal distribution function of it, or the approximation of that by tanh or the
    sigmoid of 1.702 times it.

    In float32 and written with erf, as PyTorch computes it: the erfc of `jax.nn.gelu` is slower on a CPU. The backward
    pass computes it again from x and the bias. Otherwise erf and the sum would be kept for it, arrays of the hidden
    layer's size: on a CPU the first takes more time than the work, the second is 3% of the bytes of a ViT's training
    step on a GPU (docs/performance.md).
    """
    x = x + bias
    wide = x.astype(jnp.float32)  # in 16 bits, 1 + erf(x) of negative x has few left
    if form == "tanh":
        y = jax.nn.gelu(wide, approximate=True)
    elif form == "quick":
        y = wide * jax.nn.sigmoid(1.702 * wide)
    else:
        y = wide * (0.5 * (1 + jax.lax.erf(wide * 0.5**0.5)))
    return y.astype(x.dtype)


def unit_vectors(x: jax.Array) -> jax.Array:
    """x [..., d] divided by its Euclidean norm (at least 1e-12, as PyTorch's `normalize`), computed in float32."""
    square = jnp.square(x.astype(jnp.float32)).sum(-1, keepdims=True)
    # Not `maximum`, whose gradient asks whether the result equals `square`, which the compiler may round otherwise.
    return (x.astype(jnp.float32) * jax.lax.rsqrt(jnp.where(square > 1e-24, square, 1e-24))).astype(x.dtype)


def hidden_width(width: int, mlp_ratio: float) -> int:
    """Width of an MLP's hidden layer: `width * mlp_ratio`, cut to a whole number as publishers do.

    A product just below a whole number is that number: the ratio is a fraction (49 x 15/49) that a float rounds.
    """
    return int(width * mlp_ratio + 1e-6)


class DenseGelu(nn.Module):
    """A dense layer and its GELU: parameters as `nn.Dense`'s, "kernel" and "bias"."""

    features: int
    gelu: Gelu
    dtype: Any
    kernel_init: Callable[..., jax.Array]
    bias_init: Callable[..., jax.Array] = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [rows, D] to [rows, features]."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        return gelu(x.astype(self.dtype) @ kernel.astype(self.dtype), bias.astype(self.dtype), self.gelu)


class Mlp(nn.Module):
    """Two dense layers with a GELU between them (ViT, section 3.1)."""

    hidden_dim: int
    gelu: Gelu = "erf"
    drop_rate: float = 0.0
    dtype: Any = jnp.float32
    kernel_init: KernelInit = "xavier_uniform"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [..., D] to [..., D]."""
        shape = x.shape
        bias_init = nn.initializers.zeros if self.kernel_init == "normal" else nn.initializers.normal(1e-6)
        fields: Any = dict(dtype=self.dtype, kernel_init=fresh_kernel(self.kernel_init), bias_init=bias_init)
        x = x.reshape(-1, shape[-1])
        x = DenseGelu(self.hidden_dim, self.gelu, name="fc1", **fields)(x)
        x = nn.Dropout(self.drop_rate)(x, deterministic=not train)
        x = nn.Dense(shape[-1], name="fc2", **fields)(x)
        x = nn.Dropout(self.drop_rate)(x, deterministic=not train)
        return x.reshape(shape)


class SwiGlu(nn.Module):
    """An MLP whose hidden layer is gated by another one (Shazeer, 2020): silu(x W) * x V, then a dense layer.

    W and V are one kernel side by side, "fc1", gate first: timm's `SwiGLUPacked`, and DINOv2's "w12" and "w3".
    """

    hidden_dim: int
    drop_rate: float = 0.0
    dtype: Any = jnp.float32
    kernel_init: KernelInit = "xavier_uniform"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [..., D] to [..., D]."""
        shape = x.shape
        dense = partial(nn.Dense, dtype=self.dtype)
        x = x.reshape(-1, shape[-1])
        x = dense(2 * self.hidden_dim, kernel_init=fresh_kernel(self.kernel_init, 2), name="fc1")(x)
        gate, x = jnp.split(x, 2, axis=-1)
        x = nn.Dropout(self.drop_rate)(nn.silu(gate) * x, deterministic=not train)
        x = dense(shape[-1], kernel_init=fresh_kernel(self.kernel_init), name="fc2")(x)
        x = nn.Dropout(self.drop_rate)(x, deterministic=not train)
        return x.reshape(shape)


def fresh_kernel(kernel_init: KernelInit, parts: int = 1) -> Callable[..., jax.Array]:
    """What draws a dense layer's kernel, or `parts` kernels of one shape side by side."""
    if kernel_init == "normal":
        return SMALL
    return nn.initializers.xavier_uniform() if parts == 1 else stacked_xavier_uniform(parts)


def stacked_xavier_uniform(parts: int) -> Callable[..., jax.Array]:
    """Initialises `parts` kernels of one shape side by side, each Xavier-uniform on its own (q, k and v in one)."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        rows, columns = shape
        one = nn.initializers.xavier_uniform()
        kernels = [one(k, (rows, columns // parts), dtype) for k in jax.random.split(key, parts)]
        return jnp.concatenate(kernels, axis=1)

    return init
