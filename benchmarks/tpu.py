"""Compiles the training step of configs for a TPU, without one: does it compile, and does it fit?

    pip install "jax[tpu]"                                                # libtpu has the compiler
    python -m benchmarks.tpu                                              # the full recipes, on a v5e of 4 chips
    python -m benchmarks.tpu --configs configs/vit_small_cifar10.py --topology v4:2x2x1

Nothing is run: XLA compiles the step for the chips of a topology, as it would there, and says how much memory each chip
needs. Images of CIFAR-10 are taken to lie on every chip, as the resident feed puts them.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jax.experimental import topologies

from benchmarks.measure import merge
from benchmarks.training_program import training_program
from vit_jax.training.command_line import load_config
from vit_jax.training.config import Config

CONFIGS = ("vit_cifar10", "swin_cifar10", "deit3_cifar10", "mae_cifar10", "dino_cifar10")
MEBIBYTE = 2**20


def compiled_for(config: Config, devices: Sequence[Any]) -> dict[str, Any]:
    """Compiles a config's training step for devices.

    Returns:
        Seconds of tracing and compiling, and in bytes what each device has to hold, the memory that it works in and the
        program's own size.
    """
    program, inputs = training_program(config, devices)
    began = time.perf_counter()
    memory = program.lower(*inputs).compile().memory_analysis()
    return {
        "seconds": time.perf_counter() - began,
        "held": memory.argument_size_in_bytes,
        "scratch": memory.temp_size_in_bytes,
        "code": memory.generated_code_size_in_bytes,
    }


def main() -> None:
    """Compiles, prints and saves, one config after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topology", default="v5e:2x2", help="kind and arrangement of the chips")
    parser.add_argument("--configs", nargs="+", default=[f"configs/{name}.py" for name in CONFIGS])
    args = parser.parse_args()
    devices = topologies.get_topology_desc(args.topology, platform="tpu").devices
    for path in args.configs:
        config = load_config(Path(path))
        found = compiled_for(config, devices)
        entry = {
            "measured": "compilation",
            "config": Path(path).stem,
            "topology": args.topology,
            "chip": devices[0].device_kind,
            "chips": len(devices),
            "batch": config.batch_size,
            "steps_per_dispatch": config.steps_per_dispatch,
            "dtype": config.dtype,
            **found,
        }
        merge("tpu", "tpu", [entry], key=("config", "topology"))
        print(
            f"{entry['config']} on {len(devices)} x {entry['chip']}: batch {config.batch_size}, {config.dtype}; "
            f"compiled in {found['seconds']:.0f} s; a chip holds {found['held'] / MEBIBYTE:,.0f} MiB and works in "
            f"{found['scratch'] / MEBIBYTE:,.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
