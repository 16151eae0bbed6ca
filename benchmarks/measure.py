"""Timing in turn, and the files that results are kept in."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np

RESULTS = Path(__file__).with_name("results")


def in_turn(
    functions: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = 2, rest: float = 0
) -> dict[str, np.ndarray]:
    """Seconds [rounds] of each function, called one after the other in every round, after rounds of warm-up.

    A slow moment of the machine then falls on all alike, and the ratio of two is best taken round by round.

    Args:
        functions: by name.
        rounds: that are timed.
        warm_up: rounds before.
        rest: seconds after each call, not counted, for what it leaves to do to the next: giving gigabytes back to the
            system takes it tenths of a second.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(warm_up + rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
            time.sleep(rest)
    return {name: np.array(times[warm_up:]) for name, times in seconds.items()}


def spread(values: np.ndarray) -> dict[str, float]:
    """Median, lowest and highest, to four digits."""
    return {name: float(f"{f(values):.4g}") for name, f in dict(median=np.median, min=np.min, max=np.max).items()}


def machine() -> dict[str, Any]:
    """What the figures depend on: device, cores, memory, versions."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    versions = {"python": platform.python_version()}
    for package in ("jax", "jaxlib", "flax", "numpy", "torch", "timm", "transformers"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "device": jax.devices()[0].device_kind,
        "processor": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "versions": versions,
    }


def origin(module: str) -> dict[str, Any]:
    """Where results come from: the command that runs `benchmarks.MODULE` with these arguments, time and machine."""
    return {
        "command": f"python -m benchmarks.{' '.join([module, *sys.argv[1:]])}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }


def save(name: str, results: Sequence[Mapping[str, Any]]) -> Path:
    """Writes results with their origin to `benchmarks/results/NAME.json`."""
    return write(name, {**origin(name), "results": list(results)})


def merge(name: str, module: str, results: Sequence[Mapping[str, Any]], key: Sequence[str]) -> Path:
    """Puts results, each with its own origin, into `benchmarks/results/NAME.json`.

    They take the place of those there that have the same values of `key`; the others stay.
    """
    path = RESULTS / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else []
    entries = {tuple(entry[field] for field in key): entry for entry in before}
    entries |= {tuple(entry[field] for field in key): {**origin(module), **entry} for entry in results}
    return write(name, {"results": list(entries.values())})


def write(name: str, content: Mapping[str, Any]) -> Path:
    """Writes `benchmarks/results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
