"""The network that stored parameters belong to, from their shapes (by our names) and what a publisher's config adds."""

import dataclasses
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

from vit_jax.models.network import Network, pair, patch_grid
from vit_jax.models.registry import VIT_SIZES
from vit_jax.models.relative_position import CLASS_TOKEN_ENTRIES
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

logger = logging.getLogger(__name__)

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of parameters by our paths, joined by "/"."""

PUBLISHED_HEADS = {
    (size["embed_dim"], size["depth"], int(size["embed_dim"] * size.get("mlp_ratio", 4.0))): size["num_heads"]
    for size in VIT_SIZES.values()
} | {(1536, 40, 4096): 24}  # DINOv2's giant, with SwiGLU
"""Attention heads of the published sizes by width, depth and width of the MLP: shapes alone do not tell."""


def vit_fields(shapes: Shapes, **known: Any) -> dict[str, Any]:
    """Fields of a `VisionTransformer` with parameters of these shapes.

    Args:
        shapes: of all its parameters.
        known: fields that the publisher or its config says; they are taken as they are.

    Raises:
        ValueError: if something is neither in the shapes nor known; says which field.
    """
    patch_height, patch_width, in_channels, embed_dim = shapes["patch_embed/kernel"]
    depth = depth_of(shapes)
    if depth == 0 or "blocks_0/mlp/fc2/kernel" not in shapes:
        raise ValueError("there are no encoder blocks with an MLP in it")
    hidden_in, hidden = shapes["blocks_0/mlp/fc1/kernel"][1], shapes["blocks_0/mlp/fc2/kernel"][0]
    fields: dict[str, Any] = dict(
        in_channels=in_channels,
        patch_size=one_if_square(patch_height, patch_width),
        embed_dim=embed_dim,
        depth=depth,
        mlp_ratio=hidden / embed_dim,
        swiglu=hidden_in == 2 * hidden,
        qkv_bias="blocks_0/attn/qkv/bias" in shapes or "blocks_0/attn/q_bias" in shapes,
        key_bias="blocks_0/attn/q_bias" not in shapes,
        qk_norm="blocks_0/attn/q_norm/scale" in shapes,
        layer_scale=1e-5 if "blocks_0/ls1/gamma" in shapes else None,
        class_token="cls_token" in shapes,
        distilled="dist_token" in shapes,
        num_registers=count(shapes["reg_token"]) if "reg_token" in shapes else 0,
        mask_token="mask_token" in shapes,
        pre_norm="norm_pre/scale" in shapes,
        fc_norm="fc_norm/scale" in shapes,
        num_classes=shapes["head/kernel"][-1] if "head/kernel" in shapes else 0,
        representation_size=shapes["pre_logits/kernel"][-1] if "pre_logits/kernel" in shapes else 0,
    )
    fields["relative_position"] = "none"
    if "relative_position_bias/table" in shapes:
        fields["relative_position"] = "shared"
    elif "blocks_0/attn/relative_position_bias/table" in shapes:
        fields["relative_position"] = "per_block"
    if "attn_pool/latent" in shapes:
        fields["pool"] = "map"
    elif fields["fc_norm"] or not fields["class_token"]:
        fields["pool"] = "avg"
    elif "head/kernel" in shapes and not fields["representation_size"] and shapes["head/kernel"][0] == 2 * embed_dim:
        fields["pool"] = "token_avg"
    fields |= known
    if "image_size" in known:
        fields["image_size"] = whole_patches(known["image_size"], fields["patch_size"])
    fields.setdefault("num_heads", vit_heads(shapes, embed_dim, depth, hidden))
    return fields | positions(shapes, fields)


def whole_patches(image_size: Any, patch_size: Any) -> Any:
    """The image's size without the margin at the bottom and the right that its patches leave over, which is said.

    timm and Hugging Face have networks with one, which they do not see: SigLIP's of 384 px, in patches of 14.
    """
    (height, width), (patch_height, patch_width) = pair(image_size), pair(patch_size)
    whole = (height // patch_height * patch_height, width // patch_width * patch_width)
    if whole == (height, width):
        return image_size
    message = "images are of %d x %d px, whole patches: of its own %d x %d px the network does not see the rest"
    logger.warning(message, *whole, height, width)
    return one_if_square(*whole)


def vit_heads(shapes: Shapes, embed_dim: int, depth: int, hidden: int) -> int | None:
    """Attention heads where a bias table or a published size tells them; None otherwise."""
    for path in ("relative_position_bias/table", "blocks_0/attn/relative_position_bias/table"):
        if path in shapes:
            return shapes[path][-1]
    if "blocks_0/attn/q_norm/scale" in shapes:
        return embed_dim // shapes["blocks_0/attn/q_norm/scale"][0]
    return PUBLISHED_HEADS.get((embed_dim, depth, hidden))


def positions(shapes: Shapes, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that position embeddings decide: what they cover and, if it is not known, the image's size."""
    prefix = sum(map(int, (fields["class_token"], fields["distilled"], fields["num_registers"])))
    if "pos_embed" in shapes:
        tokens = count(shapes["pos_embed"])
        if "image_size" in fields:
            rows, columns = patch_grid(fields["image_size"], fields["patch_size"])
            return dict(pos_embed="learned", no_embed_class=prefix > 0 and tokens == rows * columns)
        for covered, no_embed_class in ((tokens - prefix, False), (tokens, prefix > 0)):
            if covered > 0 and math.isqrt(covered) ** 2 == covered:
                size = dict(image_size=image_of(math.isqrt(covered), fields["patch_size"]))
                return dict(pos_embed="learned", no_embed_class=no_embed_class, **size)
        raise ValueError(f"its {tokens} position embeddings are no square grid")
    pos_embed = dict(pos_embed=fields.get("pos_embed", "none"))
    if "image_size" in fields:
        return pos_embed
    for path in ("relative_position_bias/table", "blocks_0/attn/relative_position_bias/table"):
        if path in shapes:
            side = (math.isqrt(shapes[path][0] - CLASS_TOKEN_ENTRIES) + 1) // 2
            return dict(**pos_embed, image_size=image_of(side, fields["patch_size"]))
    return pos_embed


def count(shape: tuple[int, ...]) -> int:
    """How many tokens a parameter [1, tokens, D] is of; of a misshapen one, which `check` lists, some number."""
    return (1, 1, *shape)[-2]


def below(shapes: Shapes, prefix: str) -> Shapes:
    """The shapes whose paths start with a prefix, without it."""
    return {path.removeprefix(prefix): shape for path, shape in shapes.items() if path.startswith(prefix)}


def depth_of(shapes: Shapes) -> int:
    """Number of encoder blocks."""
    return 1 + max((int(number) for path in shapes for number in re.findall(r"^blocks_(\d+)/", path)), default=-1)


def image_of(side: int, patch_size: Any) -> Any:
    """The image of side x side patches."""
    return one_if_square(*(side * patch for patch in pair(patch_size)))


def one_if_square(height: int, width: int) -> int | tuple[int, int]:
    """A size as configs have it: one number for squares."""
    return height if height == width else (height, width)


def swin_fields(shapes: Shapes, **known: Any) -> dict[str, Any]:
    """Fields of a `SwinTransformer` with parameters of these shapes; as `vit_fields`."""
    patch_height, patch_width, in_channels, embed_dim = shapes["patch_embed/kernel"]
    blocks = [(int(i), int(j)) for path in shapes for i, j in re.findall(r"^layers_(\d+)/blocks_(\d+)/", path)]
    stages = 1 + max((stage for stage, _ in blocks), default=-1)
    depths = tuple(1 + max(block for stage, block in blocks if stage == i) for i in range(stages))
    first = [f"layers_{i}/blocks_0/" for i in range(stages)]
    version = 2 if f"{first[0]}attn/logit_scale" in shapes else 1
    fields: dict[str, Any] = dict(
        version=version,
        in_channels=in_channels,
        patch_size=one_if_square(patch_height, patch_width),
        embed_dim=embed_dim,
        depths=depths,
        mlp_ratio=shapes[f"{first[0]}mlp/fc1/kernel"][1] / embed_dim,
        qkv_bias=f"{first[0]}attn/qkv/bias" in shapes or f"{first[0]}attn/q_bias" in shapes,
        num_classes=shapes["head/kernel"][-1] if "head/kernel" in shapes else 0,
    )
    if version == 2:
        fields["num_heads"] = tuple(shapes[f"{block}attn/logit_scale"][0] for block in first)
    else:
        tables = [shapes[f"{block}attn/relative_position_bias/table"] for block in first]
        fields["num_heads"] = tuple(table[-1] for table in tables)
        windows = tuple((math.isqrt(table[0]) + 1) // 2 for table in tables)
        # A smaller one in a later stage is all of its map; a larger one is a window of its own (timm's Swin-S3).
        fields["window_size"] = windows if max(windows) > windows[0] else windows[0]
        # Published: the last stage of a square image is one window.
        fields["image_size"] = windows[-1] * patch_height * 2 ** (stages - 1)
    return fields | known


def stored_sizes(model: Network, shapes: Shapes) -> dict[str, Any]:
    """The sizes of image and windows that parameters have, where they are not those of the module given for them.

    Empty where they are, or where shapes do not tell.
    """
    if isinstance(model, SwinTransformer):
        if model.version == 2 or "layers_0/blocks_0/attn/relative_position_bias/table" not in shapes:
            return {}
        stored = swin_fields(shapes)
        return {name: stored[name] for name in ("image_size", "window_size")}
    if isinstance(model, VisionTransformer):
        fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
        own = math.prod(model.grid) + (0 if model.no_embed_class else model.num_prefix_tokens)
        if count(shapes.get("pos_embed", (1, own, 0))) == own and model.relative_position == "none":
            return {}
        del fields["image_size"]
        found = positions(shapes, fields)
        return {"image_size": found["image_size"]} if "image_size" in found else {}
    return {}
