"""What a network computes on the way: tokens, pooled features, maps of every layer, attention weights."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import jax

from vit_jax.models.network import Features, Network


@partial(jax.jit, static_argnums=0)
def features(model: Network, params: Mapping[str, Any], images: jax.Array) -> Features:
    """Computes the features of images, without dropout.

    Args:
        model: any network of this package.
        params: its parameters, the nested dict of `model.init(...)["params"]`.
        images: float32 [B, H, W, C], preprocessed as `vit_jax.preprocessing(model)` does.

    Returns:
        `Features`: `.tokens` [B, N, D], `.pooled` [B, D], `.stages` (maps [B, H, W, D], one a layer or stage).
    """
    return cast(Features, model.apply({"params": params}, images, method="features"))


@partial(jax.jit, static_argnums=0)
def attention_maps(model: Network, params: Mapping[str, Any], images: jax.Array) -> list[jax.Array]:
    """Computes the attention weights of every layer, first layer first.

    Arguments as for `features`.

    Returns:
        A list over layers of float32 [B, heads, N, N]: row i holds how much token i attends to each token (sum 1).
    """
    _, state = model.apply({"params": params}, images, method="features", mutable=["intermediates"])
    blocks = state["intermediates"]
    by_depth = sorted((int(name.removeprefix("blocks_")), block) for name, block in blocks.items())
    return [cast(jax.Array, block["attn"]["attention"][0]) for _, block in by_depth]
