"""The Vision Transformer computes what timm's computes, with the same random parameters, in float32."""

from importlib.util import find_spec

import numpy as np
import pytest

from tests.models.cases import CASES, GOLDEN_FILE, GOLDEN_SEED, logits, random_images, random_params, small_model

TOLERANCE = 1e-5
"""On logits of about 1. A wrong epsilon, form of GELU or order of tokens costs 1e-4 and more; rounding, 1e-6."""


def our_logits(name: str, seed: int) -> np.ndarray:
    model = small_model(**CASES[name].fields)
    return np.asarray(logits(model, random_params(model, seed), random_images(model, seed), CASES[name].train))


@pytest.mark.parametrize("name", CASES)
def test_equals_golden_logits(name: str):
    """Against logits that timm computed once; runs everywhere."""
    golden = np.load(GOLDEN_FILE)[name]
    np.testing.assert_allclose(our_logits(name, GOLDEN_SEED), golden, rtol=0, atol=TOLERANCE)


def test_golden_file_covers_every_case():
    assert set(np.load(GOLDEN_FILE)) == set(CASES)


@pytest.mark.parity
@pytest.mark.parametrize("name", CASES)
def test_equals_timm(name: str):
    """Against the timm that is installed, with other parameters than the golden file's."""
    if not (find_spec("torch") and find_spec("timm")):
        pytest.skip("comparing with timm itself needs torch and timm: pip install '.[parity]'")
    from tests.models.timm_reference import timm_logits

    seed = GOLDEN_SEED + 1
    model = small_model(**CASES[name].fields)
    expected = timm_logits(CASES[name], random_params(model, seed), random_images(model, seed))
    np.testing.assert_allclose(our_logits(name, seed), expected, rtol=0, atol=TOLERANCE)
