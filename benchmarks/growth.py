"""How the cost of ViT and of Swin grows with the image: counted, and measured.

    python -m benchmarks.growth

ViT-Ti with patch 4 and Swin-T with patch 4 and windows of 8x8, at 32 to 256 px. Counted are multiply-adds and the bytes
kept for the backward pass; measured are the time of the loss's gradient for one image and the working memory of that
compiled program. Prints the table of the README.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import vit_jax
from benchmarks.measure import in_turn, save, spread
from vit_jax.models.network import Network

SIZES = (32, 64, 128, 256)
NETWORKS = {"ViT-Ti/4": ("vit_tiny_patch4_32", {}), "Swin-T": ("swin_tiny_patch4_window7_224", {"window_size": 8})}


def gradient(model: Network) -> tuple[Callable[[], Any], int]:
    """A function that computes the gradient for one image, and the bytes of memory that its program works in."""
    image = jnp.asarray(np.random.default_rng(0).normal(size=(1, *model.input_shape)), jnp.float32)
    params = jax.jit(model.init)(jax.random.key(0), image)["params"]

    def loss(params: Any) -> jax.Array:
        logits: Any = model.apply({"params": params}, image, train=True, rngs={"dropout": jax.random.key(0)})
        return jnp.square(logits).mean()

    program = jax.jit(jax.grad(loss)).lower(params).compile()
    memory: Any = program.memory_analysis()
    return lambda: jax.block_until_ready(program(params)), memory.temp_size_in_bytes


def measured(name: str, size: int, rounds: int) -> dict[str, Any]:
    """Counted and measured cost of one network at one image size."""
    registered, fields = NETWORKS[name]
    model = vit_jax.create_model(registered, image_size=size, num_classes=10, **fields)
    cost = vit_jax.cost(model)
    function, memory = gradient(model)
    seconds = in_turn({name: function}, rounds)[name]
    return {
        "network": name,
        "image_size": size,
        "multiply_adds": cost.multiply_adds,
        "activation_bytes": cost.activation_bytes,
        "program_bytes": memory,
        "seconds": spread(seconds),
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results in Markdown; in brackets, how many times the one at a quarter of the tokens."""
    columns: dict[str, Callable[[dict[str, Any]], float]] = {
        "multiply-adds (G)": lambda row: row["multiply_adds"] / 1e9,
        "kept for the backward pass (MB)": lambda row: row["activation_bytes"] / 1e6,
        "program's memory (MB)": lambda row: row["program_bytes"] / 1e6,
        "time (ms)": lambda row: row["seconds"]["median"] * 1e3,
    }
    lines = [f"| network | image | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    for before, row in zip([None, *results], results, strict=False):
        cells = []
        for value in columns.values():
            text = f"{value(row):.3g}" if value(row) < 1000 else f"{value(row):,.0f}"
            if before is not None and before["network"] == row["network"]:
                text += f" ({value(row) / value(before):.1f}x)"
            cells.append(text)
        lines.append(f"| {row['network']} | {row['image_size']} px | {' | '.join(cells)} |")
    return "\n".join(lines)


def growth(rounds: int = 7) -> None:
    """Measures ViT and Swin at growing image sizes.

    Args:
        rounds: How often each is timed.
    """
    results = [measured(name, size, rounds) for name in NETWORKS for size in SIZES]
    print(table(results))
    print("kept in", save("growth", results))


if __name__ == "__main__":
    tyro.cli(growth)
