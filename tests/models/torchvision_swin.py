"""torchvision's Swin Transformers with our parameters. Importing this module needs torch, torchvision and timm."""

import re
from collections.abc import Mapping
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from tests.models.swin_cases import SMALL_SWIN
from tests.models.timm_swin import renamed, timm_parameters

# isort: split
# After timm_swin, which prepares for torchvision's import.
from torchvision.models.swin_transformer import (  # pyright: ignore[reportMissingImports]
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)

# timm's names in torchvision's words, where patch embedding, stages and mergings are counted through.
NAMES = (
    (r"^patch_embed\.proj\.", "features.0.0."),
    (r"^patch_embed\.norm\.", "features.0.2."),
    (r"^layers\.(\d+)\.blocks", lambda found: f"features.{2 * int(found[1]) + 1}"),
    (r"^layers\.(\d+)\.downsample", lambda found: f"features.{2 * int(found[1])}"),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
    (r"^head\.fc\.", "head."),
)


def torchvision_parameters(params: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Our parameters by torchvision's names; version 2 has one bias for queries, keys (0) and values there."""
    parameters = {renamed(name, NAMES): value for name, value in timm_parameters(params).items()}
    for name in [name for name in parameters if name.endswith(".q_bias")]:
        q_bias, v_bias = parameters.pop(name), parameters.pop(re.sub("q_bias$", "v_bias", name))
        joined = torch.cat([q_bias, torch.zeros_like(q_bias), v_bias])
        parameters[re.sub("q_bias$", "qkv.bias", name)] = joined
    return parameters


def torchvision_model(fields: Mapping[str, Any], params: Mapping[str, Any]) -> torch.nn.Module:
    """torchvision's network of a case with our parameters."""
    fields = {**SMALL_SWIN, **fields}
    second: Any = {}
    if fields.get("version") == 2:
        second = dict(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2)
    model = SwinTransformer(
        patch_size=[fields["patch_size"]] * 2,
        embed_dim=fields["embed_dim"],
        depths=list(fields["depths"]),
        num_heads=list(fields["num_heads"]),
        window_size=[fields["window_size"]] * 2,
        num_classes=fields["num_classes"],
        **second,
    )
    unmatched = model.load_state_dict(torchvision_parameters(params), strict=False)
    buffers = {name for name, _ in model.named_buffers()}
    assert not unmatched.unexpected_keys, unmatched.unexpected_keys
    assert set(unmatched.missing_keys) <= buffers, unmatched.missing_keys
    return model
