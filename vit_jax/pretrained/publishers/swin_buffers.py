"""What the buffers in Swin V2's own files tell that no shape of a parameter does: sizes, and the scale of the biases.

Sources: `swin_transformer_v2.py` of the authors, who keep a table of offsets for each block and a mask for each shifted
one, and of torchvision, which keeps the tables.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vit_jax.pretrained.stored import StoredArray

Arrays = Mapping[str, StoredArray]

FARTHEST = 8
"""What offsets are scaled to before their logarithm, base 8 of 1 more, is taken."""


def fields_in_arrays(arrays: Arrays) -> dict[str, Any]:
    """Fields of a `SwinTransformer` of version 2; none without the tables, as in version 1.

    Args:
        arrays: by timm's names. Only the first block's table of each stage is read.

    Raises:
        ValueError: if a table holds no offsets.
    """
    tables: list[StoredArray] = []
    while (name := f"layers.{len(tables)}.blocks.0.attn.relative_coords_table") in arrays:
        tables.append(arrays[name])
    if not tables or any(len(table.shape) != 4 or table.shape[1] != table.shape[2] for table in tables):
        return {}
    windows = tuple((table.shape[1] + 1) // 2 for table in tables)
    pretrained = tuple(map(pretrained_window, tables))
    return {
        "window_size": windows if max(windows) > windows[0] else windows[0],
        "pretrained_window_sizes": () if pretrained == windows else pretrained,
        "image_size": last_side(arrays, len(windows) - 1, windows[-1]) * 2 ** (len(windows) - 1) * patch_size(arrays),
    }


def pretrained_window(table: StoredArray) -> int:
    """The window by which the offsets of a table are scaled, [1, 2W - 1, 2W - 1, 2]."""
    window = (table.shape[1] + 1) // 2
    if window == 1:  # no offsets, whatever they are divided by
        return 1
    farthest = float(np.abs(table.read().astype(np.float64)).max())
    if not 0 < farthest < FARTHEST:
        raise ValueError(f"a relative_coords_table of {list(table.shape)} holds no offsets: the largest is {farthest}")
    return 1 + round((window - 1) * FARTHEST / (FARTHEST**farthest - 1))


def last_side(arrays: Arrays, stage: int, window: int) -> int:
    """Rows of the last stage's map, taken for square: of one window, unless a mask is for more."""
    masks = [x for name, x in arrays.items() if name.startswith(f"layers.{stage}.") and name.endswith("attn_mask")]
    return window * (math.isqrt(masks[0].shape[0]) if masks else 1)


def patch_size(arrays: Arrays) -> int:
    """The side of a patch, in pixels."""
    return arrays["patch_embed.proj.weight"].shape[-1]
