"""What parameters a network has, from shapes alone: nothing is computed or allocated."""

import math
from collections.abc import Iterable
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.pretraining import PretrainingNetwork
from vit_jax.models.statistics import STATISTICS
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
        stack = stack_of(path, stacks)
        if stack is None:
            shapes[path] = leaf.shape
        else:
            shapes |= {of_block(path, stack, i): leaf.shape for i in range(stacks[stack])}
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
        fields, stacks = stacks_of(model.make_encoder())
        return fields, {f"encoder/{stack}": depth for stack, depth in stacks.items()}
    return {}, {}


def stack_of(path: str, stacks: Iterable[str]) -> str | None:
    """The stack whose first block a parameter belongs to; None if it belongs to none."""
    return next((stack for stack in stacks if path.startswith(f"{stack}_0/")), None)


def of_block(path: str, stack: str, number: int) -> str:
    """The path of the same parameter in another block, from that in the first of its stack."""
    return path.replace(f"{stack}_0/", f"{stack}_{number}/", 1)


def parameter_count(model: Network) -> int:
    """Number of parameters that are learned: the running statistics of batch norm are none."""
    shapes = shapes_by_path(model).items()
    return sum(math.prod(shape) for path, shape in shapes if path.split("/")[-1] not in STATISTICS)
