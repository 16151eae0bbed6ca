"""Resized weights are those of each publisher's library, on the same random weights, in float32."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.pretrained.resize_cases import (
    BIAS_CASES,
    GOLDEN_FILE,
    GOLDEN_SEED,
    POSITION_CASES,
    bias_table,
    position_embedding,
)
from vit_jax.pretrained.resize import (
    POSITION_AXES,
    PositionResize,
    resize_bias_table,
    resize_position_embedding,
)

TOLERANCE = 1e-5
"""Relative to the largest weight. Another kernel, offset or treatment of edges costs 1e-2 and more; the float32
positions of torch, 5e-6."""

BIAS_REFERENCES = ("bicubic", "geometric_linear", "bilinear")
LIVE_SEED = GOLDEN_SEED + 1


def ours(key: str, seed: int) -> np.ndarray:
    """What we resize to, by the golden file's key: kind, method and name of the case."""
    kind, way, name = key.split(".")
    method: Any = way
    if kind == "bias":
        case = BIAS_CASES[name]
        return resize_bias_table(bias_table(case, seed), case.old, case.new, method, case.extra)
    case = POSITION_CASES[name]
    return resize_position_embedding(position_embedding(case, seed), case.prefix, case.old, case.new, method)


def check(resized: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(resized, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


KEYS = [f"position.{method}.{name}" for method in POSITION_AXES for name in POSITION_CASES]
KEYS += [f"bias.{method}.{name}" for method in BIAS_REFERENCES for name in BIAS_CASES]


@pytest.mark.parametrize("key", KEYS)
def test_equals_golden(key: str):
    """Against what torch, timm and Hugging Face computed once; runs everywhere."""
    check(ours(key, GOLDEN_SEED), np.load(GOLDEN_FILE)[key])


@pytest.mark.parity("torch", "timm", "transformers")
@pytest.mark.parametrize("method", POSITION_AXES)
def test_positions_equal_torch(method: PositionResize):
    """Against the torch that is installed, called as publishers do; DINO's call by scale among them."""
    from tests.pretrained.resize_reference import torch_position_embedding

    for name, case in POSITION_CASES.items():
        expected = torch_position_embedding(position_embedding(case, LIVE_SEED), case, method)
        check(ours(f"position.{method}.{name}", LIVE_SEED), expected)


@pytest.mark.parity("torch", "timm", "transformers")
@pytest.mark.parametrize("method", ["bicubic", "bicubic_antialias"])
def test_positions_equal_timm(method: PositionResize):
    from tests.pretrained.resize_reference import timm_position_embedding

    for name, case in POSITION_CASES.items():
        expected = timm_position_embedding(position_embedding(case, LIVE_SEED), case, method)
        check(ours(f"position.{method}.{name}", LIVE_SEED), expected)


@pytest.mark.parity("torch", "timm", "transformers")
@pytest.mark.filterwarnings("ignore:torch.searchsorted", "ignore:Using a non-tuple sequence")
@pytest.mark.parametrize("method", BIAS_REFERENCES)
def test_bias_tables_equal_their_library(method: str):
    """torch's call of Swin's authors, timm's function, and the biases that Hugging Face's BEiT adds."""
    from tests.pretrained.resize_reference import BIAS_TABLES

    for name, case in BIAS_CASES.items():
        check(ours(f"bias.{method}.{name}", LIVE_SEED), BIAS_TABLES[method](bias_table(case, LIVE_SEED), case))


@partial(jax.jit, static_argnums=(1, 2))
def jax_resized(grid: jax.Array, new: tuple[int, int], method: PositionResize) -> jax.Array:
    """The same by jax.image, [H, W, D] to [new H, new W, D]."""
    shape, old, size = (*new, grid.shape[-1]), np.array(grid.shape[:2]), np.array(new)
    if method == "bicubic_offset":
        scale = jnp.array((size + 0.1) / old)
        return jax.image.scale_and_translate(grid, shape, (0, 1), scale, jnp.zeros(2), "cubic-pytorch", antialias=False)
    if method.endswith("aligned"):
        scale, kernel = jnp.array((size - 1) / (old - 1)), "linear" if method == "bilinear_aligned" else "cubic-pytorch"
        return jax.image.scale_and_translate(grid, shape, (0, 1), scale, 0.5 - 0.5 * scale, kernel, antialias=False)
    kernel = "cubic-pytorch" if method == "bicubic" else "cubic"
    return jax.image.resize(grid, shape, kernel, antialias=method.endswith("antialias"))


@pytest.mark.parametrize("method", POSITION_AXES)
def test_positions_equal_jax_image(method: PositionResize):
    """Live where there is no torch: jax.image has all of these, under other names."""
    case = POSITION_CASES["to_oblong"]
    embedding = position_embedding(case, LIVE_SEED)
    grid = jnp.array(embedding[0, case.prefix :].reshape(*case.old, -1))
    expected = np.asarray(jax_resized(grid, case.new, method))
    resized = ours(f"position.{method}.to_oblong", LIVE_SEED)[0, case.prefix :]
    check(resized.reshape(expected.shape), expected)
