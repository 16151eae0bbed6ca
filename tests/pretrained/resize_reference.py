"""What torch, timm, Hugging Face and DINO's authors resize position embeddings and bias tables to.

Importing this module needs torch, timm and transformers (the extra "parity").
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.nn.functional import interpolate  # pyright: ignore[reportMissingImports]

import tests.models.timm_reference  # noqa: F401  # prepares for torchvision's import
from tests.pretrained.resize_cases import BiasCase, PositionCase, Size

# isort: split
from timm.layers.pos_embed import resample_abs_pos_embed  # pyright: ignore[reportMissingImports]
from timm.layers.pos_embed_rel import (  # pyright: ignore[reportMissingImports]
    resize_rel_pos_bias_table,
)
from transformers import BeitConfig  # pyright: ignore[reportMissingImports]
from transformers.models.beit.modeling_beit import (  # pyright: ignore[reportMissingImports]
    BeitRelativePositionBias,
)

Resized = Callable[[torch.Tensor, Size, Size], torch.Tensor]
"""From a grid [1, D, H, W], its size and the new size to the new grid."""


def torch_size(grid: torch.Tensor, old: Size, new: Size, **how: object) -> torch.Tensor:
    """torch's interpolation to a size, as DeiT, MAE, Swin, BEiT, Hugging Face and DINOv2 with registers call it."""
    return interpolate(grid, size=new, **how)  # pyright: ignore[reportArgumentType]


def dino(grid: torch.Tensor, old: Size, new: Size) -> torch.Tensor:
    """DINO's `interpolate_pos_encoding` and DINOv2's: by scale, with 0.1 added to the new size."""
    if old == new:
        return grid
    factors = (new[0] + 0.1) / old[0], (new[1] + 0.1) / old[1]
    resized = interpolate(grid, scale_factor=factors, mode="bicubic")
    assert resized.shape[2:] == new, "DINO asserts that its scales give the size"
    return resized


TORCH: Mapping[str, Resized] = {
    "bicubic": partial(torch_size, mode="bicubic"),
    "bicubic_antialias": partial(torch_size, mode="bicubic", antialias=True),
    "bilinear_aligned": partial(torch_size, mode="bilinear", align_corners=True),
    "bicubic_aligned": partial(torch_size, mode="bicubic", align_corners=True),
    "bicubic_offset": dino,
}


def torch_position_embedding(embedding: np.ndarray, case: PositionCase, method: str) -> np.ndarray:
    """[1, prefix + patches, D] resized by torch."""
    tensor = torch.tensor(embedding)
    prefix, patches = tensor[:, : case.prefix], tensor[:, case.prefix :]
    grid = patches.reshape(1, *case.old, -1).permute(0, 3, 1, 2)
    resized = TORCH[method](grid, case.old, case.new).permute(0, 2, 3, 1).flatten(1, 2)
    return torch.cat([prefix, resized], dim=1).numpy()


def timm_position_embedding(embedding: np.ndarray, case: PositionCase, method: str) -> np.ndarray:
    """timm's function, which its loaders call with "bicubic_antialias"."""
    interpolation, _, antialias = method.partition("_")
    return resample_abs_pos_embed(
        torch.tensor(embedding),
        new_size=list(case.new),
        old_size=list(case.old),
        num_prefix_tokens=case.prefix,
        interpolation=interpolation,
        antialias=bool(antialias),
    ).numpy()


def swin_bias_table(table: np.ndarray, case: BiasCase) -> np.ndarray:
    """Swin's `load_pretrained` does this to square windows."""
    old, new = ((2 * height - 1, 2 * width - 1) for height, width in (case.old, case.new))
    offsets = torch.tensor(table)[: old[0] * old[1]]
    grid = offsets.T.reshape(1, -1, *old)
    resized = interpolate(grid, size=new, mode="bicubic").reshape(offsets.shape[1], -1).T
    return np.concatenate([resized.numpy(), table[len(offsets) :]])


def timm_bias_table(table: np.ndarray, case: BiasCase) -> np.ndarray:
    """timm's function for Swin and BEiT."""
    rows = (2 * case.new[0] - 1) * (2 * case.new[1] - 1) + case.extra
    return resize_rel_pos_bias_table(torch.tensor(table), case.new, (rows, table.shape[1]), case.old).numpy()


def huggingface_bias(table: np.ndarray, case: BiasCase) -> tuple[np.ndarray, np.ndarray]:
    """The biases that Hugging Face's BEiT adds for a table with 3 extra rows.

    Returns:
        The biases, [heads, N + 1, N + 1], and where each stands in a table of the new window, [N + 1, N + 1].
    """
    config = BeitConfig(image_size=case.old, patch_size=1, num_attention_heads=table.shape[1])
    module = BeitRelativePositionBias(config)
    with torch.no_grad():
        module.relative_position_bias_table.copy_(torch.tensor(table))
        bias = module(case.new)[0].numpy()
    return bias, module.generate_relative_position_index(case.new).numpy()


def huggingface_bias_table(table: np.ndarray, case: BiasCase) -> np.ndarray:
    """The table that Hugging Face's BEiT takes its biases from; where a case has no extra rows, it is lent some."""
    lent = np.zeros((3 - case.extra, table.shape[1]), np.float32)
    bias, index = huggingface_bias(np.concatenate([table, lent]), case)
    resized = np.zeros((index.max() + 1, table.shape[1]), np.float32)
    resized[index] = bias.transpose(1, 2, 0)
    return resized[: len(resized) - len(lent)]


BIAS_TABLES: Mapping[str, Callable[[np.ndarray, BiasCase], np.ndarray]] = {
    "bicubic": swin_bias_table,
    "geometric_linear": timm_bias_table,
    "bilinear": huggingface_bias_table,
}
"""By method; "geometric_cubic" is `fitpack_reference`'s."""
