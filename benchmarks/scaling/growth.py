"""How the cost of ViT and of Swin grows with the image and with the batch: counted, and measured.

ViT-Ti with patch 4 and Swin-T with patch 4 and windows of 8x8, at 32 px to 256 px (Swin to 512 px: below 256 px its
last stages are smaller than a window), and at 32 px with 1 to 64 images. Counted are the multiply-adds of the forward
pass and the bytes it keeps for the backward pass; measured are time and memory (of the results and of what it works in)
of the compiled forward pass (inference) and of the gradient of a loss. All sizes of a network take turns.

Attention among all tokens costs at most their number squared, attention within windows at most its windows' number, and
a batch at most its images' number: the targets for the exponents of all costs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import in_turn, spread
from benchmarks.scaling.exponents import UPPER, exponent, verdict
from benchmarks.scaling.parameters import random_parameters
from vit_jax.inspection.cost import activation_bytes, multiply_adds
from vit_jax.models.network import Network
from vit_jax.models.registry import create_model

SMALLEST = 32
BATCHES = (1, 4, 16, 64)
PASSES = ("forward", "gradient")
REST = 1.0
"""Seconds between programs: the largest has 6 GB, and the one after it took up to four times as long without."""
PATCH = 4


@dataclass(frozen=True)
class Family:
    """A network at several image sizes.

    Attributes:
        registered: its name in the registry.
        fields: that differ from the registry's.
        image_sizes: in pixels a side.
        size: what costs grow with: "tokens" or "pixels".
        target: the largest exponent that they may grow with.
    """

    registered: str
    fields: dict[str, Any]
    image_sizes: tuple[int, ...]
    size: str
    target: float


FAMILIES = {
    "ViT-Ti/4": Family("vit_tiny_patch4_32", {}, (32, 64, 128, 256), "tokens", 2.0),
    "Swin-T": Family("swin_tiny_patch4_window7_224", {"window_size": 8}, (32, 64, 128, 256, 512), "pixels", 1.0),
}


@dataclass(frozen=True)
class Point:
    """What one pass of a network costs at one image size and batch.

    Attributes:
        network: its name here.
        kind: of pass, "forward" or "gradient".
        image_size: in pixels a side.
        batch: images.
        multiply_adds: of the forward pass.
        kept_bytes: by the forward pass for the backward pass; 0 where there is none.
        program_bytes: of the compiled program's results and of what it works in.
        seconds: of every round.
    """

    network: str
    kind: str
    image_size: int
    batch: int
    multiply_adds: int
    kept_bytes: int
    program_bytes: int
    seconds: np.ndarray

    def size(self, unit: str) -> int:
        """Tokens (the class token is one), pixels or images."""
        pixels = self.image_size**2
        return {"tokens": pixels // PATCH**2 + 1, "pixels": pixels, "images": self.batch}[unit]


COSTS: dict[str, Callable[[Point], np.ndarray]] = {
    "multiply-adds": lambda point: np.array([point.multiply_adds]),
    "kept for the backward pass": lambda point: np.array([point.kept_bytes]),
    "program's memory": lambda point: np.array([point.program_bytes]),
    "time": lambda point: point.seconds,
}
"""Each cost of a point: [1], or in every round [rounds]."""


@dataclass(frozen=True)
class Program:
    """A compiled pass of one point, with what is counted for it."""

    run: Callable[[], Any]
    multiply_adds: int
    kept_bytes: int
    program_bytes: int


def programs(model: Network, batch: int) -> dict[str, Program]:
    """Both passes of a network for a batch of random images."""
    images = jnp.asarray(np.random.default_rng(0).standard_normal((batch, *model.input_shape), np.float32))
    params = jax.device_put(random_parameters(model))

    def forward(params: Any, images: jax.Array) -> Any:
        return model.apply({"params": params}, images)

    def loss(params: Any, images: jax.Array) -> jax.Array:
        logits: Any = model.apply({"params": params}, images, train=True, rngs={"dropout": jax.random.key(0)})
        return jnp.square(logits).mean()

    products = multiply_adds(forward, params, images)
    found = {}
    for kind, function in zip(PASSES, (forward, jax.grad(loss)), strict=True):
        compiled = jax.jit(function).lower(params, images).compile()
        memory: Any = compiled.memory_analysis()
        # XLA works where the results will be, too, until they are there: gradients, whose size does not grow.
        program_bytes = memory.temp_size_in_bytes + memory.output_size_in_bytes
        found[kind] = Program(
            run=lambda compiled=compiled: jax.block_until_ready(compiled(params, images)),
            multiply_adds=products,
            kept_bytes=0 if kind == "forward" else activation_bytes(model, params, images),
            program_bytes=program_bytes,
        )
    return found


def measured(rounds: int) -> list[Point]:
    """Measures every network, pass, image size and batch."""
    points = []
    for network, family in FAMILIES.items():
        cases = [(size, 1) for size in family.image_sizes] + [(SMALLEST, batch) for batch in BATCHES[1:]]
        compiled = {}
        for size, batch in cases:
            model = create_model(family.registered, image_size=size, num_classes=10, **family.fields)
            compiled[size, batch] = programs(model, batch)
        for kind in PASSES:
            runs = {f"{size} {batch}": compiled[size, batch][kind].run for size, batch in cases}
            seconds = in_turn(runs, rounds, rest=REST)
            for size, batch in cases:
                program = compiled[size, batch][kind]
                counted = (program.multiply_adds, program.kept_bytes, program.program_bytes)
                points.append(Point(network, kind, size, batch, *counted, seconds[f"{size} {batch}"]))
    return points


def sweeps(points: Sequence[Point]) -> list[tuple[str, float, list[Point]]]:
    """Points of one network and pass that differ in one thing only: what it is, the target exponent, the points."""
    found = []
    for network, family in FAMILIES.items():
        for kind in PASSES:
            mine = [point for point in points if (point.network, point.kind) == (network, kind)]
            found.append((family.size, family.target, [point for point in mine if point.batch == 1]))
            found.append(("images", 1.0, [point for point in mine if point.image_size == SMALLEST]))
    return found


def exponents(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The exponent of every cost in every sweep; that of time for every round."""
    results = []
    for unit, target, sweep in sweeps(points):
        sizes = [point.size(unit) for point in sweep]
        for cost, of in COSTS.items():
            by_round = np.stack([of(point) for point in sweep], axis=1)  # [rounds or 1, sizes]
            if not by_round.any():  # inference keeps nothing
                continue
            found = spread(np.array([exponent(sizes, costs) for costs in by_round]))
            results.append(
                {
                    "part": "exponents",
                    "network": sweep[0].network,
                    "pass": sweep[0].kind,
                    "cost": cost,
                    "against": unit,
                    "fitted_at": sizes[-UPPER:],
                    "exponent": found,
                    "target": target,
                    "verdict": verdict(found, target),
                }
            )
    return results


def report(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The points as they are kept."""
    return [
        {
            "part": "growth",
            "network": point.network,
            "pass": point.kind,
            "image_size": point.image_size,
            "batch": point.batch,
            "multiply_adds": point.multiply_adds,
            "activation_bytes": point.kept_bytes,
            "program_bytes": point.program_bytes,
            "seconds": spread(point.seconds),
        }
        for point in points
    ]
