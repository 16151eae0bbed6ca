"""Window attention spread out over the whole map, token by token: what no network computes, to compare with."""

import numpy as np

from vit_jax.models.swin import SwinTransformer
from vit_jax.models.windows import WindowGrid


def random_attention(model: SwinTransformer) -> list[np.ndarray]:
    """Weights as those of every block of a network, float32 [2, windows, heads, M, M]: rows sum to 1."""
    random = np.random.default_rng(0)
    layers = []
    for heads, stage in zip(model.num_heads, model.window_grids, strict=True):
        for grid in stage:
            tokens = grid.window[0] * grid.window[1]
            weights = random.gamma(0.3, size=(2, grid.num_windows, heads, tokens, tokens))
            layers.append((weights / weights.sum(-1, keepdims=True)).astype(np.float32))
    return layers


def scattered(attention: np.ndarray, grid: WindowGrid) -> np.ndarray:
    """Attention within windows, [B, windows, heads, M, M], as [B, heads, H W, H W] among the tokens of the map.

    Zero between windows. A row's sum is 1, less what goes to padding.
    """
    batch, _, heads = attention.shape[:3]
    full = np.zeros((batch, heads, grid.height * grid.width, grid.height * grid.width))
    where = [window_and_token(y, x, grid) for y in range(grid.height) for x in range(grid.width)]
    for i, (window, query) in enumerate(where):
        for j, (other, key) in enumerate(where):
            if window == other:
                full[:, :, i, j] = attention[:, window, :, query, key]
    return full


def window_and_token(y: int, x: int, grid: WindowGrid) -> tuple[int, int]:
    """The window that a token of the map is in, and its place there."""
    rows, columns = (grid.height, grid.width) if grid.shift_first else grid.padded
    row, column = (y - grid.shift[0]) % rows, (x - grid.shift[1]) % columns
    height, width = grid.window
    return row // height * (grid.padded[1] // width) + column // width, row % height * width + column % width


def merged(height: int, width: int) -> np.ndarray:
    """Patch merging as the mean of the up to four tokens that are there, [ceil(H / 2) ceil(W / 2), H W]."""
    columns = -(-width // 2)
    mean = np.zeros((-(-height // 2) * columns, height * width))
    for y in range(height):
        for x in range(width):
            mean[y // 2 * columns + x // 2, y * width + x] = 1
    return mean / mean.sum(axis=1, keepdims=True)
