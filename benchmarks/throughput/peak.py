"""The device's peak: how fast it multiplies large square matrices in a given precision."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.throughput.workload import Setting

SIDE = {"cpu": 2048, "gpu": 8192}
PRODUCTS = {"cpu": 4, "gpu": 100}
"""In a turn: a fraction of a second."""


@dataclass(frozen=True)
class MatmulPeak:
    """Products of two square matrices, ready to be timed.

    Attributes:
        run: one turn.
        flops: of a turn, two for each multiply-add.
    """

    run: Callable[[], Any]
    flops: float


def matmul_peak(setting: Setting, side: int | None = None) -> MatmulPeak:
    """Products in the setting's precision, of normally distributed numbers (a GPU's speed depends on them)."""
    side, products = side or SIDE[setting.device], PRODUCTS[setting.device]
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.standard_normal((side, side), np.float32), setting.dtype) for _ in range(2))
    product = jax.jit(jnp.matmul).lower(a, b).compile()

    def run() -> None:
        for _ in range(products - 1):
            product(a, b)
        jax.block_until_ready(product(a, b))  # the device computes in order

    run()
    return MatmulPeak(run, 2.0 * side**3 * products)
