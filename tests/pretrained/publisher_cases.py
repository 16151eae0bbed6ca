"""Files as each publisher writes them: small networks, every parameter drawn from a seed. Needs no torch.

The names and shapes are the publishers' own, kept in golden/publishers.json by `make_publishers_golden`, which asks
their code for them.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save_file

from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

GOLDEN = Path(__file__).with_name("golden")
GOLDEN_LOGITS, GOLDEN_SHAPES = GOLDEN / "publishers.npz", GOLDEN / "publishers.json"
GOLDEN_SEED = 0

Size = tuple[int, int]
Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of a file's arrays by name; those in `INTEGERS` are int64."""

INTEGERS = re.compile(r"relative_position_index|attn_mask_index")


class Case(NamedTuple):
    """A file and how it is loaded.

    Attributes:
        sizes: images to load it for; None for its own.
        config: `config.json` beside it.
        wrapper: dict that the parameters are nested in.
        npz: whether it is Google's `.npz` rather than safetensors.
        options: of `load_pretrained`.
    """

    sizes: tuple[Size | None, ...]
    config: Mapping[str, Any] | None = None
    wrapper: str = ""
    npz: bool = False
    options: Mapping[str, Any] = MappingProxyType({})


SMALL: dict[str, Any] = dict(
    embed_dim=24, depth=2, num_heads=3, mlp_ratio=2.5, image_size=16, patch_size=4, num_classes=5
)
VIT = VisionTransformer(**SMALL)
BEIT = VIT.clone(
    key_bias=False, relative_position="per_block", pos_embed="none", pool="avg", fc_norm=True, layer_scale=0.1
)
DINOV2 = VIT.clone(layer_scale=0.1, num_classes=0)
SWIN = SwinTransformer(
    num_classes=5, image_size=32, embed_dim=12, depths=(2, 2), num_heads=(2, 3), window_size=4, mlp_ratio=2.5
)

WHOLE = (None, (24, 24), (16, 24))
"""Its own size, another, one that is not square."""
MAPS = (None, (64, 64), (32, 72))
PADDED = (None, (48, 48), (24, 40))

HUGGING_FACE = dict(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4, hidden_act="gelu"
)
HUGGING_FACE_VIT = dict(**HUGGING_FACE, intermediate_size=60, layer_norm_eps=1e-12)
HUGGING_FACE_DINOV2 = dict(**HUGGING_FACE, mlp_ratio=2, layer_norm_eps=1e-6)
HUGGING_FACE_SWIN = dict(
    image_size=32, embed_dim=12, depths=[2, 2], num_heads=[2, 3], window_size=4, mlp_ratio=2.5, layer_norm_eps=1e-5
)


def timm_config(architecture: str, **arguments: Any) -> dict[str, Any]:
    """timm's config of a small network."""
    return {"architecture": architecture, "model_args": arguments, "pretrained_cfg": {"input_size": [3, 16, 16]}}


CASES: Mapping[str, Case] = {
    "google": Case(WHOLE, npz=True),
    "google_big_vision_stacked": Case((None, (16, 24)), npz=True),
    "google_map_head": Case((None, (16, 24)), npz=True),
    "timm": Case(WHOLE, timm_config("vit_tiny_patch16_224", num_heads=3)),
    "timm_without_config": Case((None, (24, 24)), options=dict(model=VIT)),
    "timm_registers": Case(WHOLE, timm_config("vit_tiny_patch16_224", num_heads=3)),
    "timm_average": Case(WHOLE, timm_config("vit_tiny_patch16_224", num_heads=3, global_pool="avg")),
    "timm_siglip": Case(WHOLE, timm_config("vit_so400m_patch16_siglip_256", num_heads=3)),
    "timm_clip": Case(WHOLE, timm_config("vit_base_patch16_clip_224", num_heads=3)),
    "timm_clip_quick": Case((None,), timm_config("vit_base_patch16_clip_quickgelu_224", num_heads=3)),
    "timm_clip_without_config": Case((None,), options=dict(model=VIT.clone(pre_norm=True))),
    "timm_distilled": Case(WHOLE, timm_config("deit_tiny_distilled_patch16_224", num_heads=3)),
    "timm_beit": Case(WHOLE, timm_config("beit_base_patch16_224", num_heads=3)),
    "timm_swin": Case(PADDED, timm_config("swin_tiny_patch4_window7_224", img_size=32)),
    "timm_swinv2": Case(PADDED, timm_config("swinv2_tiny_window8_256", img_size=32, window_size=4)),
    "huggingface_vit": Case(WHOLE, dict(model_type="vit", **HUGGING_FACE_VIT)),
    "huggingface_vit_bare": Case((None, (16, 24)), dict(model_type="vit", **HUGGING_FACE_VIT)),
    "huggingface_vit_of_version_5": Case((None,), dict(model_type="vit", **HUGGING_FACE_VIT)),
    "huggingface_deit": Case(WHOLE, dict(model_type="deit", **HUGGING_FACE_VIT)),
    "huggingface_deit_with_teacher": Case(WHOLE, dict(model_type="deit", **HUGGING_FACE_VIT)),
    "huggingface_beit": Case(
        WHOLE,
        dict(
            model_type="beit",
            use_relative_position_bias=True,
            use_mean_pooling=True,
            layer_scale_init_value=0.1,
            **HUGGING_FACE_VIT,
        ),
    ),
    "huggingface_data2vec": Case(
        WHOLE,
        dict(
            model_type="data2vec-vision",
            use_relative_position_bias=True,
            use_mean_pooling=True,
            layer_scale_init_value=0.1,
            **HUGGING_FACE_VIT,
        ),
    ),
    "huggingface_ijepa": Case(WHOLE, dict(model_type="ijepa", **HUGGING_FACE_VIT)),
    "huggingface_dinov2": Case(WHOLE, dict(model_type="dinov2", **HUGGING_FACE_DINOV2)),
    "huggingface_dinov2_swiglu": Case(
        (None, (16, 24)), dict(model_type="dinov2", use_swiglu_ffn=True, **HUGGING_FACE_DINOV2)
    ),
    "huggingface_dinov2_registers": Case(
        WHOLE, dict(model_type="dinov2_with_registers", num_register_tokens=3, **HUGGING_FACE_DINOV2)
    ),
    "huggingface_swin": Case(MAPS, dict(model_type="swin", **HUGGING_FACE_SWIN)),
    "huggingface_swinv2": Case((*MAPS, (64, 8)), dict(model_type="swinv2", **HUGGING_FACE_SWIN)),
    "torchvision": Case((None, (24, 24)), options=dict(model=VIT)),
    "torchvision_swin": Case((None, (48, 48), (24, 40))),
    "torchvision_swinv2": Case((None, (48, 48), (24, 40))),
    "deit": Case(WHOLE, wrapper="model", options=dict(model=VIT)),
    "deit_distilled": Case(WHOLE, wrapper="model", options=dict(model=VIT.clone(distilled=True))),
    "deit3": Case(WHOLE, wrapper="model", options=dict(model=VIT.clone(no_embed_class=True, layer_scale=0.1))),
    "mae_encoder": Case(WHOLE, wrapper="model", options=dict(model=VIT.clone(num_classes=0))),
    "mae_fine_tuned": Case(WHOLE, wrapper="model", options=dict(model=VIT.clone(pool="avg", fc_norm=True))),
    "dino": Case(WHOLE, wrapper="teacher", options=dict(model=VIT.clone(num_classes=0))),
    "dino_backbone": Case((None, (24, 24)), options=dict(model=VIT.clone(num_classes=0), publisher="dino")),
    "dinov2": Case(WHOLE, options=dict(model=DINOV2)),
    "dinov2_swiglu": Case((None, (16, 24)), options=dict(model=DINOV2.clone(swiglu=True))),
    "dinov2_registers": Case(WHOLE, options=dict(model=DINOV2.clone(num_registers=3, no_embed_class=True))),
    "beit": Case(WHOLE, wrapper="model"),
    "swin": Case((None, (64, 64), (64, 96)), wrapper="model"),
    "swinv2": Case((None, (64, 64)), wrapper="model"),
}


def draw(shapes: Shapes, seed: int) -> dict[str, np.ndarray]:
    """Random values for every array of a file, drawn in the sorted order of the names.

    As in `tests.models.cases.random_params`: nothing keeps a default that would hide a mistake, and tokens start small,
    so that the first LayerNorm shows its epsilon.
    """
    random = np.random.RandomState(seed)
    return {name: draw_one(name, shapes[name], random) for name in sorted(shapes)}


def draw_one(name: str, shape: tuple[int, ...], random: np.random.RandomState) -> np.ndarray:
    """One of these."""
    if INTEGERS.search(name):
        return np.zeros(shape, np.int64)
    noise = random.standard_normal(shape).astype(np.float32)
    if name.endswith("relative_coords_table"):
        return coordinates(shape[1] // 2)
    if re.search(r"token|pos|cls|patch_embed|embedding|conv_proj|features\.0\.0", name) and "bias" not in name:
        return noise * np.float32(0.05)
    if re.search(r"(norm|ln|LayerNorm)[\w.]*[./](weight|scale)$|gamma|lambda|features\.0\.2\.weight", name):
        return 1 + noise * np.float32(0.3)
    if name.endswith("bias"):
        return noise * np.float32(0.3)
    if name.endswith("table"):
        return noise
    if name.endswith("logit_scale"):
        return 2 + noise * 3
    return noise * np.float32(math.prod(inputs(name, shape)) ** -0.5)


def coordinates(farthest: int, scale: int | None = None) -> np.ndarray:
    """Swin V2's table of offsets up to the farthest, of which the scale becomes 8 (by default the farthest)."""
    offsets = np.arange(-farthest, farthest + 1) * 8 / (scale or farthest)
    logarithms = np.sign(offsets) * np.log2(np.abs(offsets) + 1) / np.log2(8)
    return np.stack(np.meshgrid(logarithms, logarithms, indexing="ij"), axis=-1)[None].astype(np.float32)


def inputs(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a matrix that are summed over."""
    if name.endswith("weight"):  # PyTorch: [out, in, ...]
        return shape[1:]
    if "encoderblock/" in name:  # stacked
        shape = shape[1:]
    return shape[:1] if re.search("query|key|value", name) else shape[:-1]  # Flax: [in, ..., out]


def write(case: Case, arrays: Mapping[str, np.ndarray], directory: Path) -> Path:
    """Writes a case's file, with its config if it has one, and returns what `load_pretrained` takes."""
    directory.mkdir(parents=True, exist_ok=True)
    if case.npz:
        np.savez(directory / "weights.npz", **arrays)  # pyright: ignore[reportArgumentType]
        return directory / "weights.npz"
    prefix = f"{case.wrapper}/" if case.wrapper else ""
    save_file({prefix + name: x for name, x in arrays.items()}, directory / "model.safetensors")
    if case.config is None:
        return directory / "model.safetensors"
    (directory / "config.json").write_text(json.dumps(case.config))
    return directory


def golden_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Names and shapes of every case's file."""
    stored = json.loads(GOLDEN_SHAPES.read_text())
    return {case: {name: tuple(shape) for name, shape in shapes.items()} for case, shapes in stored.items()}


def images_for(name: str, size: Size | None, seed: int) -> np.ndarray:
    """Images float32 [2, H, W, 3] of a size, or of the case's own, standard normal."""
    height, width = size or ((32, 32) if "swin" in name else (16, 16))
    return np.random.RandomState(seed).standard_normal((2, height, width, 3)).astype(np.float32)
