"""What a network computes, read from its jaxpr."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax

from vit_jax.models.network import Network


def equations(function: Callable, *arguments: Any) -> list[Any]:
    """Every primitive operation of a function, those of its inner functions too; nothing is computed."""

    def walk(jaxpr: Any) -> Iterator[Any]:
        for equation in jaxpr.eqns:
            yield equation
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)  # closed or open
                if hasattr(inner, "eqns"):
                    yield from walk(inner)

    return list(walk(jax.make_jaxpr(function)(*arguments).jaxpr))


def drawn_masks(model: Network, params: Any, images: Any, train: bool) -> list[tuple[int, ...]]:
    """The shapes of the random masks that a call draws, in its order."""
    call = partial(model.apply, {"params": params}, train=train, rngs={"dropout": jax.random.key(0)})
    return [e.params["shape"] for e in equations(call, images) if e.primitive.name == "random_bits"]
