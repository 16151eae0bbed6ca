"""Weights of every publisher, loaded from files as it writes them, give its own logits at its own and other sizes."""

from pathlib import Path

import jax
import numpy as np
import pytest

import vit_jax
from tests.pretrained.publisher_cases import (
    CASES,
    GOLDEN_LOGITS,
    GOLDEN_SEED,
    Size,
    draw,
    golden_shapes,
    images_for,
    write,
)

TOLERANCE = 1e-5
"""Of the largest logit. A wrong epsilon, form of GELU, order of tokens or way of resizing costs 1e-4 and more."""


SIZED = [
    pytest.param(name, size, id=f"{name} {size or 'own size'}") for name, case in CASES.items() for size in case.sizes
]


def loaded_logits(name: str, size: Size | None, arrays: dict[str, np.ndarray], seed: int, path: Path) -> np.ndarray:
    """What the loaded network computes."""
    model, params = vit_jax.load_pretrained(write(CASES[name], arrays, path), image_size=size, **CASES[name].options)
    with jax.default_matmul_precision("highest"):
        compute = jax.jit(model.apply)
        return np.asarray(compute({"params": params}, images_for(name, size, seed)))


def assert_equal(logits: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


@pytest.mark.parametrize(("name", "size"), SIZED)
def test_equals_golden_logits(name: str, size: Size | None, tmp_path: Path):
    """Against logits that the publisher's code computed once; runs everywhere."""
    arrays = draw(golden_shapes()[name], GOLDEN_SEED)
    expected = np.load(GOLDEN_LOGITS)[f"{name} {size or 'own size'}"]
    assert_equal(loaded_logits(name, size, arrays, GOLDEN_SEED, tmp_path), expected)


@pytest.mark.parity("torch", "timm", "torchvision", "transformers")
@pytest.mark.parametrize("name", CASES)
def test_equals_the_publisher(name: str, tmp_path: Path):
    """Against the publisher's code as it is installed, with other values than the golden file's."""
    from tests.pretrained.publisher_reference import REFERENCES

    seed = GOLDEN_SEED + 1
    shapes = REFERENCES[name].shapes()
    assert shapes == golden_shapes()[name], "the publisher writes other names now"
    arrays = draw(shapes, seed)
    for size in CASES[name].sizes:
        expected = REFERENCES[name].logits(arrays, images_for(name, size, seed))
        assert_equal(loaded_logits(name, size, arrays, seed, tmp_path / str(size)), expected)
