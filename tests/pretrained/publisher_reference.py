"""What each publisher's own code computes with the files of `publisher_cases`.

Networks of the papers' own repositories that are not packages are timm's (the same arithmetic, by timm's tests and
these authors' statements), or Hugging Face's for Swin, with embeddings resized by the authors' calls. Importing this
module needs torch, timm, torchvision and transformers (the extra "parity").
"""

import re
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from safetensors.torch import load_file, save_file
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import zoom

from tests.pretrained.fitpack_reference import beit_bias_table
from tests.pretrained.publisher_cases import CASES, draw
from tests.pretrained.resize_cases import BiasCase, PositionCase
from tests.pretrained.resize_reference import torch_position_embedding

# isort: split
import torchvision.models as torchvision  # pyright: ignore[reportMissingImports]
import transformers  # pyright: ignore[reportMissingImports]
from timm.layers.mlp import SwiGLUPacked  # pyright: ignore[reportMissingImports]
from timm.layers.norm import LayerNorm  # pyright: ignore[reportMissingImports]
from timm.models import (  # pyright: ignore[reportMissingImports]
    beit,
    deit,
    swin_transformer,
    swin_transformer_v2,
    vision_transformer,
)
from torchvision.models.swin_transformer import (  # pyright: ignore[reportMissingImports]
    PatchMergingV2,
    SwinTransformerBlockV2,
)
from torchvision.models.vision_transformer import interpolate_embeddings  # pyright: ignore[reportMissingImports]

Arrays = Mapping[str, np.ndarray]

TIMM = dict(embed_dim=24, depth=2, num_heads=3, mlp_ratio=2.5, img_size=16, patch_size=4, num_classes=5)
TIMM_SWIN = dict(
    img_size=32, embed_dim=12, depths=(2, 2), num_heads=(2, 3), window_size=4, mlp_ratio=2.5, num_classes=5
)


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    """Arrays as torch has them."""
    return {name: torch.tensor(x) for name, x in arrays.items()}


def run(network: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """The logits of a network for images [B, H, W, C]."""
    with torch.no_grad():
        return network.eval()(torch.tensor(images).permute(0, 3, 1, 2)).numpy()


def shapes_of(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict."""
    return {name: tuple(x.shape) for name, x in state.items()}


class Reference(NamedTuple):
    """What a publisher's code says of a case.

    Attributes:
        shapes: gives names and shapes of the file.
        logits: what the network computes with the arrays of the file for images [B, H, W, C].
    """

    shapes: Callable[[], dict[str, tuple[int, ...]]]
    logits: Callable[[Arrays, np.ndarray], np.ndarray]


# timm, and the papers' own code where its arithmetic is timm's.


def no_resizing(arrays: Arrays, images: np.ndarray) -> Arrays:
    """timm's filters resize by themselves."""
    return arrays


def positions(method: str, prefix: int) -> Callable[[Arrays, np.ndarray], Arrays]:
    """Resizes position embeddings to the images, as the authors call torch."""

    def resize(arrays: Arrays, images: np.ndarray) -> Arrays:
        grid = (images.shape[1] // 4, images.shape[2] // 4)
        if grid == (4, 4):
            return arrays
        case = PositionCase(prefix, (4, 4), grid)
        return {**arrays, "pos_embed": torch_position_embedding(arrays["pos_embed"], case, method)}

    return resize


def beit_tables(arrays: Arrays, images: np.ndarray) -> Arrays:
    """Resizes bias tables as BEiT's authors do."""
    case = BiasCase((4, 4), (images.shape[1] // 4, images.shape[2] // 4), extra=3)

    def spline(x: Any, y: Any, values: np.ndarray, new_x: Any, new_y: Any) -> np.ndarray:
        return RectBivariateSpline(y, x, values)(new_y, new_x)

    return {n: beit_bias_table(x, case, spline) if n.endswith("bias_table") else x for n, x in arrays.items()}


def timm_reference(
    make: Callable[..., torch.nn.Module],
    filter: Callable[..., Any] = vision_transformer.checkpoint_filter_fn,
    file: Callable[[dict[str, tuple[int, ...]]], dict[str, tuple[int, ...]]] = dict,
    to_timm: Callable[[Arrays], Arrays] = dict,
    resize: Callable[[Arrays, np.ndarray], Arrays] = no_resizing,
) -> Reference:
    """A network of timm's.

    Args:
        make: makes it.
        filter: timm's own, which reads the authors' names and resizes what is not of the network's size.
        file: from timm's names and shapes to the file's.
        to_timm: from the file's arrays to what the filter takes.
        resize: done before the filter.
    """

    def logits(arrays: Arrays, images: np.ndarray) -> np.ndarray:
        network = make(img_size=images.shape[1:3])
        state = tensors(resize(to_timm(arrays), images))
        network.load_state_dict(filter(state, network), strict=True)
        return run(network, images)

    return Reference(lambda: file(shapes_of(make().state_dict())), logits)


vit = partial(vision_transformer.VisionTransformer, **TIMM)
clip = partial(vit, pre_norm=True, norm_layer=partial(LayerNorm, eps=1e-5))
timm_beit = partial(
    beit.Beit, **TIMM, use_rel_pos_bias=True, use_shared_rel_pos_bias=False, use_abs_pos_emb=False, init_values=0.1
)
timm_swin = partial(swin_transformer.SwinTransformer, **TIMM_SWIN)
timm_swinv2 = partial(swin_transformer_v2.SwinTransformerV2, **TIMM_SWIN)
dinov2 = partial(vit, init_values=0.1, num_classes=0)
swiglu = partial(dinov2, mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU, mlp_ratio=5.0)
registers = partial(dinov2, reg_tokens=3, no_embed_class=True)


def renamed(*pairs: tuple[str, str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The function that renames by regular expressions."""

    def rename(named: Mapping[str, Any]) -> dict[str, Any]:
        result = {}
        for name, x in named.items():
            for pattern, replacement in pairs:
                name = re.sub(pattern, replacement, name)
            result[name] = x
        return result

    return rename


def dino_file(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The teacher of a run of DINO: a backbone and the head of its training."""
    backbone = {f"module.backbone.{name}": shape for name, shape in shapes.items()}
    return {**backbone, "module.head.mlp.0.weight": (8, 24), "module.head.last_layer.weight_g": (9, 1)}


def dino_backbone(arrays: Arrays) -> Arrays:
    """The backbone of such a file."""
    prefix = "module.backbone."
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}


def dinov2_file(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """DINOv2's own names: registers have no positions, the class token has; SwiGLU is w12 and w3."""
    if "reg_token" in shapes:
        shapes = renamed(("^reg_token$", "register_tokens"))(shapes) | {"pos_embed": (1, 17, 24)}
    if shapes["blocks.0.mlp.fc1.weight"][0] == 2 * shapes["blocks.0.mlp.fc2.weight"][1]:
        shapes = renamed((r"mlp\.fc1", "mlp.w12"), (r"mlp\.fc2", "mlp.w3"))(shapes)
    return {**shapes, "mask_token": (1, 24)}


def beit_file(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """BEiT's files have buffers."""
    return {**shapes, **{f"blocks.{i}.attn.relative_position_index": (17, 17) for i in range(2)}}


def swin_file(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Swin's own names, with buffers."""
    shapes = renamed((r"layers\.1\.downsample", "layers.0.downsample"), (r"^head\.fc\.", "head."))(shapes)
    buffers = {f"layers.{i}.blocks.{j}.attn.relative_position_index": (16, 16) for i in (0, 1) for j in (0, 1)}
    if "layers.0.blocks.0.attn.logit_scale" in shapes:
        buffers |= {f"layers.{i}.blocks.{j}.attn.relative_coords_table": (1, 7, 7, 2) for i in (0, 1) for j in (0, 1)}
    return {**shapes, **buffers, "layers.0.blocks.1.attn_mask": (4, 16, 16)}


def swinv2_of_windows(pretrained: tuple[int, ...], images: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A file as Swin's authors write it, buffers included, of a network whose windows were others, and its logits."""
    network = timm_swinv2(pretrained_window_sizes=pretrained)
    parameters = draw(shapes_of(network.state_dict()), 1)
    network.load_state_dict(tensors(parameters), strict=True)
    buffers = {name: x.numpy() for name, x in network.named_buffers() if not name.endswith("k_bias")}
    names = renamed((r"layers\.1\.downsample", "layers.0.downsample"), (r"^head\.fc\.", "head."))
    return names({**parameters, **buffers}), run(network, images)


# Google, through timm's reader of its files.


def google_shapes(positions: str, attention: str, norm2: str, mlp: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a small network, with the words of vit_jax or of big_vision."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls": (1, 1, 24),
        "embedding/kernel": (4, 4, 3, 24),
        "embedding/bias": (24,),
        positions: (1, 17, 24),
        "Transformer/encoder_norm/scale": (24,),
        "Transformer/encoder_norm/bias": (24,),
        "head/kernel": (24, 5),
        "head/bias": (5,),
    }
    for i in range(2):
        block = f"Transformer/encoderblock_{i}/"
        shapes |= {f"{block}{n}/{part}": (24,) for n in ("LayerNorm_0", norm2) for part in ("scale", "bias")}
        shapes |= flax_attention(f"{block}{attention}") | flax_mlp(f"{block}{mlp}")
    return shapes


def flax_attention(name: str) -> dict[str, tuple[int, ...]]:
    """Flax's MultiHeadDotProductAttention."""
    shapes: dict[str, tuple[int, ...]] = {f"{name}/out/kernel": (3, 8, 24), f"{name}/out/bias": (24,)}
    for part in ("query", "key", "value"):
        shapes |= {f"{name}/{part}/kernel": (24, 3, 8), f"{name}/{part}/bias": (3, 8)}
    return shapes


def flax_mlp(name: str) -> dict[str, tuple[int, ...]]:
    """Google's MlpBlock."""
    return {
        f"{name}/Dense_0/kernel": (24, 60),
        f"{name}/Dense_0/bias": (60,),
        f"{name}/Dense_1/kernel": (60, 24),
        f"{name}/Dense_1/bias": (24,),
    }


VIT_JAX = ("Transformer/posembed_input/pos_embedding", "MultiHeadDotProductAttention_1", "LayerNorm_2", "MlpBlock_3")
BIG_VISION = ("pos_embedding", "MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0")


def big_vision_stacked() -> dict[str, tuple[int, ...]]:
    """big_vision's names with the blocks stacked for its scan, and its prefix."""
    shapes = google_shapes(*BIG_VISION)
    alone = {name: shape for name, shape in shapes.items() if "encoderblock" not in name}
    first = {n.replace("block_0/", "block/"): (2, *shape) for n, shape in shapes.items() if "encoderblock_0" in n}
    return {f"params/{name}": shape for name, shape in {**alone, **first}.items()}


def apart(arrays: Arrays) -> Arrays:
    """Stacked blocks one by one."""
    result = {name: x for name, x in arrays.items() if "encoderblock/" not in name}
    for name, x in arrays.items():
        if "encoderblock/" in name:
            result |= {name.replace("encoderblock/", f"encoderblock_{i}/"): x[i] for i in range(len(x))}
    return result


def map_head() -> dict[str, tuple[int, ...]]:
    """big_vision's network without a class token, pooled by attention."""
    shapes = {name: shape for name, shape in google_shapes(*BIG_VISION).items() if name != "cls"}
    shapes |= {"pos_embedding": (1, 16, 24), "MAPHead_0/probe": (1, 1, 24)}
    shapes |= flax_attention("MAPHead_0/MultiHeadDotProductAttention_0") | flax_mlp("MAPHead_0/MlpBlock_0")
    shapes |= {f"MAPHead_0/LayerNorm_0/{part}": (24,) for part in ("scale", "bias")}
    return {f"params/{name}": shape for name, shape in shapes.items()}


def google_logits(arrays: Arrays, images: np.ndarray, **fields: Any) -> np.ndarray:
    """timm's network with the tanh form of GELU, read from .npz; positions resized first, as Google's code does."""
    arrays, grid = dict(apart(arrays)), (images.shape[1] // 4, images.shape[2] // 4)
    name = next(name for name in arrays if name.endswith("pos_embedding"))
    prefix = arrays[name].shape[1] - 16
    square = arrays[name][0, prefix:].reshape(4, 4, 24)
    zoomed = np.asarray(zoom(square, (grid[0] / 4, grid[1] / 4, 1), order=1)).reshape(1, -1, 24)
    arrays[name] = np.concatenate([arrays[name][:, :prefix], zoomed], axis=1)
    network = vit(act_layer="gelu_tanh", img_size=images.shape[1:3], **fields)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "weights.npz")
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
        network.load_pretrained(str(path))  # pyright: ignore[reportCallIssue]
    return run(network, images)


# Hugging Face.


def hugging_face(name: str, network: str, **flags: Any) -> Reference:
    """A network of transformers, with the config of a case.

    Args:
        name: of the case.
        network: its class.
        flags: of the call for images of another size.
    """
    config = transformers.AutoConfig.for_model(**(CASES[name].config or {}), num_labels=5)
    kind = getattr(transformers, network)

    def shapes() -> dict[str, tuple[int, ...]]:
        with tempfile.TemporaryDirectory() as directory:
            kind(config).save_pretrained(directory)
            return shapes_of(load_file(Path(directory, "model.safetensors")))

    def logits(arrays: Arrays, images: np.ndarray) -> np.ndarray:
        other = images.shape[1:3] != (config.image_size, config.image_size)
        with tempfile.TemporaryDirectory() as directory:
            config.save_pretrained(directory)
            save_file(tensors(arrays), Path(directory, "model.safetensors"), metadata={"format": "pt"})
            rebuilt = {"image_size": images.shape[1:3]} if other and not flags else {}
            model, report = kind.from_pretrained(directory, output_loading_info=True, **rebuilt)
        assert not report["missing_keys"], report
        assert not report["unexpected_keys"], report
        with torch.no_grad():
            output = model.eval()(torch.tensor(images).permute(0, 3, 1, 2), **(flags if other else {}))
        return (output.logits if "logits" in output else output.last_hidden_state[:, 0]).numpy()

    return Reference(shapes, logits)


def in_memory(name: str, network: str) -> Reference:
    """The same network with the names that version 5 has in memory."""
    config = transformers.AutoConfig.for_model(**(CASES[name].config or {}), num_labels=5)
    model = getattr(transformers, network)(config)

    def logits(arrays: Arrays, images: np.ndarray) -> np.ndarray:
        model.load_state_dict(tensors(arrays), strict=True)
        with torch.no_grad():
            return model.eval()(torch.tensor(images).permute(0, 3, 1, 2)).logits.numpy()

    return Reference(lambda: shapes_of(model.state_dict()), logits)


# torchvision.


def torchvision_vit(image_size: int = 16) -> torch.nn.Module:
    """A small Vision Transformer of torchvision's."""
    return torchvision.VisionTransformer(
        image_size=image_size, patch_size=4, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=60, num_classes=5
    )


def torchvision_vit_logits(arrays: Arrays, images: np.ndarray) -> np.ndarray:
    """Its logits, positions resized by torchvision's function."""
    size = images.shape[1]
    network = torchvision_vit(size)
    state = interpolate_embeddings(size, 4, OrderedDict(tensors(arrays)))  # pyright: ignore[reportArgumentType]
    network.load_state_dict(state, strict=True)
    return run(network, images)


def torchvision_swin(**parts: Any) -> Reference:
    """A small Swin Transformer of torchvision's."""
    network = torchvision.SwinTransformer(
        patch_size=[4, 4], embed_dim=12, depths=[2, 2], num_heads=[2, 3], window_size=[4, 4], mlp_ratio=2.5,
        num_classes=5, **parts,
    )  # fmt: skip
    state = network.state_dict()

    def logits(arrays: Arrays, images: np.ndarray) -> np.ndarray:
        parameters = {n: x for n, x in tensors(arrays).items() if not re.search("index|coords_table", n)}
        network.load_state_dict({**state, **parameters})
        return run(network, images)

    return Reference(lambda: shapes_of(state), logits)


INTERPOLATE = dict(interpolate_pos_encoding=True)
swin_filter = swin_transformer.checkpoint_filter_fn
swinv2_filter = swin_transformer_v2.checkpoint_filter_fn

REFERENCES: Mapping[str, Reference] = {
    "google": Reference(lambda: google_shapes(*VIT_JAX), google_logits),
    "google_big_vision_stacked": Reference(big_vision_stacked, google_logits),
    "google_map_head": Reference(map_head, partial(google_logits, global_pool="map", class_token=False)),
    "timm": timm_reference(vit),
    "timm_without_config": timm_reference(vit),
    "timm_registers": timm_reference(partial(vit, reg_tokens=3, no_embed_class=True)),
    "timm_average": timm_reference(partial(vit, global_pool="avg")),
    "timm_siglip": timm_reference(partial(vit, global_pool="map", class_token=False, act_layer="gelu_tanh")),
    "timm_clip": timm_reference(clip),
    "timm_clip_quick": timm_reference(partial(clip, act_layer="quick_gelu")),
    "timm_clip_without_config": timm_reference(clip),
    "timm_distilled": timm_reference(partial(deit.VisionTransformerDistilled, **TIMM)),
    "timm_beit": timm_reference(timm_beit, beit.checkpoint_filter_fn),
    "timm_swin": timm_reference(timm_swin, swin_filter),
    "timm_swinv2": timm_reference(timm_swinv2, swinv2_filter),
    "huggingface_vit": hugging_face("huggingface_vit", "ViTForImageClassification", **INTERPOLATE),
    "huggingface_vit_bare": hugging_face("huggingface_vit_bare", "ViTModel", **INTERPOLATE),
    "huggingface_vit_of_version_5": in_memory("huggingface_vit_of_version_5", "ViTForImageClassification"),
    "huggingface_deit": hugging_face("huggingface_deit", "DeiTForImageClassification", **INTERPOLATE),
    "huggingface_deit_with_teacher": hugging_face(
        "huggingface_deit_with_teacher", "DeiTForImageClassificationWithTeacher", **INTERPOLATE
    ),
    "huggingface_beit": hugging_face("huggingface_beit", "BeitForImageClassification", **INTERPOLATE),
    "huggingface_data2vec": hugging_face("huggingface_data2vec", "Data2VecVisionForImageClassification", **INTERPOLATE),
    "huggingface_ijepa": hugging_face("huggingface_ijepa", "IJepaForImageClassification", **INTERPOLATE),
    "huggingface_dinov2": hugging_face("huggingface_dinov2", "Dinov2ForImageClassification", return_dict=True),
    "huggingface_dinov2_swiglu": hugging_face(
        "huggingface_dinov2_swiglu", "Dinov2ForImageClassification", return_dict=True
    ),
    "huggingface_dinov2_registers": hugging_face(
        "huggingface_dinov2_registers", "Dinov2WithRegistersForImageClassification", return_dict=True
    ),
    "huggingface_swin": hugging_face("huggingface_swin", "SwinForImageClassification"),
    "huggingface_swinv2": hugging_face("huggingface_swinv2", "Swinv2ForImageClassification"),
    "torchvision": Reference(lambda: shapes_of(torchvision_vit().state_dict()), torchvision_vit_logits),
    "torchvision_swin": torchvision_swin(),
    "torchvision_swinv2": torchvision_swin(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2),
    "deit": timm_reference(vit, resize=positions("bicubic", 1)),
    "deit_distilled": timm_reference(partial(deit.VisionTransformerDistilled, **TIMM), resize=positions("bicubic", 2)),
    "deit3": timm_reference(
        partial(vit, no_embed_class=True, init_values=0.1),
        partial(vision_transformer.checkpoint_filter_fn, adapt_layer_scale=True),
        renamed((r"ls(\d)\.gamma", r"gamma_\1")),
        resize=positions("bicubic", 0),
    ),
    "mae_encoder": timm_reference(partial(vit, num_classes=0), resize=positions("bicubic", 1)),
    "mae_fine_tuned": timm_reference(partial(vit, global_pool="avg"), resize=positions("bicubic", 1)),
    "dino": timm_reference(
        partial(vit, num_classes=0), file=dino_file, to_timm=dino_backbone, resize=positions("bicubic_offset", 1)
    ),
    "dino_backbone": timm_reference(partial(vit, num_classes=0), resize=positions("bicubic_offset", 1)),
    "dinov2": timm_reference(dinov2, file=dinov2_file, resize=positions("bicubic_offset", 1)),
    "dinov2_swiglu": timm_reference(swiglu, file=dinov2_file, resize=positions("bicubic_offset", 1)),
    "dinov2_registers": timm_reference(registers, file=dinov2_file, resize=positions("bicubic_antialias", 1)),
    "beit": timm_reference(timm_beit, beit.checkpoint_filter_fn, beit_file, resize=beit_tables),
    "swin": timm_reference(timm_swin, swin_filter, swin_file),
    "swinv2": timm_reference(timm_swinv2, swinv2_filter, swin_file),
}
