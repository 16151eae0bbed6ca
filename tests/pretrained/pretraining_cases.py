"""MAE's and BEiT's pre-training files as Hugging Face and as their authors write them. Needs no torch.

Names and shapes are Hugging Face's own, kept in golden/pretraining.json by `make_pretraining_golden`. Those of the
authors (`models_mae.py`, `modeling_pretrain.py`) are written down here again: their repositories are no packages.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save_file

from tests.pretrained.publisher_cases import GOLDEN, Shapes, Size, draw
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network

GOLDEN_OUTPUTS, GOLDEN_NAMES = GOLDEN / "pretraining.npz", GOLDEN / "pretraining.json"
OWN_SIZE: Size = (16, 16)
SIZES = (OWN_SIZE, (24, 24), (16, 24))
"""Its own, another, one that is not square."""


class PretrainingCase(NamedTuple):
    """A small network for pre-training.

    Attributes:
        architecture: Hugging Face's class of it.
        config: Hugging Face's.
        model: the module for the authors' file, which tells no heads; its epsilon is wrong, for theirs to be set.
        authors_sizes: images at which the authors resize as Hugging Face does.
    """

    architecture: str
    config: Mapping[str, Any]
    model: Network
    authors_sizes: tuple[Size, ...]


CONFIG = dict(
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=60,
    image_size=16,
    patch_size=4,
    layer_norm_eps=1e-6,
)
DECODER = dict(
    decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=40
)
BIAS = dict(use_shared_relative_position_bias=True, use_mask_token=True, layer_scale_init_value=0.1)
MODEL: dict[str, Any] = dict(
    embed_dim=24, depth=2, num_heads=3, mlp_ratio=2.5, image_size=16, patch_size=4, norm_eps=0.5
)

PRETRAINING_CASES = {
    "mae": PretrainingCase(
        "ViTMAEForPreTraining",
        dict(model_type="vit_mae", **CONFIG, **DECODER),
        MaskedAutoencoder(**MODEL, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2, pos_embed="learned"),
        SIZES,
    ),
    "beit": PretrainingCase(
        "BeitForMaskedImageModeling",
        dict(model_type="beit", vocab_size=11, **CONFIG, **BIAS),
        BeitPretraining(**MODEL, vocab_size=11),
        (OWN_SIZE,),
    ),
}


def golden_names() -> dict[str, Shapes]:
    """Names and shapes of Hugging Face's file of every case."""
    stored: dict[str, dict[str, list[int]]] = json.loads(GOLDEN_NAMES.read_text())
    return {case: {name: tuple(shape) for name, shape in shapes.items()} for case, shapes in stored.items()}


def images_and_noise(size: Size, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two images [2, H, W, 3], and a number for each of their patches [2, N], by which they are masked."""
    random = np.random.RandomState(seed + 1)
    images = random.standard_normal((2, *size, 3)).astype(np.float32)
    return images, random.uniform(size=(2, size[0] * size[1] // 16)).astype(np.float32)


def write_hugging_face(name: str, directory: Path, seed: int) -> Path:
    """Writes the folder of a case, by the names that transformers 5 writes."""
    return write_folder(name, directory, draw(golden_names()[name], seed))


def write_legacy(name: str, directory: Path, seed: int) -> Path:
    """As transformers 4 wrote it, and as it is on the Hub."""
    drawn = draw(golden_names()[name], seed)
    arrays = {name.replace("decoder_encoder.layer.", "decoder_layers."): x for name, x in drawn.items()}
    return write_folder(name, directory, arrays)


def write_folder(name: str, directory: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Writes weights and config."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file(dict(arrays), directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(PRETRAINING_CASES[name].config))
    return directory


AUTHORS_NAMES = (
    (r"^(vit|beit)\.", ""),
    (r"^encoder\.layer\.", "blocks."),
    (r"^decoder\.decoder_encoder\.layer\.", "decoder_blocks."),
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


def write_authors(name: str, directory: Path, seed: int) -> Path:
    """Writes the file of a case by the names of the paper's own code, in the dict that it saves."""
    arrays = {}
    for stored, x in draw(golden_names()[name], seed).items():
        for pattern, replacement in AUTHORS_NAMES:
            stored = re.sub(pattern, replacement, stored)
        arrays[stored] = x
    for query in [stored for stored in arrays if stored.endswith("attention.query.weight")]:
        block = query.removesuffix("attention.attention.query.weight")
        parts = [f"{block}attention.attention.{part}" for part in ("query", "key", "value")]
        arrays[f"{block}attn.qkv.weight"] = np.concatenate([arrays.pop(f"{part}.weight") for part in parts])
        if f"{parts[1]}.bias" in arrays:
            arrays[f"{block}attn.qkv.bias"] = np.concatenate([arrays.pop(f"{part}.bias") for part in parts])
        else:  # BEiT's keys have none
            arrays[f"{block}attn.q_bias"] = arrays.pop(f"{parts[0]}.bias")
            arrays[f"{block}attn.v_bias"] = arrays.pop(f"{parts[2]}.bias")
    directory.mkdir(parents=True, exist_ok=True)
    save_file({f"model/{stored}": x for stored, x in arrays.items()}, directory / "authors.safetensors")
    return directory / "authors.safetensors"
