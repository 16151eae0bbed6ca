"""Networks compute what timm's, Hugging Face's and torchvision's compute, with the same random parameters, in float32.

Of the Vision Transformer, Swin, BEiT, and what Hugging Face has and timm has not.
"""

import numpy as np
import pytest

from tests.models.cases import GOLDEN_SEED
from tests.models.families import FAMILIES, golden_outputs, our_outputs, their_outputs

TOLERANCE = 1e-5
"""On outputs of about 1. A wrong epsilon, form of GELU or order of tokens costs 1e-4 and more, what the mutations of
test_swin.py change 1e-3, a wrong row of BEiT's table 1e-2, a mask in another place 0.1; rounding, 1e-6.
"""


def cases(live: bool) -> list:
    """Family and name of every case; live comparisons need the packages of the other implementation."""
    return [
        pytest.param(family, name, marks=[pytest.mark.parity(*FAMILIES[family].packages)] if live else [])
        for family in FAMILIES
        for name in FAMILIES[family].cases
    ]


@pytest.mark.parametrize(("family", "name"), cases(live=False))
def test_equals_the_golden_outputs(family: str, name: str):
    """Which the other implementation computed once; runs everywhere."""
    golden = golden_outputs(FAMILIES[family], name)
    assert golden, "no golden outputs: python -m tests.models.make_golden"
    for ours, theirs in zip(our_outputs(FAMILIES[family], name, GOLDEN_SEED), golden, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("family", "name"), cases(live=True))
def test_equals_the_other_implementation(family: str, name: str):
    """As it is installed, with other parameters than the golden file's."""
    expected = their_outputs(FAMILIES[family], name, GOLDEN_SEED + 1)
    for ours, theirs in zip(our_outputs(FAMILIES[family], name, GOLDEN_SEED + 1), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["padded", "v2_padded", "odd_map_merged"])
def test_swin_s_order_of_shift_and_padding_matters(name: str):
    """Otherwise the cases would not show that the window rules differ."""
    swin = FAMILIES["swin"]
    other = swin._replace(cases={name: {**swin.cases[name], "window_rule": "microsoft"}})
    (ours,), (golden,) = our_outputs(other, name, GOLDEN_SEED), golden_outputs(swin, name)
    assert np.abs(ours - golden).max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_golden_files_have_no_case_that_is_gone(family: str):
    assert {key.split("/")[0] for key in np.load(FAMILIES[family].golden_file)} == set(FAMILIES[family].cases)
