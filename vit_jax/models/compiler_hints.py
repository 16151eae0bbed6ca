"""What XLA is told about programs for NVIDIA GPUs. No result depends on it, but rounding.

`python -m benchmarks.gpu` counts the kernels and bytes of a program for an H200, without one (docs/performance.md).
"""

import jax
from jax.experimental.layout import Layout, with_layout_constraint

LEAVES_PARTS_ALONE = jax.__version_info__ >= (0, 11)
"""Whether XLA leaves an array that is spread over devices where it is, if it is told a layout. Before, every device got
it whole."""


def row_major(x: jax.Array) -> jax.Array:
    """x with its axes in memory in their order, the last varying fastest; its gradient, too.

    For an array whose gradient is summed over the first axis, as that of position embeddings is over images: XLA
    prefers a summed axis to vary fastest, and lays out whole networks around such a sum.
    """
    if jax.device_count() > 1 and not LEAVES_PARTS_ALONE:
        return x
    return jax.lax.platform_dependent(
        x,
        cuda=lambda x: with_layout_constraint(x, Layout(tuple(range(x.ndim)))),
        default=lambda x: x,
    )


def computed_once(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The arrays, written to memory as they are, in their precision: what follows reads them.

    XLA otherwise computes them again where they are used, if it takes that to be faster, and passes on what it has in
    float32 rather than what was rounded to 16 bits, which it then keeps as well.
    """
    return jax.lax.platform_dependent(
        *arrays, cuda=lambda *arrays: jax.lax.optimization_barrier(arrays), default=lambda *arrays: arrays
    )
