"""This project's networks."""

from typing import Any

import jax

from benchmarks.throughput.jax_programs import JaxImplementation
from benchmarks.throughput.workload import Setting, Workload


def ours(work: Workload, setting: Setting) -> JaxImplementation:
    """This project's network."""

    def apply(params: Any, images: jax.Array, train: bool) -> Any:
        return work.model.apply({"params": params}, images, train)

    return JaxImplementation("ours", apply, work.params, setting.steps, setting.dispatches)
