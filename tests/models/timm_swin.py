"""timm's Swin Transformers with our parameters. Importing this module needs torch and timm (the extra "parity")."""

import re
from collections.abc import Mapping
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from tests.models.swin_cases import SMALL_SWIN
from tests.models.timm_reference import ARGUMENTS, torch_layout

# isort: split
# After timm_reference, which prepares for timm's import.
from timm.models.swin_transformer import SwinTransformer  # pyright: ignore[reportMissingImports]
from timm.models.swin_transformer_v2 import SwinTransformerV2  # pyright: ignore[reportMissingImports]

# Our parameter names in timm's words.
TIMM_NAMES = (
    (r"\b(layers|blocks)_(\d+)", r"\1.\2"),
    (r"^patch_embed\.", "patch_embed.proj."),
    (r"^patch_norm\.", "patch_embed.norm."),
    (r"^head\.", "head.fc."),
    (r"relative_position_bias\.table", "relative_position_bias_table"),
    (r"relative_position_bias\.fc1", "cpb_mlp.0"),
    (r"relative_position_bias\.fc2", "cpb_mlp.2"),
    (r"\.(kernel|scale)$", ".weight"),
)


def renamed(name: str, table: Any) -> str:
    for pattern, replacement in table:
        name = re.sub(pattern, replacement, name)
    return name


def timm_parameters(params: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Our parameters by timm's names and in torch's layouts."""
    return {renamed(name, TIMM_NAMES): value for name, value in torch_layout(params).items()}


def timm_model(fields: Mapping[str, Any]) -> torch.nn.Module:
    fields = {**SMALL_SWIN, **fields}
    module = SwinTransformerV2 if fields.pop("version", 1) == 2 else SwinTransformer
    del fields["window_rule"]
    arguments = {ARGUMENTS.get(name, name): value for name, value in fields.items()}
    # One window size a stage: timm takes a bare pair for height and width.
    if isinstance(fields["window_size"], tuple):
        arguments["window_size"] = tuple((window, window) for window in fields["window_size"])
    return module(**arguments)
