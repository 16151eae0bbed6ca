"""An encoder that sees images of another size than its parameters are for, as self-distillation's small crops.

Other than resizing the parameters once, for good (`vit_jax.load_pretrained`), this is part of the forward pass: the
gradient goes through it, to the parameters at their own size.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from vit_jax.models.network import pair
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

Encoder = VisionTransformer | SwinTransformer


def at_size(encoder: Encoder, params: Mapping[str, Any], size: tuple[int, int]) -> tuple[Encoder, Mapping[str, Any]]:
    """An encoder for images of this height and width, and its parameters made of those of another size.

    Raises:
        ValueError: if the patches do not divide the size.
    """
    if size == pair(encoder.image_size):
        return encoder, params
    resized = encoder.clone(image_size=size)
    if isinstance(encoder, VisionTransformer):
        assert isinstance(resized, VisionTransformer)
        if "pos_embed" not in params:
            return resized, params
        return resized, {**params, "pos_embed": resized_positions(params["pos_embed"], encoder.grid, resized.grid)}
    assert isinstance(resized, SwinTransformer)
    return resized, cut_tables(params, resized)


def resized_positions(positions: jax.Array, old: tuple[int, int], new: tuple[int, int]) -> jax.Array:
    """Position embeddings [1, prefix + patches, D] from a grid of patches to another, those of the prefix as they are.

    Bicubic with the scale (new + 0.1) / old, as DINO does in each forward pass (`interpolate_pos_encoding`).
    """
    prefix = positions.shape[1] - old[0] * old[1]
    grid = positions[:, prefix:].reshape(*old, -1)
    scale = jnp.array([(n + 0.1) / o for n, o in zip(new, old, strict=True)])
    shape = (*new, grid.shape[-1])
    grid = jax.image.scale_and_translate(grid, shape, (0, 1), scale, jnp.zeros(2), "cubic-pytorch", antialias=False)
    return jnp.concatenate([positions[:, :prefix], grid.reshape(1, new[0] * new[1], -1)], axis=1)


def cut_tables(params: Mapping[str, Any], resized: SwinTransformer) -> Mapping[str, Any]:
    """A Swin's parameters with the tables of position biases for the windows that a smaller map leaves: their middle.

    A map smaller than a window is a window of its own size (`WindowRule`), in which offsets are smaller, but no others.
    """
    params = dict(params)
    for stage, grids in enumerate(resized.window_grids):
        layer = dict(params[f"layers_{stage}"])
        for i, grid in enumerate(grids):
            block = dict(layer[f"blocks_{i}"])
            table = block["attn"]["relative_position_bias"]["table"]
            bias = {"table": middle(table, grid.window[0])}
            layer[f"blocks_{i}"] = {**block, "attn": {**block["attn"], "relative_position_bias": bias}}
        params[f"layers_{stage}"] = layer
    return params


def middle(table: jax.Array, window: int) -> jax.Array:
    """Of a table of biases [(2 W - 1)^2, heads] the offsets within a smaller window: [(2 window - 1)^2, heads]."""
    side, wanted = round(len(table) ** 0.5), 2 * window - 1
    first = (side - wanted) // 2
    grid = table.reshape(side, side, -1)[first : first + wanted, first : first + wanted]
    return grid.reshape(wanted * wanted, -1)
