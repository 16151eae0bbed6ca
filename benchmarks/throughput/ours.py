"""This project's networks."""

from typing import Any

import jax

from benchmarks.throughput.jax_programs import JaxImplementation
from benchmarks.throughput.workload import Setting, Workload


def ours(work: Workload, setting: Setting) -> JaxImplementation:
    """A network of the registry.

    On a CPU it divides a batch among all devices, one for each core, as `vit-jax predict` and `train.py --parallel.mode
    pmap` do with JAX_NUM_CPU_DEVICES. On a GPU one device is measured.
    """

    def apply(params: Any, images: jax.Array, train: bool) -> Any:
        return work.model.apply({"params": params}, images, train)

    spread = setting.device == "cpu"
    return JaxImplementation("ours", apply, work.params, setting.steps, setting.dispatches, spread)
