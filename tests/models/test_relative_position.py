"""BEiT's position biases stand where the published index puts them, the class token's three behind the patches'."""

from typing import Any

import numpy as np
import pytest

from vit_jax.models.relative_position import RelativePositionBias, class_token_position_index, table_rows


@pytest.mark.parametrize("grid", [(2, 3), (3, 1), (1, 1), (14, 14)])
def test_patches_find_their_offset_and_the_class_token_the_end(grid: tuple[int, int]):
    """By hand: (dy + rows - 1)(2 columns - 1) + dx + columns - 1; then to a patch, from a patch, to itself."""
    index, (rows, columns) = class_token_position_index(grid), grid
    size = (2 * rows - 1) * (2 * columns - 1) + 3
    assert table_rows(grid) == size
    assert index.shape == (1 + rows * columns, 1 + rows * columns)
    for i in range(rows * columns):
        for j in range(rows * columns):
            dy, dx = i // columns - j // columns, i % columns - j % columns
            assert index[1 + i, 1 + j] == (dy + rows - 1) * (2 * columns - 1) + dx + columns - 1
    assert set(index[0, 1:]) == {size - 3}
    assert set(index[1:, 0]) == {size - 2}
    assert index[0, 0] == size - 1
    assert set(index.flat) == set(range(size))  # no row of the table is left over


def test_published_size_of_the_table():
    """BEiT at 224 px: 732 rows."""
    assert table_rows((14, 14)) == 732


def test_a_bias_of_the_table_stands_at_its_query_and_key():
    table = np.random.default_rng(0).normal(size=(table_rows((2, 3)), 2)).astype(np.float32)
    bias: Any = RelativePositionBias((2, 3), num_heads=2).apply({"params": {"table": table}})
    np.testing.assert_array_equal(bias, np.moveaxis(table[class_token_position_index((2, 3))], -1, 0))
