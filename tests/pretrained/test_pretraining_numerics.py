"""MAE's and BEiT's pre-training networks, loaded from files that Hugging Face writes, compute what they do there."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vit_jax
from tests.models.huggingface_cases import outputs
from tests.pretrained.publisher_cases import draw
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.vit import VisionTransformer

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        not all(map(find_spec, ("torch", "timm", "transformers"))),
        reason="comparing with Hugging Face needs it: pip install '.[parity]'",
    ),
]

SMALL = dict(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=60, image_size=16, patch_size=4
)
IMAGES = np.random.RandomState(1).standard_normal((2, 16, 16, 3)).astype(np.float32)
NOISE = np.random.RandomState(2).uniform(size=(2, 16)).astype(np.float32)


def saved(kind: str, model_type: str, directory: Path, **fields: Any) -> Any:
    """A network of Hugging Face's with every parameter drawn, saved into a directory."""
    import torch  # pyright: ignore[reportMissingImports]
    import transformers  # pyright: ignore[reportMissingImports]

    model = getattr(transformers, kind)(transformers.AutoConfig.for_model(model_type, **SMALL, **fields)).eval()
    drawn = draw({name: tuple(x.shape) for name, x in model.named_parameters()}, seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(drawn[name]))
    model.save_pretrained(directory)
    return model


def run(model: Any, **masks: np.ndarray) -> Any:
    """What it computes."""
    import torch  # pyright: ignore[reportMissingImports]

    with torch.no_grad():
        return model(torch.tensor(IMAGES).permute(0, 3, 1, 2), **{name: torch.tensor(x) for name, x in masks.items()})


def masked_autoencoder(directory: Path) -> Any:
    decoder = dict(decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2)
    return saved("ViTMAEForPreTraining", "vit_mae", directory, **decoder, decoder_intermediate_size=40)


def test_a_masked_autoencoder(tmp_path: Path):
    expected = run(masked_autoencoder(tmp_path), noise=NOISE)
    model, params = vit_jax.load_pretrained(tmp_path)
    assert isinstance(model, MaskedAutoencoder)
    prediction, mask = outputs(model, params, IMAGES, {"noise": NOISE})
    np.testing.assert_array_equal(mask, expected.mask.numpy())
    np.testing.assert_allclose(prediction, expected.logits.numpy(), rtol=0, atol=1e-5 * abs(expected.logits).max())


def test_a_masked_autoencoder_s_encoder_with_a_new_head(tmp_path: Path):
    network = masked_autoencoder(tmp_path)
    network.config.mask_ratio = 0.0
    in_order = np.sort(NOISE, axis=1)
    expected = run(network.vit, noise=in_order).last_hidden_state.numpy()
    model, params = vit_jax.load_pretrained(tmp_path, num_classes=3)
    assert isinstance(model, VisionTransformer)
    assert not params["head"]["kernel"].any()
    np.testing.assert_allclose(vit_jax.features(model, params, IMAGES).tokens, expected, rtol=0, atol=1e-5)


def test_masked_image_modelling(tmp_path: Path):
    fields = dict(use_shared_relative_position_bias=True, use_mask_token=True, layer_scale_init_value=0.1)
    network = saved("BeitForMaskedImageModeling", "beit", tmp_path, vocab_size=11, **fields)
    mask = NOISE < 0.4
    expected = run(network, bool_masked_pos=mask).logits.numpy()
    model, params = vit_jax.load_pretrained(tmp_path)
    assert isinstance(model, BeitPretraining)
    logits = outputs(model, params, IMAGES, {"mask": mask})
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
