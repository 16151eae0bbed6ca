"""What parameters a network has, from shapes alone: nothing is computed or allocated."""

import math
from typing import Any, cast

import jax
import jax.numpy as jnp

from vit_jax.models.batch_norm import STATISTICS
from vit_jax.models.network import Network


def parameter_shapes(model: Network) -> dict[str, Any]:
    """The nested dict of a network's parameters, with `jax.ShapeDtypeStruct`s for arrays."""
    images = jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    return cast(dict[str, Any], variables["params"])


def parameter_count(model: Network) -> int:
    """Number of parameters that are learned: the running statistics of batch norm are none."""
    leaves = jax.tree_util.tree_leaves_with_path(parameter_shapes(model))
    return sum(math.prod(leaf.shape) for path, leaf in leaves if path[-1].key not in STATISTICS)
