"""MAE's and BEiT's pre-training networks compute what Hugging Face's do, loaded from its files and from the authors'.

The authors' files are Hugging Face's with the names of `models_mae.py` and `modeling_pretrain.py`, written down here
again: these repositories are no packages.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import vit_jax
from tests.models.huggingface_cases import outputs
from tests.pretrained.publisher_cases import draw
from tests.pretrained.resize_cases import PositionCase
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
SIZES = ((16, 16), (24, 24), (16, 24))
"""Its own, another, one that is not square."""


def images_and_noise(size: tuple[int, int] = (16, 16)) -> tuple[np.ndarray, np.ndarray]:
    """Two images, and a number for each of their patches."""
    images = np.random.RandomState(1).standard_normal((2, *size, 3)).astype(np.float32)
    noise = np.random.RandomState(2).uniform(size=(2, size[0] * size[1] // 16)).astype(np.float32)
    return images, noise


IMAGES, NOISE = images_and_noise()


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


def run(model: Any, images: np.ndarray = IMAGES, **masks: np.ndarray) -> Any:
    """What it computes, embeddings resized to the images."""
    import torch  # pyright: ignore[reportMissingImports]

    arguments: Any = {name: torch.tensor(x) for name, x in masks.items()}
    if images.shape != IMAGES.shape:
        arguments["interpolate_pos_encoding"] = True
    with torch.no_grad():
        return model(torch.tensor(images).permute(0, 3, 1, 2), **arguments)


def masked_autoencoder(directory: Path, **fields: Any) -> Any:
    decoder = dict(decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2)
    return saved("ViTMAEForPreTraining", "vit_mae", directory, **decoder, decoder_intermediate_size=40, **fields)


def masked_image_modelling(directory: Path, **fields: Any) -> Any:
    bias = dict(use_shared_relative_position_bias=True, use_mask_token=True, layer_scale_init_value=0.1)
    return saved("BeitForMaskedImageModeling", "beit", directory, vocab_size=11, **bias, **fields)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_masked_autoencoder(size: tuple[int, int], tmp_path: Path):
    """Positions of the decoder are resized as a grid, like the encoder's. (Hugging Face stretches them in a row.)"""
    from tests.pretrained.resize_reference import torch_position_embedding

    images, noise = images_and_noise(size)
    network = masked_autoencoder(tmp_path)
    stored, case = network.decoder.decoder_pos_embed, PositionCase(1, (4, 4), (size[0] // 4, size[1] // 4))
    resized = stored.new_tensor(torch_position_embedding(stored.detach().numpy(), case, "bicubic"))
    network.decoder.interpolate_pos_encoding = lambda embeddings: resized
    expected = run(network, images, noise=noise)
    model, params = vit_jax.load_pretrained(tmp_path, image_size=size)
    assert isinstance(model, MaskedAutoencoder)
    prediction, mask = outputs(model, params, images, {"noise": noise})
    np.testing.assert_array_equal(mask, expected.mask.numpy())
    np.testing.assert_allclose(prediction, expected.logits.numpy(), rtol=0, atol=1e-5 * abs(expected.logits).max())


AUTHORS_NAMES = (
    (r"^(vit|beit)\.", ""),
    (r"^encoder\.layer\.", "blocks."),
    (r"^decoder\.decoder_(layers|encoder\.layer)\.", "decoder_blocks."),
    (r"^decoder\.", ""),
    (r"^embeddings\.(cls_token|mask_token)", r"\1"),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^encoder\.relative_position_bias", "rel_pos_bias"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"^layernorm", "norm"),
    (r"attention\.output\.dense", "attn.proj"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"output\.dense", "mlp.fc2"),
    (r"lambda_", "gamma_"),
)


def as_its_authors_write(directory: Path, wrapper: str = "model") -> Path:
    """The file of a folder of Hugging Face's by the names of the paper's own code."""
    arrays = {}
    for name, x in load_file(directory / "model.safetensors").items():
        for pattern, replacement in AUTHORS_NAMES:
            name = re.sub(pattern, replacement, name)
        arrays[name] = x
    for name in [name for name in arrays if name.endswith("attention.query.weight")]:
        block = name.removesuffix("attention.attention.query.weight")
        parts = {part: f"{block}attention.attention.{part}" for part in ("query", "key", "value")}
        arrays[f"{block}attn.qkv.weight"] = np.concatenate([arrays.pop(f"{part}.weight") for part in parts.values()])
        if f"{parts['key']}.bias" in arrays:
            arrays[f"{block}attn.qkv.bias"] = np.concatenate([arrays.pop(f"{part}.bias") for part in parts.values()])
        else:  # BEiT's keys have none
            arrays[f"{block}attn.q_bias"] = arrays.pop(f"{parts['query']}.bias")
            arrays[f"{block}attn.v_bias"] = arrays.pop(f"{parts['value']}.bias")
    path = directory / "authors" / "weights.safetensors"
    path.parent.mkdir()
    save_file({f"{wrapper}/{name}": x for name, x in arrays.items()}, path)
    return path


def test_a_masked_autoencoder_of_its_authors(tmp_path: Path):
    expected = run(masked_autoencoder(tmp_path, layer_norm_eps=1e-6), noise=NOISE).logits.numpy()
    fields: dict[str, Any] = dict(
        embed_dim=24, depth=2, num_heads=3, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2
    )
    shape: dict[str, Any] = dict(image_size=16, patch_size=4, mlp_ratio=2.5, pos_embed="learned", norm_eps=0.5)
    model, params = vit_jax.load_pretrained(as_its_authors_write(tmp_path), model=MaskedAutoencoder(**fields, **shape))
    prediction, _ = outputs(model, params, IMAGES, {"noise": NOISE})
    np.testing.assert_allclose(prediction, expected, rtol=0, atol=1e-5 * abs(expected).max())


def test_masked_image_modelling_of_its_authors(tmp_path: Path):
    network, mask = masked_image_modelling(tmp_path, layer_norm_eps=1e-6), NOISE < 0.4
    expected = run(network, bool_masked_pos=mask).logits.numpy()
    fields: dict[str, Any] = dict(
        vocab_size=11, embed_dim=24, depth=2, num_heads=3, image_size=16, patch_size=4, mlp_ratio=2.5
    )
    model, params = vit_jax.load_pretrained(
        as_its_authors_write(tmp_path), model=BeitPretraining(**fields, norm_eps=0.5)
    )
    logits = outputs(model, params, IMAGES, {"mask": mask})
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_masked_autoencoder_s_encoder_with_a_new_head(tmp_path: Path):
    network = masked_autoencoder(tmp_path)
    network.config.mask_ratio = 0.0
    in_order = np.sort(NOISE, axis=1)
    expected = run(network.vit, noise=in_order).last_hidden_state.numpy()
    model, params = vit_jax.load_pretrained(tmp_path, num_classes=3)
    assert isinstance(model, VisionTransformer)
    assert not params["head"]["kernel"].any()
    np.testing.assert_allclose(vit_jax.features(model, params, IMAGES).tokens, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_masked_image_modelling(size: tuple[int, int], tmp_path: Path):
    images, noise = images_and_noise(size)
    expected = run(masked_image_modelling(tmp_path), images, bool_masked_pos=noise < 0.4).logits.numpy()
    model, params = vit_jax.load_pretrained(tmp_path, image_size=size)
    assert isinstance(model, BeitPretraining)
    logits = outputs(model, params, images, {"mask": noise < 0.4})
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
