"""One training step on this process's devices, spread over them in every way the project has.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m benchmarks.scaling.on_devices --devices 8 --rounds 5

prints one line of JSON; `benchmarks.scaling.devices` starts it for each number of devices. It trains two blocks of
ViT-Ti/4 on random images by the project's own step. What is compared in turn, on the same batch:

- one: all of the batch on the first device;
- jit, jit with fsdp, pmap: its parts on all devices;
- no exchange: its parts on all devices, none of which learns anything of the others: pmap's program without the means.

The cost of the collectives is what a step takes longer than one with no exchange, which has the same arithmetic: what
devices wait for one another is part of it. For fsdp it is a balance, as fsdp also shares out the optimizer's work, and
the compiler may divide the rest in another way. With one device it is the noise of the measurement; pmap's mean over
that one is an operation all the same, which moves nothing.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.measure import in_turn, spread
from benchmarks.scaling.collectives import exchange
from benchmarks.scaling.parameters import random_parameters
from vit_jax.models.network import Network
from vit_jax.models.registry import create_model
from vit_jax.objectives.classification import Classification
from vit_jax.training.optimizer import OptimizerConfig, make_optimizer
from vit_jax.training.parallel import OnePerDevice, OneProgram, Parallel, Replicas
from vit_jax.training.step import Step, start_state

BATCH = 64
COMPARED_STEPS = 3
TIMED_STEPS = 2
"""Steps that are timed as one."""
ONE, NO_EXCHANGE = "one", "no exchange"


class Training:
    """A run that keeps its own state, since every step reuses the memory of the state before.

    Args:
        model: that is trained.
        batch: images in a batch.
        parallel: the devices.
        replicas: what a device asks of the others.
    """

    def __init__(self, model: Network, batch: int, parallel: Parallel, replicas: Replicas):
        params, random = random_parameters(model), np.random.default_rng(1)
        # SGD, because Adam's first steps turn rounding differences of tiny gradients into whole steps.
        schedule = optax.constant_schedule(0.1)
        optimizer = make_optimizer(OptimizerConfig(name="sgd"), schedule, params, 1, norm=replicas.norm)
        self.step = Step(
            model=model,
            objective=Classification(),
            optimizer=optimizer,
            schedule=schedule,
            num_classes=model.num_classes,
            replicas=replicas,
        )
        images = COMPARED_STEPS * batch
        arrays = {
            "image": random.integers(0, 256, (images, *model.input_shape), np.uint8),
            "label": random.integers(0, model.num_classes, images).astype(np.int32),
        }
        index = random.permutation(images).astype(np.int32).reshape(COMPARED_STEPS, 1, batch)
        self.parallel = parallel
        self.state = parallel.place_state(start_state(jax.device_put(params), optimizer, ema=False))
        self.arrays = parallel.place_arrays(arrays)
        self.batches = [parallel.place_batch({"index": rows}, stacked=True) for rows in index]
        self.key = jax.random.key(0)
        self.program: Callable[..., Any] = parallel.compile_train(self.step)

    def advance(self, number: int = 0) -> float:
        """One step on a batch; its loss."""
        self.state, metrics = self.program(self.state, self.arrays, self.batches[number], self.key)
        return float(jax.block_until_ready((self.state, metrics))[1]["loss"][0])

    def advance_timed(self) -> None:
        """The steps that are timed as one."""
        for _ in range(TIMED_STEPS):
            self.advance()

    def text(self) -> str:
        """The compiled program of its step."""
        program: Any = self.program
        if isinstance(self.parallel, OnePerDevice):  # its own is out of reach inside `compile_train`
            program = jax.pmap(self.step, axis_name="devices", in_axes=(0, 0, 0, None), donate_argnums=0)
        return program.lower(self.state, self.arrays, self.batches[0], self.key).compile().as_text()

    def params(self) -> Any:
        """The parameters, on the host."""
        return jax.device_get(self.parallel.gather_state(self.state)).params


def trainings(model: Network, batch: int) -> dict[str, Training]:
    """A run of every way, all from the same parameters on the same batches."""
    devices, per_device = jax.devices(), OnePerDevice()
    parallel: dict[str, Parallel] = {ONE: OneProgram(devices[:1], fsdp=1), "jit": OneProgram(devices, fsdp=1)}
    if len(devices) > 1:
        parallel[f"jit, fsdp={len(devices)}"] = OneProgram(devices, fsdp=len(devices))
    parallel["pmap"] = per_device
    runs = {way: Training(model, batch, where, where.replicas) for way, where in parallel.items()}
    return runs | {NO_EXCHANGE: Training(model, batch, per_device, Replicas())}


def expected_bytes(parallel: Parallel, params: Any) -> int:
    """The least a device has to receive: the gradient; of parameters that are sharded, these and its share of it."""
    if parallel.devices == 1:
        return 0
    total = 0
    for leaf in jax.tree.leaves(params):
        sharded = isinstance(parallel, OneProgram) and not parallel.sharding(leaf).is_fully_replicated
        total += leaf.nbytes + leaf.nbytes // parallel.devices if sharded else leaf.nbytes
    return total


def largest_difference(one: Any, other: Any) -> float:
    """Between two trees of arrays, at any place."""
    return max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), one, other)))


def measured(model: Network, batch: int, rounds: int) -> list[dict[str, Any]]:
    """Every way on all devices of this process: equality with one device, time, and what is exchanged."""
    runs, before = trainings(model, batch), random_parameters(model)
    shared_cores = jax.default_backend() == "cpu"
    losses = {way: [run.advance(number) for number in range(COMPARED_STEPS)] for way, run in runs.items()}
    params = {way: run.params() for way, run in runs.items()}
    seconds = {
        way: times / TIMED_STEPS
        for way, times in in_turn({way: run.advance_timed for way, run in runs.items()}, rounds).items()
    }
    results = []
    for way, run in runs.items():
        result: dict[str, Any] = {
            "part": "devices",
            "devices": jax.device_count(),
            "way": way,
            "batch": batch,
            "seconds": spread(seconds[way]),
            "times_one": spread(seconds[way] / seconds[ONE]),
        }
        if way not in (ONE, NO_EXCHANGE):
            moved = exchange(run.text())
            result |= {
                "ideal_times_one": 1.0 if shared_cores else 1 / jax.device_count(),
                "loss_differs_by": largest_difference(losses[ONE], losses[way]),
                "parameters_differ_by": largest_difference(params[ONE], params[way]),
                "parameters_moved_by": largest_difference(before, params[way]),
                "collectives": moved.operations,
                "collective_bytes": moved.bytes,
                "expected_bytes": expected_bytes(run.parallel, before),
                "collective_seconds": spread(seconds[way] - seconds[NO_EXCHANGE]),
            }
        results.append(result)
    return results


def main() -> None:
    """Measures and prints the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, required=True, help="that this process must have")
    parser.add_argument("--rounds", type=int, required=True)
    args = parser.parse_args()
    if jax.device_count() != args.devices:
        raise ValueError(f"--devices {args.devices}, but this process has {jax.device_count()}: {jax.devices()}")
    print(json.dumps(measured(create_model("vit_tiny_patch4_32", depth=2), BATCH, args.rounds)))


if __name__ == "__main__":
    main()
