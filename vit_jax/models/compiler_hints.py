"""What XLA is told about programs for NVIDIA GPUs. No result depends on it, but rounding.

`python -m benchmarks.gpu_program` shows what each is worth without a GPU: it compiles a training step for an H200 and
counts kernels and bytes (docs/performance.md).
"""

import jax
from jax.experimental.layout import Layout, with_layout_constraint


def row_major(x: jax.Array) -> jax.Array:
    """x, laid out in memory as it is written, its last axis fastest; in the backward pass, too.

    For what a gradient sums over the first axis, as that of position embeddings over images: XLA likes to have the axis
    that is summed fastest in memory, and lays out whole networks around such a sum.
    """
    return jax.lax.platform_dependent(
        x,
        cuda=lambda x: with_layout_constraint(x, Layout(tuple(range(x.ndim)))),
        default=lambda x: x,
    )


def computed_once(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The arrays, written to memory: XLA does not compute them again where they are used.

    For small ones that take much reading, as sums over rows.
    """
    return jax.lax.platform_dependent(
        *arrays, cuda=lambda *arrays: jax.lax.optimization_barrier(arrays), default=lambda *arrays: arrays
    )
