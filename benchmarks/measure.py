"""Timing in turn, and the files that results are kept in."""

import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vit_jax.data.workers import cores

RESULTS = Path(__file__).with_name("results")
COMPILERS = ("jax", "jaxlib", "libtpu", "jax-cuda13-pjrt", "nvidia-cudnn-cu13")
PACKAGES = (*COMPILERS, "flax", "numpy", "torch", "timm", "transformers")
"""Those whose versions are kept with what was measured."""


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


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse: what is done no time at all would be noticed only at the end."""
    number = int(text)
    if number < 1:
        raise ValueError(f"{number} is not positive")
    return number


def processor() -> str:
    """The name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return models[0].split(":")[1].strip() if models else platform.processor()


def device_name() -> str:
    """What results of the devices at hand are kept under, as "amd_epyc_2_cores" or "nvidia_h200": those of others stay.

    A processor has its cores in its name, accelerators their number where there are several.
    """
    device, count = jax.devices()[0], jax.device_count()
    if device.platform == "cpu":
        name = f"{re.sub(r'[(](R|TM)[)]', '', processor())} {cores()} cores"
    else:
        name = device.device_kind if count == 1 else f"{count} {device.device_kind}"
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def machine() -> dict[str, Any]:
    """What the figures depend on: device, cores, memory, versions."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processor": processor(),
        "cores": cores(),
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
    """Writes results of `benchmarks.NAME` with their origin to `benchmarks/results/NAME_DEVICE.json`."""
    return write(f"{name}_{device_name()}", {**origin(name), "results": list(results)})


def kept(name: str) -> list[dict[str, Any]]:
    """The results in `benchmarks/results/NAME.json`, if there are any."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else []


def merge(name: str, module: str, results: Sequence[Mapping[str, Any]], key: Sequence[str]) -> Path:
    """Puts results, each with its own origin, into `benchmarks/results/NAME.json`.

    They take the place of those there that have the same values of `key` (a field may be missing in both); the others
    stay.
    """
    entries = {tuple(entry.get(field) for field in key): entry for entry in kept(name)}
    entries |= {tuple(entry.get(field) for field in key): {**origin(module), **entry} for entry in results}
    return write(name, {"results": list(entries.values())})


def write(name: str, content: Mapping[str, Any]) -> Path:
    """Writes `benchmarks/results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
