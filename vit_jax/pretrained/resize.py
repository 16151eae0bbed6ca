"""Weights for another size: position embeddings and relative position biases, each publisher's way.

A network at another resolution gives a publisher's results only if its embeddings are resized as that publisher does:
the ways below differ from each other by tenths on embeddings of unit variance. (Swin V2 has nothing to resize: its
biases are computed from offsets.)
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from vit_jax.models.resizing import BiasTableResize, PositionResize
from vit_jax.pretrained.resampling import (
    aligned,
    antialiased,
    geometric_cubic,
    geometric_linear,
    keys_cubic,
    opencv_cubic,
    plain,
    resample,
    triangle,
)

Axis = Callable[[int, int], np.ndarray]
"""From old and new size to the matrix [new, old] that resamples an axis."""

POSITION_AXES: Mapping[PositionResize, Axis] = {
    "bicubic": partial(plain, kernel=opencv_cubic),
    "bicubic_antialias": partial(antialiased, kernel=keys_cubic),
    "bilinear_aligned": partial(aligned, kernel=triangle),
    "bicubic_aligned": partial(aligned, kernel=opencv_cubic),
    "bicubic_offset": partial(plain, kernel=opencv_cubic, offset=0.1),
}

BIAS_AXES: Mapping[BiasTableResize, Axis] = {
    "bicubic": partial(plain, kernel=opencv_cubic),
    "geometric_linear": geometric_linear,
    "geometric_cubic": geometric_cubic,
    "bilinear": partial(plain, kernel=triangle),
}


def resize_position_embedding(
    embedding: np.ndarray, prefix: int, old_grid: tuple[int, int], new_grid: tuple[int, int], method: PositionResize
) -> np.ndarray:
    """Resizes a learned position embedding to another grid of patches.

    Authors resize square grids; other grids are resized as the same code would if it were told their sides. DINO, too,
    uses an embedding as it is where the grid is the one it was trained on (it compares the number of patches and
    whether the image is square), but resizes it to any other grid of as many patches.

    Args:
        embedding: [1, prefix + rows * columns, D], patches row by row.
        prefix: positions before those of patches (class token, distillation token, registers); not changed.
        old_grid: rows and columns of patches the embedding is for.
        new_grid: those it will be for. If it equals `old_grid`, the embedding is returned bit for bit.
        method: see `PositionResize`.

    Returns:
        float32 [1, prefix + new rows * new columns, D].
    """
    embedding = np.asarray(embedding, np.float32)
    if tuple(old_grid) == tuple(new_grid):
        return embedding
    axis, width = POSITION_AXES[method], embedding.shape[-1]
    grid = embedding[0, prefix:].reshape(*old_grid, width)
    resized = resample(grid, axis(old_grid[0], new_grid[0]), axis(old_grid[1], new_grid[1]))
    return np.concatenate([embedding[:, :prefix], resized.reshape(1, -1, width)], axis=1)


def resize_bias_table(
    table: np.ndarray,
    old_window: tuple[int, int],
    new_window: tuple[int, int],
    method: BiasTableResize,
    extra: int = 0,
) -> np.ndarray:
    """Resizes a table of relative position biases to another window.

    For equal windows the table is returned bit for bit, with one exception. Hugging Face resamples always, and takes
    the table of a window that is not square for one of Ww x Wh: it mixes up its biases, even for the window that the
    table is for. "bilinear" does the same, since its purpose is Hugging Face's results.

    Args:
        table: [(2 Wh - 1)(2 Ww - 1) + extra, heads]: offsets (dy, dx), dx fastest, as `relative_position_index` says.
        old_window: height and width, in tokens, of the window the table is for.
        new_window: of the window it will be for.
        method: see `BiasTableResize`.
        extra: rows at the end that are no offsets (BEiT has 3, of its class token); not changed.

    Returns:
        float32 [(2 new Wh - 1)(2 new Ww - 1) + extra, heads].

    Raises:
        ValueError: if "geometric_cubic" has a window of fewer than 3 tokens a side to put a cubic spline through.
    """
    old, new = (2 * old_window[0] - 1, 2 * old_window[1] - 1), (2 * new_window[0] - 1, 2 * new_window[1] - 1)
    table = np.asarray(table, np.float32)
    if method == "bilinear":
        old = old[::-1]
    if old == new:
        return table
    if method == "geometric_cubic" and min(old_window) < 3:
        raise ValueError(
            f"a cubic spline needs old windows of at least 3 x 3 tokens, not {old_window[0]} x {old_window[1]}; "
            '"geometric_linear" does without'
        )
    axis, heads, offsets = BIAS_AXES[method], table.shape[-1], old[0] * old[1]
    resized = resample(table[:offsets].reshape(*old, heads), axis(old[0], new[0]), axis(old[1], new[1]))
    return np.concatenate([resized.reshape(-1, heads), table[offsets:]])
