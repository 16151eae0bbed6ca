"""BEiT computes what timm's computes, in float32."""

from importlib.util import find_spec

import numpy as np
import pytest

from tests.models.beit_cases import BEIT_CASES, BEIT_GOLDEN_FILE, small_beit
from tests.models.cases import GOLDEN_SEED, logits, random_images, random_params

TOLERANCE = 1e-5
"""On logits of about 1. A wrong row of the table costs 1e-2 and more; rounding, 1e-6."""


def our_logits(name: str, seed: int) -> np.ndarray:
    model = small_beit(**BEIT_CASES[name])
    return np.asarray(logits(model, random_params(model, seed), random_images(model, seed)))


@pytest.mark.parametrize("name", BEIT_CASES)
def test_equals_golden_logits(name: str):
    """Against logits that timm computed once; runs everywhere."""
    golden = np.load(BEIT_GOLDEN_FILE)[name]
    np.testing.assert_allclose(our_logits(name, GOLDEN_SEED), golden, rtol=0, atol=TOLERANCE)


def test_golden_file_covers_every_case():
    assert set(np.load(BEIT_GOLDEN_FILE)) == set(BEIT_CASES)


@pytest.mark.parity
@pytest.mark.parametrize("name", BEIT_CASES)
def test_equals_timm(name: str):
    """Against the timm that is installed, with other parameters than the golden file's."""
    if not (find_spec("torch") and find_spec("timm")):
        pytest.skip("comparing with timm itself needs torch and timm: pip install '.[parity]'")
    from tests.models.timm_beit import beit_logits

    seed = GOLDEN_SEED + 1
    model = small_beit(**BEIT_CASES[name])
    expected = beit_logits(BEIT_CASES[name], random_params(model, seed), random_images(model, seed))
    np.testing.assert_allclose(our_logits(name, seed), expected, rtol=0, atol=TOLERANCE)
