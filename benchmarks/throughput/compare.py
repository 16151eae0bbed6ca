"""One network, all implementations: equal first, then timed in turn."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import vit_jax
from benchmarks.measure import in_turn, spread
from benchmarks.throughput.ours import ours
from benchmarks.throughput.peak import MatmulPeak, matmul_peak
from benchmarks.throughput.plain_flax import plain_flax
from benchmarks.throughput.processes import in_own_process
from benchmarks.throughput.program import Implementation, Program, is_out_of_memory, trial
from benchmarks.throughput.workload import Setting, Workload
from vit_jax.inspection.cost import multiply_adds
from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.vit import VisionTransformer

PEERS = {
    "plain_flax": ("plain_flax",),
    "timm": ("timm", "timm_compiled", "timm_autotuned"),
    "transformers": ("transformers",),
}
"""Whom we are compared with, and the implementations of each: of those that ran, the fastest counts."""

ONE_DEVICE = "one_device"
"""This project without a device for each core of a CPU."""

Kind = Literal["training", "inference"]
KINDS: tuple[Kind, ...] = ("inference", "training")
FORWARD_PASSES = {"training": 3, "inference": 1}
"""That the products amount to: a backward pass has twice those of a forward pass."""

CHECKED = 4
"""Images whose logits are compared."""


@dataclass(frozen=True)
class Chosen:
    """The best of an implementation's batches, and of the parts that a training step may differentiate them in.

    Attributes:
        batch: its size; None if none could be computed.
        parts: of it.
        program: of that size.
        tried: images per second of each in its first trial, if there are several; or why it failed.
    """

    batch: int | None
    parts: int
    program: Program | None
    tried: dict[str, Any]


def make(name: str, work: Workload, setting: Setting) -> Implementation:
    """An implementation; PyTorch is imported only if one of its networks is asked for."""
    if name == "ours":
        return ours(work, setting)
    if name == ONE_DEVICE:
        return replace(ours(work, setting), name=name, spread=False)
    if name == "plain_flax":
        return plain_flax(work, setting)
    from benchmarks.throughput.torch_peers import torch_peer

    return torch_peer(name, work, setting)


@contextmanager
def implementations(
    work: Workload, setting: Setting, names: Sequence[str]
) -> Iterator[tuple[dict[str, Implementation], dict[str, str]]]:
    """Ours and those of these names, where the setting wants them; and why some could not be made."""
    made: dict[str, Implementation] = {}
    failed = {}
    with ExitStack() as processes:
        for name in (*names, "ours"):  # ours last: where memory is scarce, the others have chosen their batches before
            try:
                if setting.own_processes:
                    made[name] = processes.enter_context(in_own_process(make, name, work, setting))
                else:
                    made[name] = make(name, work, setting)
            except ValueError as error:  # a library without such a network
                if name == "ours":
                    raise
                failed[name] = reason(error)
                print(f"{work.name}: {name} is left out: {failed[name]}")
        yield made, failed


def choose(
    implementation: Implementation, kind: Kind, work: Workload, batches: Sequence[int], parts: Sequence[int], turns: int
) -> Chosen:
    """Tries each batch, in training in each number of parts that divides it, and keeps the fastest.

    Each form takes turns with the fastest one before it, rather than all with all: no more than two are in memory.

    Raises:
        RuntimeError: if our own program fails, other than for want of memory. What fails of others is recorded.
    """
    best: tuple[int, int, Program] | None = None
    tried: dict[str, Any] = {}
    numbers = parts if kind == "training" else (1,)
    forms = [(size, number) for size in batches for number in numbers if size % number == 0]
    for size, number in forms:
        form, program, rivals = in_parts(size, number), None, ()  # the last loser goes first
        try:
            batch = work.batch(size)
            program = implementation.training(batch, number) if kind == "training" else implementation.inference(batch)
            rivals = [(size, number, program)] if best is None else [best, (size, number, program)]
            speeds = contest(rivals, turns) if len(forms) > 1 else [np.inf]
        except RuntimeError as error:
            if implementation.name == "ours" and not is_out_of_memory(error):
                raise
            tried[form] = {"failed": reason(error)}
            print(f"{work.name}, {kind}, {implementation.name}, batch {form} failed: {reason(error)}")
            continue
        if len(forms) > 1:
            tried[form] = {"images_per_second": float(f"{speeds[-1]:.4g}")}
        best = rivals[int(np.argmax(speeds))]
    size, number, program = best or (None, 1, None)
    return Chosen(size, number, program, tried)


def contest(rivals: Sequence[tuple[int, int, Program]], turns: int) -> list[float]:
    """Images per second of each form, the median of so many turns that they take one after the other."""
    seconds = np.array([[trial(program) for _, _, program in rivals] for _ in range(turns)])
    return [program.images / float(taken) for (_, _, program), taken in zip(rivals, np.median(seconds, 0), strict=True)]


def in_parts(batch: int, parts: int) -> str:
    """A batch and the parts that it is differentiated in, e.g. "64 in 4"."""
    return str(batch) if parts == 1 else f"{batch} in {parts}"


def reason(error: Exception) -> str:
    """An error in a few lines: those that say most are first or last."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ... ".join(line.strip()[:300] for line in (lines if len(lines) < 4 else [*lines[:2], lines[-1]]))


def check_equal(work: Workload, programs: Mapping[str, Program]) -> dict[str, float]:
    """How far each inference's logits are from ours in float32, as a share of their standard deviation at most.

    In float32 the largest difference counts, which may be 1e-4. In bfloat16 the root of the mean square counts: every
    rounding errs by up to u = 2^-8. A block of the network rounds its stream at about ten places (two norms, four dense
    layers, similarity, weighted sum, two sums), errors that are independent add up like a random walk, and the stream
    does not grow much: u sqrt(10 blocks) in all, 0.04 for 12 blocks. (On a CPU, ViT and Swin are off by 0.003 to 0.011,
    here and in PyTorch.) Another network is off by about 1; less is excluded in float32.

    Raises:
        ValueError: if one is farther away.
    """
    images, _ = work.batch(CHECKED)
    model = work.model.clone(dtype=jnp.float32)
    with jax.default_matmul_precision("highest"):
        reference = np.asarray(jax.jit(model.apply)({"params": work.params}, images))
    differences = {}
    for name, program in programs.items():
        logits = program.run()[:CHECKED]
        difference = logits - reference[: len(logits)]
        if work.model.dtype == jnp.float32:
            size, allowed = np.abs(difference).max(), 1e-4 * max(1.0, reference.std())
        else:
            size = np.sqrt(np.square(difference).mean()) / reference.std()
            allowed = 2**-8 * np.sqrt(10 * blocks(work))
        differences[name] = float(f"{size:.3g}")
        if not size <= allowed:  # nor if it is not a number
            raise ValueError(
                f"{work.name}: logits of {name} differ by {size:.2g} from ours in float32, where {allowed:.2g} is "
                "allowed; it is not the same network"
            )
    return differences


def blocks(work: Workload) -> int:
    """How many blocks a ViT or Swin has."""
    model: Any = work.model
    return model.depth if hasattr(model, "depth") else sum(model.depths)


def compared(
    work: Workload, setting: Setting, names: Sequence[str], batches: Sequence[int], parts: Sequence[int], rounds: int
) -> dict[str, Any]:
    """Measures a network: ours and the implementations of these names.

    Raises:
        ValueError: if they do not compute the same.
    """
    start = time.perf_counter()
    peak = matmul_peak(setting)
    entry: dict[str, Any] = {
        "measured": "throughput",
        "model": work.name,
        "device": setting.device,
        "dtype": setting.dtype,
        "own_processes": setting.own_processes,
        "rounds": rounds,
        "multiply_adds": vit_jax.cost(work.model).multiply_adds,
        "multiply_adds_of_ours": computed_multiply_adds(work.model),
    }
    with implementations(work, setting, names) as (made, entry["failed"]):
        for kind in KINDS:  # inference first: its logits are compared
            chosen = {
                name: choose(implementation, kind, work, batches, parts, setting.turns)
                for name, implementation in made.items()
            }
            programs = {name: choice.program for name, choice in chosen.items() if choice.program is not None}
            if "ours" not in programs:
                raise ValueError(f"{work.name}: no batch of {', '.join(map(str, batches))} has room; try smaller ones")
            if kind == "inference":
                entry["differences"] = check_equal(work, programs)
            own = ("ours", ONE_DEVICE)
            products = {name: entry["multiply_adds_of_ours" if name in own else "multiply_adds"] for name in programs}
            entry[kind] = timed(kind, products, chosen, programs, peak, rounds, setting.rest)
            del chosen, programs  # makes room for the next
    entry["seconds"] = round(time.perf_counter() - start, 1)
    return entry


def timed(
    kind: Kind,
    products: Mapping[str, int],
    chosen: Mapping[str, Chosen],
    programs: Mapping[str, Program],
    peak: MatmulPeak,
    rounds: int,
    rest: float,
) -> dict[str, Any]:
    """All programs and the peak, in turn, with so many seconds of rest after each; `products` are the multiply-adds
    of an image's forward pass in each."""
    functions = {name: program.run for name, program in programs.items()}
    seconds = in_turn(functions | {"peak": peak.run}, rounds, warm_up=0, rest=rest)
    flops = peak.flops / seconds.pop("peak")
    speeds = {name: programs[name].images / seconds[name] for name in programs}
    rows: dict[str, Any] = {}
    for name, choice in chosen.items():
        rows[name] = {"batch": choice.batch, "parts": choice.parts, "tried": choice.tried}
        if choice.program is not None:
            rows[name] |= {
                "images_per_second": spread(speeds[name]),
                "share_of_peak": share_of_peak(kind, products[name], speeds[name], flops),
                "steps_per_dispatch": choice.program.steps_per_dispatch,
                "compile_seconds": choice.program.compile_seconds and round(choice.program.compile_seconds, 1),
                "peak_bytes": choice.program.peak_bytes,
            }
    found = {"matmul_flops_per_second": spread(flops), "implementations": rows, "ratios": ratios(speeds)}
    if ONE_DEVICE in speeds:
        found["times_one_device"] = spread(speeds["ours"] / speeds[ONE_DEVICE])
    return found


def computed_multiply_adds(model: Network) -> int:
    """What this project computes of one image forward: fewer than `vit_jax.cost` counts where the head of a ViT reads
    the class token alone."""
    if isinstance(model, VisionTransformer):
        model = model.clone(attention="matmul")  # in cuDNN's attention there would be no products to count
    image = jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)
    return multiply_adds(lambda params, image: model.apply({"params": params}, image), parameter_shapes(model), image)


def share_of_peak(kind: Kind, multiply_adds: int, speed: np.ndarray, flops: np.ndarray) -> float:
    """Products that were computed, as a share of what the device did at most in square matrices (flops [rounds]).

    Args:
        kind: training counts three forward passes.
        multiply_adds: of an image's forward pass.
        speed: images per second [rounds], of which the median counts.
        flops: floating-point operations per second.
    """
    return float(f"{2 * multiply_adds * FORWARD_PASSES[kind] * np.median(speed) / flops.max():.3g}")


def ratios(speeds: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Our speed over each peer's, round by round; of a peer's implementations the one with the highest median counts.

    Args:
        speeds: images per second [rounds] of the implementations that ran, ours among them.
    """
    compared_with = {}
    for peer, forms in PEERS.items():
        ran = [form for form in forms if form in speeds]
        if ran:
            fastest = max(ran, key=lambda form: float(np.median(speeds[form])))
            compared_with[peer] = {"form": fastest, **spread(speeds["ours"] / speeds[fastest])}
    return compared_with
