"""Networks that timm has no equivalent of compute what Hugging Face's compute, in float32."""

from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
import pytest

from tests.models.cases import GOLDEN_SEED, random_images, random_params
from tests.models.huggingface_cases import (
    HUGGINGFACE_CASES,
    HUGGINGFACE_GOLDEN_FILE,
    outputs,
    random_masks,
    small_network,
)

TOLERANCE = 1e-5
"""On outputs of about 1: a mask in another place costs 0.1, rounding 1e-6."""


def our_outputs(name: str, seed: int) -> list[Any]:
    case = HUGGINGFACE_CASES[name]
    model = small_network(case)
    masks = random_masks(case, seed)
    return jax.tree.leaves(outputs(model, random_params(model, seed), random_images(model, seed), masks))


@pytest.mark.parametrize("name", HUGGINGFACE_CASES)
def test_equals_golden_outputs(name: str):
    """Against outputs that Hugging Face computed once; runs everywhere."""
    golden = np.load(HUGGINGFACE_GOLDEN_FILE)
    for i, ours in enumerate(our_outputs(name, GOLDEN_SEED)):
        np.testing.assert_allclose(ours, golden[f"{name}/{i}"], rtol=0, atol=TOLERANCE)


def test_golden_file_covers_every_case():
    assert {name.split("/")[0] for name in np.load(HUGGINGFACE_GOLDEN_FILE)} == set(HUGGINGFACE_CASES)


@pytest.mark.parity
@pytest.mark.parametrize("name", HUGGINGFACE_CASES)
def test_equals_hugging_face(name: str):
    """Against the transformers that are installed, with other parameters than the golden file's."""
    if not all(map(find_spec, ("torch", "timm", "transformers"))):
        pytest.skip("comparing live needs torch, timm and transformers: pip install '.[parity]'")
    from tests.models.huggingface_vit import reference_outputs

    case, seed = HUGGINGFACE_CASES[name], GOLDEN_SEED + 1
    model = small_network(case)
    params, images = random_params(model, seed), random_images(model, seed)
    expected = reference_outputs(case, params, images, random_masks(case, seed))
    for ours, theirs in zip(our_outputs(name, seed), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)
