"""Inference and training of a Linen network, compiled ahead of time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.throughput.program import Program
from benchmarks.throughput.workload import Batch
from vit_jax.training.parallel import Replicas

LEARNING_RATE, WEIGHT_DECAY = 1e-6, 0.05
"""Of AdamW, here and in PyTorch: parameters that hardly move stay finite, and the work is the same."""


@dataclass(frozen=True)
class JaxImplementation:
    """A network in JAX.

    Attributes:
        name: of the implementation.
        apply: `apply(params, images, train)` gives the logits.
        params: on the host.
        steps: that are dispatched at once, in a `lax.scan`.
        dispatches: in a turn.
        spread: whether a batch is divided among all devices, if they divide it.
    """

    name: str
    apply: Callable[[Any, jax.Array, bool], jax.Array]
    params: Any
    steps: int
    dispatches: int
    spread: bool = False

    def inference(self, batch: Batch) -> Program:
        """The logits of a batch, `dispatches` times."""
        mesh = self.mesh(len(batch[0]))
        params = jax.device_put(self.params, NamedSharding(mesh, PartitionSpec()))
        images = jax.device_put(batch[0], NamedSharding(mesh, PartitionSpec("data")))
        compiled, seconds = self.compiled(lambda params, images: self.apply(params, images, False), params, images)

        def run() -> np.ndarray:
            for _ in range(self.dispatches - 1):
                compiled(params, images)
            return np.asarray(compiled(params, images))  # the device computes in order

        run()
        return Program(run, len(images) * self.dispatches, 1, seconds, planned_bytes(compiled, mesh.size))

    def training(self, batch: Batch, parts: int) -> Program:
        """`dispatches` times `steps` steps of training; the parameters go on from turn to turn."""
        optimizer = optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        mesh = self.mesh(len(batch[0]) // parts)
        replicas = Replicas("data" if mesh.size > 1 else None)

        def gradient(params: Any, batch: Any) -> Any:
            def loss(params: Any) -> jax.Array:
                logits = self.apply(params, batch[0], True)
                return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1]).mean()

            return jax.grad(loss)(params)

        def step(state: Any, batch: Any) -> Any:
            params, optimizer_state = state
            gradients = replicas.mean(mean_gradient(gradient, params, batch, parts))
            updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
            return (optax.apply_updates(params, updates), optimizer_state), None

        def dispatched(state: Any, batches: Any) -> Any:
            if self.steps == 1:  # as vit_jax.training.step.Step
                return step(state, jax.tree.map(lambda x: x[0], batches))[0]
            return jax.lax.scan(step, state, batches)[0]

        everywhere, divided = PartitionSpec(), PartitionSpec(None, "data")
        if mesh.size > 1:  # the program that pmap makes
            dispatched = jax.shard_map(
                dispatched, mesh=mesh, in_specs=(everywhere, divided), out_specs=everywhere, check_vma=False
            )
        repeated = jax.tree.map(lambda x: np.broadcast_to(x, (self.steps, *x.shape)), batch)
        batches = jax.device_put(repeated, NamedSharding(mesh, divided))
        params = jax.tree.map(jnp.array, self.params)  # copies: their memory is given away
        state = jax.device_put((params, optimizer.init(params)), NamedSharding(mesh, everywhere))
        compiled, seconds = self.compiled(dispatched, state, batches, donate=0)
        latest = [state]

        def run() -> None:
            for _ in range(self.dispatches):
                latest[0] = compiled(latest[0], batches)
            jax.block_until_ready(latest[0])

        run()
        images = len(batch[0]) * self.steps * self.dispatches
        return Program(run, images, self.steps, seconds, planned_bytes(compiled, mesh.size))

    def mesh(self, rows: int) -> Mesh:
        """The devices that work on so many rows at once: all, or one."""
        devices = jax.devices() if self.spread and rows % jax.device_count() == 0 else jax.devices()[:1]
        return Mesh(np.array(devices), ("data",))

    def compiled(self, function: Callable, *inputs: Any, donate: int | tuple[()] = ()) -> tuple[Any, float]:
        """A function compiled for these inputs, and the seconds that this took."""
        start = time.perf_counter()
        program = jax.jit(function, donate_argnums=donate).lower(*inputs).compile()
        return program, time.perf_counter() - start


def mean_gradient(gradient: Callable[[Any, Any], Any], params: Any, batch: Any, parts: int) -> Any:
    """The gradient of a batch, the mean over its parts, as `vit_jax.training.step.Step` computes it."""
    if parts == 1:
        return gradient(params, batch)

    def add(sums: Any, part: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, gradient(params, part)), None

    batches = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch)
    sums, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), batches)
    return jax.tree.map(lambda x: x / parts, sums)


def planned_bytes(compiled: Any, devices: int) -> int | None:
    """The memory that a compiled program takes: what it is given, what it returns and what it works in.

    XLA plans all of it beforehand, for each device alike. (Its own count cannot be reset between programs.)
    """
    memory = compiled.memory_analysis()
    if memory is None:
        return None
    parts = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return (parts - memory.alias_size_in_bytes) * devices
