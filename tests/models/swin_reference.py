"""The implementations that our Swin Transformers are compared with: timm's, Hugging Face's and torchvision's, with our
parameters. Importing this module needs torch, timm, transformers and torchvision (the extra "parity").
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from tests.models.swin_cases import SMALL_SWIN
from tests.models.timm_swin import renamed, timm_model, timm_parameters
from tests.models.torchvision_swin import torchvision_model

# isort: split
# After timm_swin, which prepares for torchvision's import: transformers imports it as well.
from transformers import (  # pyright: ignore[reportMissingImports]
    SwinConfig,
    SwinForImageClassification,
    Swinv2Config,
    Swinv2ForImageClassification,
)

# timm's names in the words of Hugging Face's modules, where patch merging ends a stage.
HUGGINGFACE_NAMES = (
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^patch_embed\.norm\.", "embeddings.norm."),
    (r"^norm\.", "layernorm."),
    (r"^layers\.(\d+)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample"),
    (r"^layers\.", "encoder.layers."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
)
HUGGINGFACE_NAMES_1 = (
    (r"\.attn\.relative_position_bias_table", ".attention.relative_position_bias.relative_position_bias_table"),
    (r"\.attn\.(q|k|v)\.", r".attention.\1_proj."),
    (r"\.attn\.proj", ".attention.o_proj"),
)
HUGGINGFACE_NAMES_2 = (
    (r"\.attn\.(q|k|v)[._]", lambda found: f".attn.{dict(q='query', k='key', v='value')[found[1]]}."),
    (r"\.attn\.cpb_mlp", ".attn.continuous_position_bias_mlp"),
    (r"\.attn\.proj", ".attention.output.dense"),
    (r"\.attn\.", ".attention.self."),
    (r"\.mlp\.fc1", ".intermediate.dense"),
    (r"\.mlp\.fc2", ".output.dense"),
)


def huggingface_parameters(params: Mapping[str, Any], version: int) -> dict[str, torch.Tensor]:
    """Our parameters by the names of Hugging Face's modules, which keep queries, keys and values apart."""
    apart = {}
    for name, value in timm_parameters(params).items():
        parts = zip("qkv", value.chunk(3), strict=True) if ".qkv." in name else [("qkv", value)]
        apart |= {name.replace(".qkv.", f".{part}."): third for part, third in parts}
    body = "swin." if version == 1 else "swinv2."
    table = HUGGINGFACE_NAMES + (HUGGINGFACE_NAMES_1 if version == 1 else HUGGINGFACE_NAMES_2)
    heads = {"head.fc.weight": "classifier.weight", "head.fc.bias": "classifier.bias"}
    return {heads.get(name) or body + renamed(name, table): value for name, value in apart.items()}


def huggingface_model(fields: Mapping[str, Any]) -> torch.nn.Module:
    fields = {**SMALL_SWIN, **fields}
    own = ("num_classes", "version", "window_rule", "depths", "num_heads")
    arguments = {name: value for name, value in fields.items() if name not in own}
    arguments |= dict(
        depths=list(fields["depths"]), num_heads=list(fields["num_heads"]), num_labels=fields["num_classes"]
    )
    if fields.get("version", 1) == 1:
        return SwinForImageClassification(SwinConfig(**arguments))
    return Swinv2ForImageClassification(Swinv2Config(**arguments))


def reference_logits(fields: Mapping[str, Any], params: Mapping[str, Any], images: np.ndarray) -> np.ndarray:
    """What the implementation that the case's window rule names computes with our parameters for [B, H, W, C]."""
    pixels = torch.tensor(images).permute(0, 3, 1, 2)
    if fields["window_rule"] == "torchvision":
        model = torchvision_model(fields, params)
    elif fields["window_rule"] == "timm":
        model = timm_model(fields)
        model.load_state_dict(timm_parameters(params), strict=True)
    else:
        model = huggingface_model(fields)
        model.load_state_dict(huggingface_parameters(params, fields.get("version", 1)), strict=True)
    model.eval()
    with torch.no_grad():
        outputs = model(pixels)
    return (outputs if isinstance(outputs, torch.Tensor) else outputs.logits).numpy()
