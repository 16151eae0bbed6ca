"""Compiles the training step of configs for an NVIDIA H200, without one: does it fit, and what does it launch?

    pip install "jax[cuda13]"                                              # its compiler and cuDNN; tried with 0.12.0
    python -m benchmarks.gpu                                               # two recipes, and networks at 224 px
    python -m benchmarks.gpu --configs configs/deit3_cifar10.py --models

Nothing is run: XLA compiles the step as it would on that GPU, but for choosing the fastest of several programs for a
matrix product, which takes the GPU. The kernels of a step and the bytes they move (`benchmarks.kernels`) say what a
change of the code is worth there. Images are taken to lie on the GPU, as the resident feed puts them.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import jax
from jax.experimental import topologies

from benchmarks.kernels import kernels
from benchmarks.measure import merge, positive
from benchmarks.training_program import training_program
from vit_jax.models import attention_kernel
from vit_jax.training.command_line import load_config
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig

CONFIGS = ("vit_cifar10", "swin_cifar10")
MODELS = ("vit_small_patch16_224", "vit_base_patch16_224", "swin_tiny_patch4_window7_224")
H200 = """
gpu_device_info {
  name: "NVIDIA H200"
  cuda_compute_capability { major: 9 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  memory_bandwidth: 4800000000000
  device_memory_size: 151397597184
  l2_cache_size: 52428800
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  device_address_bits: 64
  driver_version: "13.0.0"
  runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0"
  dnn_version: "9.10.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H200"
"""
"""What XLA's compiler asks of a GPU: its limits, sizes and speeds, in bytes, bytes per second and GHz."""


@contextmanager
def attention_as_on_a_gpu() -> Iterator[None]:
    """Within it, networks choose the program for attention as on a GPU that takes all of cuDNN's."""
    takes_all = mock.patch.object(attention_kernel, "compilation_error", return_value=None)
    with takes_all, mock.patch.object(jax, "default_backend", return_value="gpu"):
        yield


def plain_config(model: str, batch_size: int) -> Config:
    """Training of a network as `benchmarks.throughput` measures it: AdamW in bfloat16, no augmentation."""
    adamw = OptimizerConfig("adamw", learning_rate=1e-3, clip_norm=None)
    return Config(model=ModelConfig(model), augment=(), optimizer=adamw, batch_size=batch_size, dtype="bfloat16")


def compiled_step(config: Config, device: Any) -> dict[str, Any]:
    """Compiles one training step for a device that need not be there.

    Returns:
        Seconds of tracing and compiling; kernels launched; in bytes what they move, what the device has to hold and the
        memory that the program works in.

    Raises:
        ValueError: if the config accumulates gradients: their kernels would not be counted.
    """
    if config.accumulate_steps > 1:
        raise ValueError(f"accumulate_steps is {config.accumulate_steps}: kernels in a loop are not counted")
    with attention_as_on_a_gpu():
        program, inputs = training_program(replace(config, steps_per_dispatch=1), [device])
        began = time.perf_counter()
        compiled = program.lower(*inputs).compile()
    seconds = time.perf_counter() - began
    text, memory = compiled.as_text(), compiled.memory_analysis()
    assert text is not None
    resident_images = f"u8[{','.join(map(str, inputs[1]['image'].shape))}]"
    launched = kernels(text, frozenset([resident_images]))
    return {
        "seconds": seconds,
        "kernels": len(launched),
        "moved": sum(kernel.read + kernel.written for kernel in launched),
        "held": memory.argument_size_in_bytes,
        "scratch": memory.temp_size_in_bytes,
    }


def main() -> None:
    """Compiles, prints and saves, one step after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="*", default=[f"configs/{name}.py" for name in CONFIGS])
    parser.add_argument("--models", nargs="*", default=MODELS, help="names of the registry")
    parser.add_argument("--batch", type=positive, default=256, help="of --models")
    args = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    (device,) = topologies.get_topology_desc("", "cuda", target_config=H200, topology="1x1x1").devices
    steps = {Path(path).stem: load_config(Path(path)) for path in args.configs}
    steps |= {name: plain_config(name, args.batch) for name in args.models}
    for name, config in steps.items():
        found = compiled_step(config, device)
        entry = {"measured": "compilation", "step": name, "batch": config.batch_size, "dtype": config.dtype, **found}
        merge("gpu", "gpu", [{**entry, "compiled_for": device.device_kind}], key=("step", "batch"))
        print(
            f"{name}, batch {config.batch_size}, {config.dtype}: {found['kernels']:,} kernels move "
            f"{found['moved'] / 1e9:,.2f} GB and work in {found['scratch'] / 1e9:,.2f} GB; compiled in "
            f"{found['seconds']:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
