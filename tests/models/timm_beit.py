"""timm's BEiT with our parameters. Importing this module needs torch and timm (the extra "parity")."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from tests.models.beit_cases import SMALL_BEIT
from tests.models.timm_reference import ARGUMENTS, torch_layout
from tests.models.timm_swin import renamed

# isort: split
# After timm_reference, which prepares for timm's import.
from timm.models.beit import Beit  # pyright: ignore[reportMissingImports]

BEIT_NAMES = (
    (r"^relative_position_bias\.table", "rel_pos_bias.relative_position_bias_table"),
    (r"relative_position_bias\.table", "relative_position_bias_table"),
    (r"^blocks_(\d+)", r"blocks.\1"),
    (r"^patch_embed\.", "patch_embed.proj."),
    (r"\.ls(\d)\.gamma", r".gamma_\1"),
    (r"\.(kernel|scale)$", ".weight"),
)


def beit_parameters(params: Mapping[str, Any], swiglu: bool) -> dict[str, torch.Tensor]:
    """Our parameters by timm's names and in torch's layouts; timm keeps the two halves of BEiT's SwiGLU apart."""
    converted = {}
    for name, value in torch_layout(params).items():
        name = renamed(name, BEIT_NAMES)
        if swiglu and ".fc1." in name:
            gate, x = value.chunk(2)
            converted |= {name.replace("fc1", "fc1_g"): gate, name.replace("fc1", "fc1_x"): x}
        else:
            converted[name] = value
    return converted


def beit_logits(fields: Mapping[str, Any], params: Mapping[str, Any], images: np.ndarray) -> np.ndarray:
    """What timm computes with our parameters for images [B, H, W, C]."""
    fields = {**SMALL_BEIT, **fields}
    del fields["key_bias"]  # timm's has none
    relative_position = fields.pop("relative_position", "none")
    swiglu = fields.pop("swiglu", False)
    arguments = {ARGUMENTS.get(name, name): value for name, value in fields.items()} | dict(
        use_abs_pos_emb=fields["pos_embed"] == "learned",
        use_rel_pos_bias=relative_position == "per_block",
        use_shared_rel_pos_bias=relative_position == "shared",
        use_fc_norm=fields["fc_norm"],
        swiglu_mlp=swiglu,
    )
    del arguments["pos_embed"], arguments["fc_norm"]
    model = Beit(**arguments).eval()
    model.load_state_dict(beit_parameters(params, swiglu), strict=True)
    with torch.no_grad():
        return model(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
