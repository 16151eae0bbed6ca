"""Attention rollout (Abnar & Zuidema, 2020): how much of each place of the image reaches each token at the end.

A layer is taken as the mixing of tokens by (A + I) / 2, where A is its attention averaged over the heads and I stands
for the residual connection; the layers' product is the mixing by all of them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from vit_jax.inspection.attention_image import inside
from vit_jax.inspection.features import attention_maps, check_arguments
from vit_jax.models.network import Network
from vit_jax.models.pretraining import encoder_of
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.windows import WindowGrid


def attention_rollout(model: Network, params: Mapping[str, Any], images: jax.typing.ArrayLike) -> jax.Array:
    """Computes the rollout of attention through all layers.

    Args:
        model: a Vision or Swin Transformer.
        params: its parameters.
        images: float32 [B, H, W, C], preprocessed.

    Returns:
        Float32 [B, N, N]: entry [i, j] is the share of input token j in output token i; each row sums to 1. Class and
        other extra tokens come first. Of a Swin Transformer [B, N, P]: the N tokens of the last stage by the P of the
        first, both row by row; patch merging counts as the mean of the tokens that it joins. Padding holds nothing of
        the image: what attends to it is left out, and the rest of the row scaled to sum to 1.

        Windows are never spread out to [P, P], so that an image of a Swin-T at 224 px needs megabytes: 4 N P bytes and
        the weights themselves.

    Raises:
        ValueError: as `attention_maps`.
    """
    check_arguments(model, images)
    return compiled_rollout(model, params, images)


@partial(jax.jit, static_argnums=0)
def compiled_rollout(model: Network, params: Mapping[str, Any], images: jax.typing.ArrayLike) -> jax.Array:
    """As `attention_rollout`, of a network and an array."""
    layers, network = attention_maps(model, params, images), encoder_of(model)
    if isinstance(network, SwinTransformer):
        return windowed_rollout(network.window_grids, layers)
    rollout = mixing(layers[0].mean(axis=1))
    for layer in layers[1:]:
        rollout = jnp.matmul(mixing(layer.mean(axis=1)), rollout, precision="highest")
    return rollout


def mixing(attention: jax.Array) -> jax.Array:
    """Attention [..., M, M] with the residual connection: (A + I) with rows that sum to 1."""
    both = attention + jnp.eye(attention.shape[-1])
    return both / both.sum(axis=-1, keepdims=True)


def windowed_rollout(stages: Sequence[Sequence[WindowGrid]], layers: Sequence[jax.Array]) -> jax.Array:
    """The rollout through windows and patch merging: float32 [B, N, P].

    Goes from the last layer to the first, because the last map has the fewest tokens.

    Args:
        stages: the windows of every block, by stages.
        layers: attention of every block, float32 [B, windows, heads, M, M].
    """
    last = stages[-1][-1]
    count = last.height * last.width
    # How much of each place the last map's tokens are made of, as a map with a channel for each of those tokens.
    rollout = jnp.broadcast_to(
        jnp.eye(count).reshape(last.height, last.width, count), (len(layers[0]), last.height, last.width, count)
    )
    remaining = list(layers)
    for stage in reversed(range(len(stages))):
        for grid in reversed(stages[stage]):
            rollout = before_windows(rollout, remaining.pop(), grid)
        if stage:
            rollout = before_merging(rollout, stages[stage - 1][-1])
    return rollout.reshape(len(rollout), -1, count).swapaxes(1, 2)


def before_windows(rollout: jax.Array, attention: jax.Array, grid: WindowGrid) -> jax.Array:
    """What tokens are made of, [B, H, W, N], in terms of the tokens before a block's window attention."""
    batch, windows, _, tokens, _ = attention.shape
    mixed = mixing(attention.mean(axis=2) * inside(grid)[:, None, :])  # [B, windows, M, M]
    after = grid.partition(rollout).reshape(batch, windows, tokens, -1)  # 0 in padding: nothing comes through it
    before = jnp.einsum("bwqk,bwqn->bwkn", mixed, after, precision="highest")
    return grid.reverse(before.reshape(batch * windows, tokens, -1))


def before_merging(rollout: jax.Array, grid: WindowGrid) -> jax.Array:
    """What tokens are made of, [B, ceil(H / 2), ceil(W / 2), N], in terms of the tokens [H, W] before patch merging."""

    def unmerge(x: jax.Array) -> jax.Array:
        return x.repeat(2, axis=1).repeat(2, axis=2)[:, : grid.height, : grid.width]

    rows, columns = (jnp.full(-(-side // 2), 2.0).at[-1].add(-(side % 2)) for side in (grid.height, grid.width))
    return unmerge(rollout / (rows[:, None] * columns)[..., None])
