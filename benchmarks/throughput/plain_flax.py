"""ViT and Swin as most people write them in Flax: activations [B, N, D], einsum attention, Flax's own layers.

Nothing here is tuned, and nothing is held back: heads stay the third axis, softmax and GELU are the library's. The
modules have this project's names, so that its parameters fit but for one name.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from benchmarks.throughput.jax_programs import JaxImplementation
from benchmarks.throughput.program import Program, trial
from benchmarks.throughput.workload import Batch, Setting, Workload
from vit_jax.models.layers import hidden_width
from vit_jax.models.network import Network, pair
from vit_jax.models.relative_position import relative_position_index
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.models.windows import WindowGrid


class Attention(nn.Module):
    """Multi-head self-attention on [B, N, D], with a bias [windows, heads, N, N] on the logits in Swin."""

    num_heads: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, bias: jax.Array | None = None) -> jax.Array:
        batch, tokens, width = x.shape
        qkv = nn.Dense(3 * width, dtype=self.dtype, name="qkv")(x)
        qkv = qkv.reshape(batch, tokens, 3, self.num_heads, width // self.num_heads)
        q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        logits = jnp.einsum("bqhd,bkhd->bhqk", q * q.shape[-1] ** -0.5, k)
        if bias is not None:
            logits = logits.reshape(-1, *bias.shape) + bias.astype(self.dtype)
            logits = logits.reshape(batch, self.num_heads, tokens, tokens)
        weights = nn.softmax(logits)
        x = jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(batch, tokens, width)
        return nn.Dense(width, dtype=self.dtype, name="proj")(x)


class Mlp(nn.Module):
    """Two dense layers with a GELU between them."""

    hidden_dim: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        x = nn.Dense(self.hidden_dim, dtype=self.dtype, name="fc1")(x)
        x = nn.gelu(x, approximate=False)
        return nn.Dense(width, dtype=self.dtype, name="fc2")(x)


class VitBlock(nn.Module):
    """One layer of the encoder."""

    num_heads: int
    mlp_ratio: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm = partial(nn.LayerNorm, epsilon=1e-6, dtype=self.dtype)
        x = x + Attention(self.num_heads, self.dtype, name="attn")(norm(name="norm1")(x))
        return x + Mlp(hidden_width(x.shape[-1], self.mlp_ratio), self.dtype, name="mlp")(norm(name="norm2")(x))


class PlainVit(nn.Module):
    """The Vision Transformer with a class token and learned positions."""

    patch_size: tuple[int, int]
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    num_classes: int
    dtype: Any

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = nn.Conv(self.embed_dim, self.patch_size, self.patch_size, dtype=self.dtype, name="patch_embed")(images)
        batch, rows, columns, width = x.shape
        x = x.reshape(batch, rows * columns, width)
        class_token = self.param("cls_token", nn.initializers.zeros, (1, 1, width)).astype(self.dtype)
        x = jnp.concatenate([jnp.tile(class_token, (batch, 1, 1)), x], axis=1)
        x = x + self.param("pos_embed", nn.initializers.normal(0.02), (1, *x.shape[1:])).astype(self.dtype)
        for i in range(self.depth):
            x = VitBlock(self.num_heads, self.mlp_ratio, self.dtype, name=f"blocks_{i}")(x)
        x = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")(x)
        return nn.Dense(self.num_classes, name="head")(x[:, 0].astype(jnp.float32))


class WindowAttention(nn.Module):
    """Attention within (shifted) windows of a map [B, H, W, C], with a table of position biases."""

    num_heads: int
    grid: WindowGrid
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        (rows, columns), shift = self.grid.window, self.grid.shift
        entries = (2 * rows - 1) * (2 * columns - 1)
        table = self.param("relative_position_bias_table", nn.initializers.normal(0.02), (entries, self.num_heads))
        bias = table[relative_position_index(self.grid.window)].transpose(2, 0, 1)[None]
        mask = self.grid.mask()
        if mask is not None:
            x = jnp.roll(x, (-shift[0], -shift[1]), (1, 2))
            bias = bias + mask[:, None]
        x = x.reshape(batch, height // rows, rows, width // columns, columns, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, rows * columns, channels)
        x = Attention(self.num_heads, self.dtype, name="attn")(x, bias)
        x = x.reshape(batch, height // rows, width // columns, rows, columns, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)
        return x if mask is None else jnp.roll(x, shift, (1, 2))


class SwinBlock(nn.Module):
    """Window attention, then MLP."""

    num_heads: int
    grid: WindowGrid
    mlp_ratio: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm = partial(nn.LayerNorm, epsilon=1e-5, dtype=self.dtype)
        x = x + WindowAttention(self.num_heads, self.grid, self.dtype, name="attn")(norm(name="norm1")(x))
        return x + Mlp(hidden_width(x.shape[-1], self.mlp_ratio), self.dtype, name="mlp")(norm(name="norm2")(x))


class PatchMerging(nn.Module):
    """Joins each 2x2 neighbours to one token of twice the width."""

    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        x = jnp.concatenate([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], axis=-1)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
        return nn.Dense(2 * channels, use_bias=False, dtype=self.dtype, name="reduction")(x)


class SwinStage(nn.Module):
    """Patch merging, but for the first stage, then blocks."""

    merges: bool
    num_heads: int
    grids: tuple[WindowGrid, ...]
    mlp_ratio: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.merges:
            x = PatchMerging(self.dtype, name="downsample")(x)
        for i, grid in enumerate(self.grids):
            x = SwinBlock(self.num_heads, grid, self.mlp_ratio, self.dtype, name=f"blocks_{i}")(x)
        return x


class PlainSwin(nn.Module):
    """The Swin Transformer on maps of whole windows."""

    patch_size: tuple[int, int]
    embed_dim: int
    num_heads: tuple[int, ...]
    grids: tuple[tuple[WindowGrid, ...], ...]
    mlp_ratio: float
    num_classes: int
    dtype: Any

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = nn.Conv(self.embed_dim, self.patch_size, self.patch_size, dtype=self.dtype, name="patch_embed")(images)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="patch_norm")(x)
        for i, (heads, grids) in enumerate(zip(self.num_heads, self.grids, strict=True)):
            x = SwinStage(i > 0, heads, grids, self.mlp_ratio, self.dtype, name=f"layers_{i}")(x)
        x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x)
        return nn.Dense(self.num_classes, name="head")(x.mean(axis=(1, 2)).astype(jnp.float32))


COMMON = ("num_classes", "image_size", "in_channels", "dtype", "preprocessing", "patch_size", "embed_dim", "num_heads")


def plain_network(model: Network) -> nn.Module:
    """The plain form of a network.

    Raises:
        ValueError: if it has something that the plain networks have not.
    """
    if isinstance(model, VisionTransformer):
        if model != VisionTransformer(**{name: getattr(model, name) for name in (*COMMON, "depth", "mlp_ratio")}):
            raise ValueError("the plain ViT has a class token, learned positions and nothing else")
        return PlainVit(
            pair(model.patch_size), model.embed_dim, model.depth, model.num_heads, model.mlp_ratio, model.num_classes,
            model.dtype,
        )  # fmt: skip
    if isinstance(model, SwinTransformer):
        named = (*COMMON, "depths", "window_size", "window_rule", "mlp_ratio")
        whole = all(grid.padded == (grid.height, grid.width) for grids in model.window_grids for grid in grids)
        if not whole or model != SwinTransformer(**{name: getattr(model, name) for name in named}):
            raise ValueError("the plain Swin is of version 1, on maps of whole windows")
        return PlainSwin(
            pair(model.patch_size), model.embed_dim, model.num_heads, model.window_grids, model.mlp_ratio,
            model.num_classes, model.dtype,
        )  # fmt: skip
    raise ValueError(f"there is no plain form of {type(model).__name__}, only of ViT and Swin")


def plain_params(params: Any) -> Any:
    """This project's parameters by the names they have here."""

    def renamed(path: str) -> str:
        if path.endswith("relative_position_bias/table"):
            return path.replace("relative_position_bias/table", "relative_position_bias_table")
        return path.replace("attn/", "attn/attn/") if path.startswith("layers_") else path

    flat: dict[str, Any] = flatten_dict(params, sep="/")
    return unflatten_dict({renamed(path): value for path, value in flat.items()}, sep="/")


@dataclass(frozen=True)
class PlainFlax:
    """The plain network: one step a dispatch, as most loops are written, or as many as this project's.

    Attributes:
        single: one step a dispatch.
        looped: several, in a `lax.scan`. (XLA on a CPU computes convolutions, as of the patches, slowly in a loop.)
    """

    single: JaxImplementation
    looped: JaxImplementation
    name: str = "plain_flax"

    def inference(self, batch: Batch) -> Program:
        """The logits of a batch."""
        return self.looped.inference(batch)

    def training(self, batch: Batch, parts: int) -> Program:
        """The form that is faster in a trial."""
        forms = [self.single] if self.looped.steps == 1 else [self.single, self.looped]
        programs = [form.training(batch, parts) for form in forms]
        return programs[0] if len(programs) == 1 else min(programs, key=trial)


def plain_flax(work: Workload, setting: Setting) -> PlainFlax:
    """The plain network with this project's parameters.

    Raises:
        ValueError: if there is no plain form of the network.
    """
    network = plain_network(work.model)

    def apply(params: Any, images: jax.Array, train: bool) -> Any:
        return network.apply({"params": params}, images)

    params = plain_params(work.params)
    looped = JaxImplementation("plain_flax", apply, params, setting.steps, setting.dispatches)
    return PlainFlax(replace(looped, steps=1, dispatches=setting.steps * setting.dispatches), looped)
