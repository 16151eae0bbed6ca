"""Fresh parameters, by a program that takes no longer to compile for a deep network than for a shallow one."""

from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.core import Tracer

from vit_jax.models.network import Network, check_network
from vit_jax.models.parameters import of_block, stack_of, stacks_of


def init_params(model: Network, key: jax.Array) -> dict[str, Any]:
    """Freshly initialised parameters of a network, a nested dict of arrays.

    They are distributed as those of `model.init`, and changed by `model.after_init`, but are others for the same key:
    the blocks of a stack are alike, so that the first of each is compiled, and run again with another key for each of
    the others.

    Raises:
        ValueError: if it is no network.
    """
    check_network(model)
    depths, stacks = stacks_of(model)
    first_blocks = model.clone(**depths)

    # On a CPU, compiling takes longer than running what LLVM does not optimise. Another program has options of its own.
    keys = jax.random.split(key, max(stacks.values(), default=1))
    alone = not isinstance(keys, Tracer)
    options = {"xla_backend_optimization_level": 0} if alone and jax.default_backend() == "cpu" else {}

    @partial(jax.jit, static_argnums=1, compiler_options=options)
    def init(key: jax.Array, wanted: frozenset[str | None]) -> dict[str, jax.Array]:
        variables = first_blocks.init(key, jnp.zeros((1, *model.input_shape)))
        params = cast(dict[str, jax.Array], flatten_dict(variables["params"], sep="/"))
        return {path: x for path, x in params.items() if stack_of(path, stacks) in wanted}

    params = {}
    for i, block_key in enumerate(keys):
        deep = frozenset(stack for stack, depth in stacks.items() if depth > i)
        for path, x in init(block_key, deep | {None}).items():
            stack = stack_of(path, stacks)
            if stack is not None:
                params[of_block(path, stack, i)] = x
            elif i == 0:
                params[path] = x
    return model.after_init(unflatten_dict(params, sep="/"))
