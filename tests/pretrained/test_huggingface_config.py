"""What Hugging Face's config says that a network here has not is refused: it would load, and compute something else."""

import json
from pathlib import Path
from typing import Any

import pytest

import vit_jax
from tests.pretrained.publisher_cases import CASES, draw, golden_shapes, write


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("huggingface_vit", {"hidden_act": "relu"}, "hidden_act 'relu' is not supported; it must be one of gelu"),
        ("huggingface_swin", {"hidden_act": "gelu_new"}, "hidden_act 'gelu_new' is not supported in Swin"),
        ("huggingface_swin", {"layer_norm_eps": 1e-6}, "layer_norm_eps 1e-06 is not supported in Swin; only 1e-5 is"),
        ("huggingface_swinv2", {"layer_norm_eps": 1e-12}, "layer_norm_eps 1e-12 is not supported in Swin"),
    ],
)
def test_a_network_that_computes_something_else_is_refused(
    name: str, changed: dict[str, Any], message: str, tmp_path: Path
):
    path = write(CASES[name], draw(golden_shapes()[name], 0), tmp_path)
    (path / "config.json").write_text(json.dumps({**(CASES[name].config or {}), **changed}))
    with pytest.raises(ValueError, match=message):
        vit_jax.load_pretrained(path)
