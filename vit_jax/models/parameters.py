"""What parameters a network has, from shapes alone: nothing is computed or allocated."""

import math
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from vit_jax.models.batch_norm import STATISTICS
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.pretraining import PretrainingNetwork
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer


def parameter_shapes(model: Network) -> dict[str, Any]:
    """The nested dict of a network's parameters, with `jax.ShapeDtypeStruct`s for arrays."""
    images = jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)
    # The key is traced, too: making one compiles a program.
    variables = jax.eval_shape(lambda images: model.init(jax.random.key(0), images), images)
    return cast(dict[str, Any], variables["params"])


def shapes_by_path(model: Network) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's parameters by their paths, joined by "/".

    Only the first block of each stack is traced, since the others have the same: tracing all takes longer than reading
    their weights.
    """
    depths, stacks = stacks_of(model)
    traced: dict[str, Any] = flatten_dict(parameter_shapes(model.clone(**depths)), sep="/")
    shapes = {}
    for path, leaf in traced.items():
        stack = next((stack for stack in stacks if path.startswith(f"{stack}_0/")), None)
        for i in range(1 if stack is None else stacks[stack]):
            shapes[path if stack is None else path.replace(f"{stack}_0/", f"{stack}_{i}/", 1)] = leaf.shape
    return shapes


def stacks_of(model: Network) -> tuple[dict[str, Any], dict[str, int]]:
    """The fields that leave one block of each stack, and how many blocks there are by the stack's path."""
    if isinstance(model, VisionTransformer):
        return {"depth": 1}, {"blocks": model.depth}
    if isinstance(model, SwinTransformer):
        return {"depths": (1,) * len(model.depths)}, {f"layers_{i}/blocks": n for i, n in enumerate(model.depths)}
    if isinstance(model, MaskedAutoencoder):
        depths = {"encoder/blocks": model.depth, "decoder/blocks": model.decoder_depth}
        return {"depth": 1, "decoder_depth": 1}, depths
    if isinstance(model, PretrainingNetwork):
        return {"depth": 1}, {"encoder/blocks": model.depth}
    return {}, {}


def parameter_count(model: Network) -> int:
    """Number of parameters that are learned: the running statistics of batch norm are none."""
    leaves = jax.tree_util.tree_leaves_with_path(parameter_shapes(model))
    return sum(math.prod(leaf.shape) for path, leaf in leaves if path[-1].key not in STATISTICS)
