"""The programs that compute attention, beside each other: what `attention="auto"` should choose here.

    python -m benchmarks.attention

A layer of attention among N tokens (with its dense layers), forward alone and with its gradient, in float32 on a CPU
and in bfloat16 elsewhere, by each kernel that serves (`vit_jax.models.attention_kernel`). The kernels take turns. It
needs jax, flax and numpy alone.
"""

import argparse
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.markdown import between
from benchmarks.measure import in_turn, positive, save, spread
from vit_jax.models.attention import Attention
from vit_jax.models.attention_kernel import Kernel, choose_kernel

SHAPES = {
    "cpu": ((64, 3, 65, 64), (8, 6, 197, 64), (2, 6, 577, 64), (1, 3, 1025, 64)),
    "gpu": (
        *((256, 12, tokens, 64) for tokens in (50, 65, 129, 197, 257, 577)),
        *((512, 12, 37, 32), (512, 12, 65, 16)),
    ),
}
"""Batch, heads, tokens, channels: of ViT-Ti/4 at 32 px, ViT-S/16 at 224 and 384 px, and longer ones; on a GPU also
shorter ones, on both sides of the `FLASH_TOKENS` from which "auto" takes cuDNN's."""
KERNELS: tuple[Kernel, ...] = ("matmul", "xla", "cudnn")

Pass = Literal["forward", "gradient"]
PASSES: tuple[Pass, ...] = ("forward", "gradient")


def program(kernel: Kernel, computed: Pass, shape: tuple[int, ...], dtype: Any) -> Callable[[], Any] | None:
    """The layer, or the gradient of the sum of what it gives; None where the kernel does not serve."""
    batch, heads, tokens, channels = shape
    try:
        choose_kernel(kernel, tokens, channels, dtype, has_bias=False, attn_drop_rate=0.0)
    except ValueError:
        return None
    layer = Attention(heads, kernel=kernel, dtype=dtype)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(batch, tokens, heads * channels)), dtype)
    variables = layer.init(jax.random.key(0), x[:1], False)

    def forward(variables: Any, x: jax.Array) -> Any:
        return layer.apply(variables, x, computed == "gradient")

    def loss(variables: Any, x: jax.Array) -> jax.Array:
        return forward(variables, x).astype(jnp.float32).sum()

    function = {"forward": forward, "gradient": jax.grad(loss, argnums=(0, 1))}[computed]
    compiled = jax.jit(function).lower(variables, x).compile()
    return lambda: jax.block_until_ready(compiled(variables, x))


def measured(shape: tuple[int, ...], computed: Pass, dtype: Any, rounds: int) -> dict[str, Any]:
    """Milliseconds of each kernel that serves, and which "auto" takes."""
    programs = {kernel: program(kernel, computed, shape, dtype) for kernel in KERNELS}
    seconds = in_turn({kernel: run for kernel, run in programs.items() if run is not None}, rounds)
    chosen = choose_kernel("auto", shape[2], shape[3], dtype, has_bias=False, attn_drop_rate=0.0).kernel
    times = {kernel: spread(1000 * values) for kernel, values in seconds.items()}
    return {"shape": shape, "pass": computed, "auto": chosen, "milliseconds": times}


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=20, help="turns of each kernel")
    rounds = parser.parse_args().rounds
    backend = jax.default_backend()
    dtype = jnp.float32 if backend == "cpu" else jnp.bfloat16
    results = []
    for shape in SHAPES["cpu" if backend == "cpu" else "gpu"]:
        for computed in PASSES:
            results.append(measured(shape, computed, dtype, rounds))
            told = (f"{kernel} {between(time, '.2f')}" for kernel, time in results[-1]["milliseconds"].items())
            size, chosen = " x ".join(map(str, shape)), results[-1]["auto"]
            print(f"{size}, {computed}: {', '.join(told)} ms; auto takes {chosen}", flush=True)
    print("kept in", save("attention", results))


if __name__ == "__main__":
    main()
