"""The same training step on 1, 2, 4 and 8 devices: the same result, how long it takes, what is exchanged.

On a CPU the devices are simulated and share its cores: the ideal is the same time, 1.0 times that of one device, or
less by as much as cores waited for one another. On NVIDIA GPUs they are the first of those at hand, as many as there
are, and the ideal is 1 / devices. Each number of devices has a process of its own, in which one device takes turns with
all (`benchmarks.scaling.on_devices` says how).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from vit_jax.training.cpu_devices import PATIENCE

ROOT = Path(__file__).parents[2]
COUNTS = (1, 2, 4, 8)


def at_hand() -> tuple[str, int]:
    """The platform and the number of its devices, asked of another process: here JAX would take a GPU's memory."""
    program = "import jax; print(jax.default_backend(), jax.device_count())"
    output = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    platform, count = output.split()[-2:]
    return platform, int(count)


def environment(platform: str, count: int) -> dict[str, str]:
    """The environment variables that give a process so many devices.

    Raises:
        ValueError: if that is not known for this platform.
    """
    if platform == "cpu":
        flags = (os.environ.get("XLA_FLAGS", ""), f"--xla_force_host_platform_device_count={count}", PATIENCE)
        return {"XLA_FLAGS": " ".join(flags).strip()}
    if platform == "gpu":
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = given.split(",") if given else map(str, range(count))
        return {"CUDA_VISIBLE_DEVICES": ",".join(list(names)[:count])}
    raise ValueError(f"devices are counted out on CPUs and NVIDIA GPUs, not on {platform!r}; try --growth")


def measured(rounds: int) -> list[dict[str, Any]]:
    """Measures every way on every number of devices."""
    platform, available = at_hand()
    results = []
    for count in COUNTS:
        if platform == "cpu" or count <= available:
            command = [sys.executable, "-m", "benchmarks.scaling.on_devices", "--devices", str(count)]
            output = subprocess.run(
                [*command, "--rounds", str(rounds)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=os.environ | environment(platform, count),
            ).stdout
            results += json.loads(output.splitlines()[-1])
    return results
