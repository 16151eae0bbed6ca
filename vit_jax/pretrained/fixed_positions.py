"""Fixed sin-cos positions in the form of learned ones, for networks and other libraries that have no fixed ones."""

import numpy as np

from vit_jax.models.layers import sincos_position_embedding
from vit_jax.models.network import Network
from vit_jax.models.parameters import shapes_by_path
from vit_jax.models.pretraining import VisionTransformerPretraining
from vit_jax.models.vit import VisionTransformer


def fixed_positions(model: Network) -> dict[str, np.ndarray]:
    """The parameters by which `model.clone(pos_embed="learned")` computes the same as a network of fixed positions.

    By their paths, float32 [1, tokens, D], zeros for tokens that have no position; none for any other network.
    """
    if getattr(model, "pos_embed", None) != "sincos":
        return {}
    assert isinstance(model, VisionTransformer | VisionTransformerPretraining), "no other has positions"
    shapes = shapes_by_path(model.clone(pos_embed="learned")).items()
    return {path: padded(model.grid, *shape[1:]) for path, shape in shapes if path.split("/")[-1] == "pos_embed"}


def padded(grid: tuple[int, int], tokens: int, width: int) -> np.ndarray:
    """The positions of a grid of patches behind zeros for the tokens before them: float32 [1, tokens, width]."""
    positions = sincos_position_embedding(grid, width)
    return np.pad(positions, ((tokens - len(positions), 0), (0, 0)))[None]
