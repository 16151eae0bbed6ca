"""Hugging Face's `SwinBackbone`, which normalises each map and shifts windows on every one."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import vit_jax

SWIN = dict(image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[1, 2])


@pytest.mark.parity("torch", "timm", "transformers")
@pytest.mark.parametrize("window_size", [4, 7, 8])  # at 8 the last map is one window; at 7 maps are padded
@pytest.mark.parametrize("version", [4, 5])
def test_its_last_map_is_hugging_face_s(
    window_size: int, version: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    from tests.pretrained.backbone_reference import write_and_map

    fields: dict[str, Any] = dict(**SWIN, window_size=window_size, out_features=["stage1", "stage2"])
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    expected = write_and_map(fields, tmp_path, images)[-1]
    if version == 4:  # which has no other norm, and no prefix
        file = tmp_path / "model.safetensors"
        arrays = {name.removeprefix("swin."): x for name, x in load_file(file).items()}
        save_file({name: x for name, x in arrays.items() if not name.startswith("layernorm.")}, file)
    with caplog.at_level(logging.INFO, "vit_jax"):
        model, params = vit_jax.load_pretrained(tmp_path)
    assert "2 arrays are left out: norms of a backbone's maps before the last" in caplog.text
    assert ("2 arrays are left out: a norm that its backbone does not compute" in caplog.text) == (version == 5)
    assert model.num_classes == 0
    tokens = np.asarray(vit_jax.features(model, params, images).tokens)
    np.testing.assert_allclose(tokens.reshape(expected.shape), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parity("torch", "timm", "transformers")
def test_without_the_last_map_its_norm_is_missing(tmp_path: Path):
    from tests.pretrained.backbone_reference import write_and_map

    write_and_map(dict(**SWIN, window_size=4, out_features=["stage1"]), tmp_path, np.zeros((1, 32, 32, 3), np.float32))
    with pytest.raises(ValueError, match=r"missing: norm/bias \(layernorm.bias\)"):
        vit_jax.load_pretrained(tmp_path)
