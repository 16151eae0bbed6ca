"""A function of batches, compiled once for batches of one size and for all devices at hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Tree = Any


@dataclass(frozen=True)
class Compiled:
    """A function of (params, batch), compiled once for all devices at hand.

    Attributes:
        run: the program.
        params: on the devices.
        sharding: of a batch, its rows over the devices.
        batch_size: the rows that the program takes; a smaller batch is filled up with zeros.
    """

    run: Callable[[Tree, Tree], Tree]
    params: Tree
    sharding: NamedSharding
    batch_size: int

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the function gives for a batch of at most `batch_size` rows, on the host."""
        rows = len(next(iter(batch.values())))
        full = {name: filled(x, self.batch_size) for name, x in batch.items()}
        answers = jax.device_get(self.run(self.params, jax.device_put(full, self.sharding)))
        return {name: np.asarray(x)[:rows] for name, x in answers.items()}


def filled(rows: np.ndarray, count: int) -> np.ndarray:
    """[B, ...] with zeros below, to [count, ...]."""
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)])


def require_finite(outputs: np.ndarray) -> None:
    """Raises ValueError if what a network gave for M images, [M] or [M, D], is not finite: it would have no answer."""
    broken = ~np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim)))
    if broken.any():
        raise ValueError(
            f"the outputs for {broken.sum():,} of {len(outputs):,} images are not finite: the network's weights are "
            "damaged, or its training diverged. Take weights from before that, or train again more gently"
        )


def compile_for_rows(
    function: Callable[[Tree, Tree], dict[str, jax.Array]], params: Tree, batch_size: int, examples: int
) -> Compiled:
    """Spreads batches over all devices, each of which answers for its rows: nothing is exchanged between them.

    Args:
        function: of the parameters and a batch, a dict of arrays [B, ...]; gives such a dict.
        params: of the network.
        batch_size: as asked for. Made smaller where there are fewer examples, then a multiple of the devices.
        examples: how many there will be.

    Raises:
        ValueError: if the batch size is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, not {batch_size}")
    devices = jax.device_count()
    rows = -(-min(batch_size, examples) // devices) * devices
    mesh = Mesh(np.array(jax.devices()), ("data",))
    everywhere, by_rows = PartitionSpec(), PartitionSpec("data")
    # Not left to the compiler: it gathers whole batches for top_k.
    run = jax.shard_map(function, mesh=mesh, in_specs=(everywhere, by_rows), out_specs=by_rows, check_vma=False)
    params = jax.device_put(params, NamedSharding(mesh, everywhere))
    return Compiled(jax.jit(run), params, NamedSharding(mesh, by_rows), rows)
