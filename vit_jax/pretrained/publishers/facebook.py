"""Where DINOv2's own files differ from timm's names: SwiGLU, registers, the class token's position; its training.

Source: `dinov2/models/vision_transformer.py`. DeiT, DeiT-III, DINO and MAE have timm's names.
"""

from collections.abc import Mapping

import numpy as np

from vit_jax.pretrained.spelling import respelled
from vit_jax.pretrained.stored import StoredArray

DINOV2_SPELLINGS = (
    (r"^backbone\.", ""),  # beside the heads of its training (teacher_checkpoint.pth)
    (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),  # in chunks; the second number counts through
    (r"\.mlp\.w12\.", ".mlp.fc1."),
    (r"\.mlp\.w3\.", ".mlp.fc2."),
    (r"^register_tokens$", "reg_token"),
)


def respell_dinov2(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """DINOv2 by timm's names."""
    spelled = respelled(arrays, DINOV2_SPELLINGS)
    return fold_class_position(spelled, "cls_token", "pos_embed") if "reg_token" in spelled else spelled


def fold_class_position(arrays: Mapping[str, StoredArray], token: str, positions: str) -> dict[str, StoredArray]:
    """Adds the class token's position to the token itself, where registers, which have none, follow it (as timm does).

    Args:
        arrays: of the file.
        token: name of the class token.
        positions: name of the position embeddings; those of the patches are left.
    """
    if token not in arrays or positions not in arrays or len(arrays[positions].shape) != 3:
        return dict(arrays)  # said to be missing or misshapen later on
    stored_token, stored = arrays[token], arrays[positions]

    def read_token() -> np.ndarray:
        return stored_token.read().astype(np.float32) + stored.read()[:, :1].astype(np.float32)

    patches = (stored.shape[0], stored.shape[1] - 1, stored.shape[2])
    return {
        **arrays,
        token: StoredArray(stored_token.shape, np.dtype(np.float32), read_token),
        positions: StoredArray(patches, stored.dtype, lambda: stored.read()[:, 1:]),
    }
