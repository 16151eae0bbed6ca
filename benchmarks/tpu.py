"""Compiles the training step of configs for a TPU, without one: does it compile, and does it fit?

    pip install "jax[tpu]"                                                # libtpu has the compiler
    python -m benchmarks.tpu                                              # the full recipes, on a v5e of 4 chips
    python -m benchmarks.tpu --configs configs/vit_small_cifar10.py --topology v4:2x2x1

Nothing is run: XLA compiles the step for the chips of a topology, as it would there, and says how much memory each chip
needs. Images of CIFAR-10 are taken to lie on every chip, as the resident feed puts them.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec

import vit_jax
from benchmarks.measure import merge
from benchmarks.throughput.epoch import CLASSES, random_dataset
from benchmarks.throughput.targets import CIFAR10
from vit_jax.models.parameters import parameter_shapes
from vit_jax.training.command_line import load_config
from vit_jax.training.config import Config
from vit_jax.training.parallel import OneProgram
from vit_jax.training.run import make_step
from vit_jax.training.step import start_state

CONFIGS = ("vit_cifar10", "swin_cifar10", "deit3_cifar10", "mae_cifar10", "dino_cifar10")
MEBIBYTE = 2**20


def training_program(config: Config, devices: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """A config's training step for devices that need not be there, and the shapes of its arguments, placed on these."""
    parallel, dataset = OneProgram(devices, config.parallel.fsdp), random_dataset(*CIFAR10)
    examples = len(dataset.train)
    fields = dict(config.model.fields, dtype=jnp.dtype(config.dtype))
    if config.objective.learns_classes:
        fields["num_classes"] = CLASSES
    model = vit_jax.create_model(config.model.name, **fields)
    shapes = parameter_shapes(model)
    step = make_step(config, dataset, model, shapes, None, parallel.replicas)
    begin = partial(start_state, optimizer=step.optimizer, ema=config.keeps_average)
    state = jax.eval_shape(begin, shapes)
    images = {
        "image": jax.ShapeDtypeStruct((examples, *model.input_shape), jnp.uint8),
        "label": jax.ShapeDtypeStruct((examples,), jnp.int32),
    }
    index = {"index": jax.ShapeDtypeStruct((config.steps_per_dispatch, config.batch_size), jnp.int32)}
    key = jax.eval_shape(lambda: jax.random.key(0))
    rows = NamedSharding(parallel.mesh, PartitionSpec(None, ("data", "fsdp")))

    def placed(tree: Any, where: Callable[[Any], NamedSharding]) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where(x)), tree)

    everywhere = partial(placed, where=lambda x: parallel.replicated)
    inputs = placed(state, parallel.sharding), everywhere(images), placed(index, lambda x: rows), everywhere(key)
    return parallel.compile_train(step), inputs


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
