"""What the last block of a network attends to, as a map over the image."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vit_jax.inspection.features import attention_maps
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer


def last_attention(model: Network, params: Mapping[str, Any], images: jax.Array | np.ndarray) -> np.ndarray | None:
    """How much each place of the last block's map is attended to, averaged over the heads: float32 [B, rows, columns].

    In a Vision Transformer by the class token, or by all patches where there is none; in a Swin Transformer by the
    tokens of its own window. A network for pre-training shows its encoder's.

    Args:
        model: any network.
        params: its parameters.
        images: float32 [B, H, W, C], preprocessed.

    Returns:
        None for a network without attention.
    """
    if isinstance(model, BeitPretraining | MaskedAutoencoder):
        model, params = model.make_encoder(), params["encoder"]
    if isinstance(model, VisionTransformer):
        weights = attention_maps(model, params, images)[-1].mean(axis=1)  # [B, N, N]
        prefix = model.num_prefix_tokens
        queries = weights[:, :1] if prefix else weights
        attended = queries[:, :, prefix:].mean(axis=1).reshape(len(images), *model.grid)
    elif isinstance(model, SwinTransformer):
        weights = attention_maps(model, params, images)[-1].mean(axis=(2, 3))  # [B, windows, M]
        grid = model.window_grids[-1][-1]
        attended = grid.reverse(weights.reshape(-1, weights.shape[-1], 1))[..., 0]
    else:
        return None
    return np.asarray(attended)
