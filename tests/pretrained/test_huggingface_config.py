"""What Hugging Face's config says that a network here has not is refused: it would load, and compute something else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vit_jax
from tests.models.cases import logits
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


@pytest.mark.parametrize(
    ("problem", "options", "warned"),
    [
        ("multi_label_classification", {}, True),
        ("regression", {}, True),
        ("single_label_classification", {}, False),
        (None, {}, False),
        ("regression", {"num_classes": 2}, False),  # a head of one's own
    ],
)
def test_outputs_that_are_no_alternatives_are_told(
    problem: str | None, options: dict[str, Any], warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """`vit-jax predict` prints a softmax."""
    path = write(CASES["huggingface_vit"], draw(golden_shapes()["huggingface_vit"], 0), tmp_path)
    config = {**(CASES["huggingface_vit"].config or {}), "problem_type": problem}
    (path / "config.json").write_text(json.dumps(config))
    vit_jax.load_pretrained(path, **options)
    assert (f"are no alternatives (problem_type {problem})" in caplog.text) == warned


@pytest.mark.parity("torch", "transformers")
@pytest.mark.parametrize("size", [(32, 48), (48, 32), (32, 32)])
def test_a_beit_for_oblong_images_computes_what_hugging_face_does(size: tuple[int, int], tmp_path: Path):
    """It takes the rows of its table for columns there, at its own size, too."""
    from tests.pretrained.huggingface_folder import random_beit

    images = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    expected = random_beit(tmp_path, size, images)
    model, params = vit_jax.load_pretrained(tmp_path)
    np.testing.assert_allclose(logits(model, params, images), expected, atol=1e-5)
    vit_jax.save_pretrained(tmp_path / "own", model, params)
    model, params = vit_jax.load_pretrained(tmp_path / "own")
    np.testing.assert_allclose(logits(model, params, images), expected, atol=1e-5)
