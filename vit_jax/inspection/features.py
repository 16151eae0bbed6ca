"""What a network computes on the way: tokens, pooled features, maps of every layer, attention weights."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import jax
from flax import traverse_util

from vit_jax.models.network import Features, Network, check_array, check_network
from vit_jax.pretrained.adapt import HEADS
from vit_jax.pretrained.folder import check_parameters


def features(model: Network, params: Mapping[str, Any], images: jax.typing.ArrayLike) -> Features:
    """Computes the features of images, without dropout.

    Args:
        model: any network of this package.
        params: its parameters, the nested dict of `model.init(...)["params"]`.
        images: float32 [B, H, W, C], preprocessed as `vit_jax.preprocessing(model)` does.

    Returns:
        `Features`: `.tokens` [B, N, D], `.pooled` [B, D], `.stages` (maps [B, H, W, D], one a block or stage), in the
        network's dtype.

    Raises:
        ValueError: if these are no network and no array, the parameters (but for a head, which is not read) are not the
            network's, or the images are not floats of the model's size.
    """
    check_arguments(model, images)
    return compiled_features(model, params, images)


def check_arguments(model: Any, images: Any) -> None:
    """Raises ValueError if these are no network and no array, before JAX takes them for arguments."""
    check_network(model)
    check_array(images)


@partial(jax.jit, static_argnums=0)
def compiled_features(model: Network, params: Mapping[str, Any], images: jax.typing.ArrayLike) -> Features:
    """As `features`, of a network and an array."""
    check_parameters(model, params, HEADS)
    return cast(Features, model.apply({"params": params}, images, method="features"))


def attention_maps(model: Network, params: Mapping[str, Any], images: jax.typing.ArrayLike) -> list[jax.Array]:
    """Computes the attention weights of every layer, first layer first.

    Arguments and errors as for `features`.

    Returns:
        A list over layers of float32 [B, heads, N, N]: row i holds how much token i attends to each token (sum 1).
        Of networks with windows, [B, windows, heads, M, M] over the M tokens of each window, shifted where the layer
        shifts them.

    Raises:
        ValueError: also if the network has no attention.
    """
    check_arguments(model, images)
    sown = sown_attention(model, params, images)
    by_depth = sorted(sown, key=lambda path: [int(number) for number in re.findall(r"\d+", path)])
    if not by_depth:
        raise no_attention(model)
    return [sown[path] for path in by_depth]


def no_attention(model: Network) -> ValueError:
    """The error of a network that has no attention."""
    return ValueError(f"a {type(model).__name__} has no attention to show")


@partial(jax.jit, static_argnums=0)
def sown_attention(model: Network, params: Mapping[str, Any], images: jax.typing.ArrayLike) -> dict[str, jax.Array]:
    """The attention weights of every layer by the path of its module, e.g. "layers_1/blocks_0/attn/attention"."""
    check_parameters(model, params, HEADS)
    _, state = model.apply({"params": params}, images, method="features", mutable=["intermediates"])
    sown: dict[str, Any] = traverse_util.flatten_dict(cast(dict[str, Any], state).get("intermediates", {}), sep="/")
    return {path: values[0] for path, values in sown.items() if path.endswith("/attention")}
