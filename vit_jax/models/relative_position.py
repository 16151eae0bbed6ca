"""Relative position biases: Swin's table of offsets, BEiT's with entries for the class token, Swin V2's from an MLP.

Everything that depends on sizes alone is a NumPy constant, made when a network is traced: never a parameter.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vit_jax.models.layers import SMALL

CLASS_TOKEN_ENTRIES = 3
"""Rows at the end of BEiT's table: class token to patch, patch to class token, class token to itself."""


def relative_position_index(window: tuple[int, int]) -> np.ndarray:
    """Where the bias of token i attending to token j stands in the table of biases: int [M, M].

    The table's (2 Wh - 1)(2 Ww - 1) rows are all offsets (dy, dx) of i from j, dx fastest, each from 1 - W to W - 1.
    """
    offsets = coordinates(window)[:, None] - coordinates(window)[None, :]  # [M, M, 2]
    dy, dx = offsets[..., 0] + window[0] - 1, offsets[..., 1] + window[1] - 1
    return dy * (2 * window[1] - 1) + dx


def log_spaced_offsets(window: tuple[int, int], pretrained_window: int) -> np.ndarray:
    """The offsets (dy, dx) of that table on Swin V2's logarithmic scale (equation 4): float32 [rows of the table, 2].

    sign(d) log2(1 + |d|) / log2(8) of offsets d scaled so that the largest is 8; with `pretrained_window` (0 for none)
    largest means the largest of that window, so that a larger one extrapolates. A window of one token has offset 0.
    """
    heights, widths = np.arange(1 - window[0], window[0]), np.arange(1 - window[1], window[1])
    offsets = np.stack(np.meshgrid(heights, widths, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)
    scale = np.array([max((pretrained_window or side) - 1, 1) for side in window], np.float32)
    offsets = offsets / scale * 8
    return (np.sign(offsets) * np.log2(np.abs(offsets) + 1) / np.float32(math.log2(8))).astype(np.float32)


def coordinates(window: tuple[int, int]) -> np.ndarray:
    """Row and column of each token of a window: int [M, 2]."""
    return np.stack(np.divmod(np.arange(window[0] * window[1]), window[1]), axis=-1)


def table_rows(window: tuple[int, int], class_token: bool) -> int:
    """Rows of the table of biases for a window of tokens, with a class token before it or without."""
    return (2 * window[0] - 1) * (2 * window[1] - 1) + (CLASS_TOKEN_ENTRIES if class_token else 0)


def class_token_position_index(grid: tuple[int, int]) -> np.ndarray:
    """Where the bias of token i attending to token j stands in the table of biases: int [1 + N, 1 + N].

    Token 0 is the class token, the others are the N patches of the grid row by row. The table's first rows are the
    offsets of patches as `relative_position_index` orders them; its last three hold for all patches alike: of the
    class token attending to a patch, of a patch attending to the class token, of the class token attending to itself.
    """
    to_patch, from_patch, to_itself = table_rows(grid, class_token=False) + np.arange(CLASS_TOKEN_ENTRIES)
    index = np.pad(relative_position_index(grid), ((1, 0), (1, 0)))
    index[0, 1:], index[1:, 0], index[0, 0] = to_patch, from_patch, to_itself
    return index


class RelativePositionBias(nn.Module):
    """One learned bias for each offset between two tokens of a window, for each head (Swin, equation 4).

    Parameter "table": float32 [(2 Wh - 1)(2 Ww - 1), heads]. With a class token before the window, which is all of the
    image, it has `CLASS_TOKEN_ENTRIES` more rows, and is zero at first (BEiT).
    """

    window: tuple[int, int]
    num_heads: int
    class_token: bool = False

    @nn.compact
    def __call__(self) -> jax.Array:
        """The biases, float32 [heads, M, M], or [heads, 1 + M, 1 + M]."""
        if self.class_token:
            init, index = nn.initializers.zeros, class_token_position_index(self.window)
        else:
            init, index = SMALL, relative_position_index(self.window)
        table = self.param("table", init, (table_rows(self.window, self.class_token), self.num_heads), jnp.float32)
        return table[index].transpose(2, 0, 1)


class ContinuousPositionBias(nn.Module):
    """Biases that a small MLP computes from log-spaced offsets, so that windows can grow (Swin V2, section 3.3)."""

    window: tuple[int, int]
    pretrained_window: int
    num_heads: int

    @nn.compact
    def __call__(self) -> jax.Array:
        """The biases, float32 [heads, M, M], between 0 and 16."""
        x = log_spaced_offsets(self.window, self.pretrained_window)  # [rows of the table, 2]
        x = nn.relu(nn.Dense(512, kernel_init=SMALL, name="fc1")(x))
        table = nn.Dense(self.num_heads, use_bias=False, kernel_init=SMALL, name="fc2")(x)
        return 16 * nn.sigmoid(table[relative_position_index(self.window)].transpose(2, 0, 1))
