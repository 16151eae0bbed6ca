"""The encoders that Hugging Face pre-trained by masked image modelling (SimMIM), out of their files."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vit_jax

VIT = dict(image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=2, num_attention_heads=1, encoder_stride=8)
SWIN = dict(image_size=32, patch_size=2, embed_dim=32, depths=[2, 2], num_heads=[1, 2], window_size=4, encoder_stride=4)


@pytest.mark.parity("torch", "timm", "transformers")
@pytest.mark.parametrize(("kind", "fields"), [("ViT", VIT), ("DeiT", VIT), ("Swin", SWIN), ("Swinv2", SWIN)])
def test_the_encoder_is_taken_out_and_what_is_left_is_told(
    kind: str, fields: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    from tests.pretrained.simmim_reference import write_and_encode

    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    expected = write_and_encode(kind, fields, tmp_path, images)
    with caplog.at_level(logging.INFO, "vit_jax"):
        model, params = vit_jax.load_pretrained(tmp_path)
    assert "decoder of its training" in caplog.text
    tokens = np.asarray(vit_jax.features(model, params, images).tokens)
    np.testing.assert_allclose(tokens.reshape(expected.shape), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
