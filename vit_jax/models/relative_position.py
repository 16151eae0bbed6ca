"""BEiT's relative position bias (Bao et al., 2022): Swin's table of offsets, and three entries for the class token."""

import jax
import numpy as np
from flax import linen as nn

from vit_jax.models.windows import relative_position_index

CLASS_TOKEN_ENTRIES = 3
"""Rows at the end of the table: class token to patch, patch to class token, class token to itself."""


def table_rows(grid: tuple[int, int]) -> int:
    """Rows of the table of biases for a grid of patches (rows, columns)."""
    return (2 * grid[0] - 1) * (2 * grid[1] - 1) + CLASS_TOKEN_ENTRIES


def class_token_position_index(grid: tuple[int, int]) -> np.ndarray:
    """Where the bias of token i attending to token j stands in the table of biases: int [1 + N, 1 + N].

    Token 0 is the class token, the others are the N patches of the grid row by row. The table's first rows are the
    offsets of patches as `relative_position_index` orders them; its last three hold for all patches alike: of the
    class token attending to a patch, of a patch attending to the class token, of the class token attending to itself.
    """
    to_patch, from_patch, to_itself = table_rows(grid) - CLASS_TOKEN_ENTRIES + np.arange(CLASS_TOKEN_ENTRIES)
    index = np.pad(relative_position_index(grid), ((1, 0), (1, 0)))
    index[0, 1:], index[1:, 0], index[0, 0] = to_patch, from_patch, to_itself
    return index


class RelativePositionBias(nn.Module):
    """One learned bias for each offset between two patches, and for the class token, for each head.

    Parameter "table": float32 [(2 rows - 1)(2 columns - 1) + 3, heads], zero at first as published.
    """

    grid: tuple[int, int]
    num_heads: int

    @nn.compact
    def __call__(self) -> jax.Array:
        """The biases, float32 [heads, 1 + N, 1 + N]."""
        table = self.param("table", nn.initializers.zeros, (table_rows(self.grid), self.num_heads))
        return table[class_token_position_index(self.grid)].transpose(2, 0, 1)
