"""What a network costs: parameters, multiply-adds, and what training keeps in memory; nothing is computed for it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp

from vit_jax.models.network import Network, check_network
from vit_jax.models.parameters import parameter_count, parameter_shapes

Jaxpr = Any
"""The operations of a function, in order (`jax.make_jaxpr`)."""


@dataclass(frozen=True)
class Cost:
    """The cost of a network.

    Attributes:
        parameters: number of learned parameters, without the running statistics of batch norm.
        multiply_adds: of the matrix products and convolutions in one image's forward pass, attention's included: what
            papers print as "FLOPs" or GMACs. Element-wise work, norms and softmax are not counted. All tokens of all
            blocks are, though a ViT that reads its class token computes no other in its last block; `activation_bytes`
            has only what is computed.
        activation_bytes: that the forward pass of one training image leaves for its backward pass, in the network's
            dtype: what JAX's differentiation keeps, each array once, the image included. Not in it are the parameters
            and what is made of them alone (as their bfloat16 copies), the loss, gradients, optimizer state and
            scratch memory. It grows with the batch as these do not. A compiled program may keep less, since XLA may
            recompute what is cheap; with `remat` only the inputs of the blocks are kept.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


def cost(model: Network) -> Cost:
    """Counts the cost of any network of this package, from shapes alone: no memory is taken, no device used.

    Args:
        model: at the image size and dtype that it has. A masked autoencoder is counted with its decoder, masking as
            many patches as it does in training.

    Raises:
        ValueError: if it is no network.
    """
    check_network(model)
    params, image = parameter_shapes(model), jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)

    def forward(params: Any, image: jax.Array) -> Any:
        # Asked for its weights, attention is plain products: cuDNN's flash attention would have none to count.
        rngs = {"masking": jax.random.key(0)}
        return model.apply({"params": params}, image, rngs=rngs, mutable=["intermediates"])

    return Cost(parameter_count(model), multiply_adds(forward, params, image), activation_bytes(model, params, image))


def multiply_adds(function: Callable, *inputs: Any) -> int:
    """Multiply-adds of the matrix products and convolutions in a function.

    Args:
        function: of arrays.
        inputs: arrays, or `jax.ShapeDtypeStruct`s in their place.

    Raises:
        ValueError: if there are products in a loop whose length is not known beforehand.
    """
    return count(jax.make_jaxpr(function)(*inputs).jaxpr)


def count(jaxpr: Jaxpr) -> int:
    """Multiply-adds of some operations, those of the functions that they call included."""
    total = 0
    for equation in jaxpr.eqns:
        kind, params = equation.primitive.name, equation.params
        inside = [count(inner) for inner in inner_jaxprs(equation)]
        if kind == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
            total += math.prod(out) * math.prod(left[axis] for axis in contracted)
        elif kind == "conv_general_dilated":
            kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
            outputs = kernel[params["dimension_numbers"].rhs_spec[0]]  # the rest: inputs of a group, height, width
            total += math.prod(out) * math.prod(kernel) // outputs
        elif kind == "scan":
            total += params["length"] * sum(inside)
        elif kind == "cond":
            total += min(inside)  # `platform_dependent`: a CPU's sums are products with ones, which others have not
        elif kind == "while" and any(inside):
            raise ValueError("multiply-adds cannot be counted: there are products in a loop of unknown length")
        else:
            total += sum(inside)
    return total


def inner_jaxprs(equation: Any) -> Iterator[Jaxpr]:
    """The functions that an operation calls."""
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)  # closed or open
            if hasattr(inner, "eqns"):
                yield inner


def activation_bytes(model: Network, params: Any, image: Any) -> int:
    """Bytes that the forward pass of a training image leaves for the backward pass (see `Cost`)."""

    def kept(params: Any, image: jax.Array, key: jax.Array) -> list[jax.Array]:
        def forward(params: Any) -> Any:
            return model.apply({"params": params}, image, train=True, rngs={"dropout": key, "masking": key})

        return jax.tree.leaves(jax.vjp(forward, params)[1])

    jaxpr: Jaxpr = jax.make_jaxpr(kept)(params, image, jax.random.key(0)).jaxpr
    # Dropout's masks follow from the key: each image has its own.
    per_image = depend_on(jaxpr, jaxpr.invars[len(jax.tree.leaves(params)) :])
    outputs: set[Any] = {v for v in jaxpr.outvars if not isinstance(v, jax.extend.core.Literal)}  # each variable once
    return sum(v.aval.size * v.aval.dtype.itemsize for v in outputs & per_image)


def depend_on(jaxpr: Jaxpr, inputs: Sequence[Any]) -> set[Any]:
    """The variables of some operations that follow from these inputs, which are among them."""
    reached = set(inputs)
    for equation in jaxpr.eqns:
        given = [not isinstance(v, jax.extend.core.Literal) and v in reached for v in equation.invars]
        if equation.primitive.name == "jit":  # not all that a block gives follows from all that it takes
            inner: Jaxpr = equation.params["jaxpr"].jaxpr
            inside = depend_on(inner, list(compress(inner.invars, given)))
            outputs = zip(equation.outvars, inner.outvars, strict=True)
            reached.update(outer for outer, v in outputs if not isinstance(v, jax.extend.core.Literal) and v in inside)
        elif any(given):
            reached.update(equation.outvars)
    return reached
