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


def in_turn(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds [rounds] of each function, called one after the other in every round, after two rounds of warm-up.

    A slow moment of the machine then falls on all alike, and the ratio of two is best taken round by round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(2 + rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(times[2:]) for name, times in seconds.items()}


def spread(values: np.ndarray) -> dict[str, float]:
    """Median, lowest and highest, to four digits."""
    return {name: float(f"{f(values):.4g}") for name, f in dict(median=np.median, min=np.min, max=np.max).items()}


def machine() -> dict[str, Any]:
    """What the figures depend on: device, cores, memory, versions."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    versions = {"python": platform.python_version()}
    for package in ("jax", "jaxlib", "flax", "numpy", "torch", "timm"):
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


def save(name: str, results: Sequence[Mapping[str, Any]]) -> Path:
    """Writes results with machine, command and time to `benchmarks/results/NAME.json`."""
    content = {
        "command": f"python -m benchmarks.{' '.join([name, *sys.argv[1:]])}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "results": list(results),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
