"""Attention weights as maps over the image: how much each place is attended to, in every layer or through all."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, overload

import jax
import jax.numpy as jnp

from vit_jax.inspection.features import attention_maps, no_attention
from vit_jax.models.network import Network, check_network
from vit_jax.models.pretraining import encoder_of
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.models.windows import WindowGrid


@overload
def attention_to_image(model: Network, attention: Sequence[jax.Array]) -> list[jax.Array]: ...


@overload
def attention_to_image(model: Network, attention: jax.Array) -> jax.Array: ...


def attention_to_image(model: Network, attention: Sequence[jax.Array] | jax.Array) -> list[jax.Array] | jax.Array:
    """How much each place of the image is attended to.

    This is the attention of what the answer is read from. For a Vision Transformer that is the class token; of a
    distilled one whose answer is the mean of two heads, the mean over the class and the distillation token; where the
    patches are pooled, whether or not there is a class token, the mean over all patches. So it is for a Swin
    Transformer; with windows, only patches of the same window attend to a place. A map sums to 1, less the attention to
    tokens that are no place of the image: class and register tokens, padding.

    Args:
        model: a Vision or Swin Transformer, or a network for pre-training: its encoder's.
        attention: what `attention_maps` gave for it, a list over layers; or what `attention_rollout` gave.

    Returns:
        Of a list, a list over layers of float32 [B, heads, rows, columns], with the rows and columns of the layer's
        own map. Of a rollout, float32 [B, rows, columns], with those of the first layer's.

    Raises:
        ValueError: if this is no network, or one without attention or with another number of layers or tokens.
    """
    check_network(model)
    model = encoder_of(model)
    if isinstance(model, VisionTransformer):
        check_tokens(model, attention)
        read = tokens_read(model)
        if isinstance(attention, Sequence):
            return [tokens_to_image(model, layer, read) for layer in attention]
        return tokens_to_image(model, attention, read)
    if isinstance(model, SwinTransformer):
        grids = [grid for stage in model.window_grids for grid in stage]
        check_windows(grids, attention)
        if isinstance(attention, Sequence):
            return [windows_to_image(grid, layer) for grid, layer in zip(grids, attention, strict=True)]
        return attention.mean(axis=1).reshape(-1, grids[0].height, grids[0].width)
    raise no_attention(model)


@partial(jax.jit, static_argnums=(0, 3))
def layer_attention(model: Network, params: Mapping[str, Any], images: jax.typing.ArrayLike, layer: int) -> jax.Array:
    """How much each place of images is attended to in one layer: `attention_to_image` of that layer's maps alone.

    One image at a time, and of the other layers nothing is kept: the maps of all of DINOv2-B's at 518 px are 1 GB an
    image.

    Args:
        model: a Vision or Swin Transformer, or a network for pre-training: its encoder's.
        params: its parameters.
        images: float32 [B, H, W, C], preprocessed.
        layer: its number from 0, or from the last one, -1, backwards.

    Returns:
        Float32 [B, heads, rows, columns].

    Raises:
        ValueError: if the network has no attention.
        IndexError: if it has no such layer.
    """

    def of_one(image: jax.Array) -> jax.Array:
        return attention_to_image(model, attention_maps(model, params, image[None]))[layer][0]

    return jax.lax.map(of_one, jnp.asarray(images))


def tokens_read(model: VisionTransformer) -> slice:
    """The tokens that the answer is read from; with pool="token_avg", which reads all, the class token."""
    if model.distilled:
        return {"mean": slice(0, 2), "class": slice(0, 1), "distillation": slice(1, 2)}[model.answer]
    return slice(0, 1) if model.pool in ("token", "token_avg") else slice(model.num_prefix_tokens, None)


def tokens_to_image(model: VisionTransformer, attention: jax.Array, read: slice) -> jax.Array:
    """Attention among all tokens, float32 [..., N, N], as maps [..., rows, columns]: the mean of those `read`."""
    attended = attention[..., read, model.num_prefix_tokens :].mean(axis=-2)
    return attended.reshape(*attended.shape[:-1], *model.grid)


def windows_to_image(grid: WindowGrid, attention: jax.Array) -> jax.Array:
    """Attention within windows, float32 [B, windows, heads, M, M], as maps [B, heads, rows, columns]."""
    heads, tokens = attention.shape[2:4]
    received = jnp.einsum("bwhqk,wq->bwkh", attention, inside(grid)) / (grid.height * grid.width)
    return grid.reverse(received.reshape(-1, tokens, heads)).transpose(0, 3, 1, 2)


def inside(grid: WindowGrid) -> jax.Array:
    """1 for the tokens of each window that are of the map, 0 for padding: float32 [windows, M]."""
    return grid.partition(jnp.ones((1, grid.height, grid.width, 1)))[..., 0]


def attention_extent(model: Network, layer: int) -> tuple[float, float]:
    """How much a layer's map covers, in units of what the network sees of an image: `overlay` needs it.

    Args:
        model: a network with attention.
        layer: its number from 0, or from the last one, -1, backwards. A rollout covers what layer 0 does.

    Returns:
        Height and width: 1, but more where a Swin Transformer padded an odd map to merge its patches two by two.

    Raises:
        ValueError: if this is no network, or one without attention or without such a layer.
    """
    check_network(model)
    model = encoder_of(model)
    if isinstance(model, VisionTransformer):
        extents = [(1.0, 1.0)] * model.depth
    elif isinstance(model, SwinTransformer):
        first = model.window_grids[0][0]
        extents = [
            (grid.height * 2**stage / first.height, grid.width * 2**stage / first.width)
            for stage, grids in enumerate(model.window_grids)
            for grid in grids
        ]
    else:
        raise no_attention(model)
    if layer not in range(-len(extents), len(extents)):
        raise ValueError(f"there is no layer {layer}: layers are 0 to {len(extents) - 1}")
    return extents[layer]


def check_tokens(model: VisionTransformer, attention: Sequence[jax.Array] | jax.Array) -> None:
    """Raises ValueError if attention is not that of a Vision Transformer's layers, or the rollout of them."""
    tokens = model.num_prefix_tokens + model.grid[0] * model.grid[1]
    if isinstance(attention, Sequence):
        expected = f"{model.depth} layers of [batch, {model.num_heads}, {tokens}, {tokens}]"
        fits = [layer.shape[1:] for layer in attention] == [(model.num_heads, tokens, tokens)] * model.depth
    else:
        expected = f"a rollout [batch, {tokens}, {tokens}]"
        fits = attention.shape[1:] == (tokens, tokens)
    refuse(attention, expected, fits)


def check_windows(grids: Sequence[WindowGrid], attention: Sequence[jax.Array] | jax.Array) -> None:
    """Raises ValueError if attention is not that of a Swin Transformer's blocks, or the rollout of them."""
    if isinstance(attention, Sequence):
        shapes = [(grid.num_windows, grid.window[0] * grid.window[1]) for grid in grids]
        expected = f"{len(grids)} layers of [batch, windows, heads, M, M] with (windows, M) = {shapes}"
        fits = [(layer.shape[1], *layer.shape[3:]) for layer in attention] == [(w, m, m) for w, m in shapes]
    else:
        last, first = (grid.height * grid.width for grid in (grids[-1], grids[0]))
        expected = f"a rollout [batch, {last}, {first}]"
        fits = attention.shape[1:] == (last, first)
    refuse(attention, expected, fits)


def refuse(attention: Sequence[jax.Array] | jax.Array, expected: str, fits: bool) -> None:
    """Raises ValueError unless attention fits."""
    if not fits:
        got = [layer.shape for layer in attention] if isinstance(attention, Sequence) else attention.shape
        raise ValueError(
            f"this is not the model's attention: expected {expected}, got {got}. Give all layers, as attention_maps "
            "does, or what attention_rollout gives"
        )
