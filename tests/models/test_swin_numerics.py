"""The Swin Transformer computes what timm's, Hugging Face's and torchvision's compute, in float32."""

from importlib.util import find_spec

import numpy as np
import pytest

from tests.models.cases import GOLDEN_SEED, logits, random_images, random_params
from tests.models.swin_cases import SWIN_CASES, SWIN_GOLDEN_FILE, small_swin

TOLERANCE = 1e-5
"""On logits of about 1. What the mutations of test_swin.py change costs 1e-3 and more; rounding, 1e-6."""


def our_logits(name: str, seed: int) -> np.ndarray:
    model = small_swin(**SWIN_CASES[name])
    return np.asarray(logits(model, random_params(model, seed), random_images(model, seed)))


@pytest.mark.parametrize("name", SWIN_CASES)
def test_equals_golden_logits(name: str):
    """Against logits that the other implementation computed once; runs everywhere."""
    golden = np.load(SWIN_GOLDEN_FILE)[name]
    np.testing.assert_allclose(our_logits(name, GOLDEN_SEED), golden, rtol=0, atol=TOLERANCE)


def test_golden_file_covers_every_case():
    assert set(np.load(SWIN_GOLDEN_FILE)) == set(SWIN_CASES)


@pytest.mark.parametrize("name", ["padded", "v2_padded", "odd_map_merged"])
def test_the_order_of_shift_and_padding_matters(name: str):
    """Otherwise the cases would not show that the window rules differ."""
    model = small_swin(**{**SWIN_CASES[name], "window_rule": "microsoft"})
    other = np.asarray(logits(model, random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED)))
    assert np.abs(other - np.load(SWIN_GOLDEN_FILE)[name]).max() > 1e-3


@pytest.mark.parity
@pytest.mark.parametrize("name", SWIN_CASES)
def test_equals_the_other_implementation(name: str):
    """Against what is installed, with other parameters than the golden file's."""
    if not all(map(find_spec, ("torch", "timm", "transformers", "torchvision"))):
        pytest.skip("comparing live needs torch, timm, transformers and torchvision: pip install '.[parity]'")
    from tests.models.swin_reference import reference_logits

    seed = GOLDEN_SEED + 1
    model = small_swin(**SWIN_CASES[name])
    expected = reference_logits(SWIN_CASES[name], random_params(model, seed), random_images(model, seed))
    np.testing.assert_allclose(our_logits(name, seed), expected, rtol=0, atol=TOLERANCE)
