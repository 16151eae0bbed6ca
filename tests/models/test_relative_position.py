"""Position biases stand where the published index puts them, BEiT's three of the class token behind the patches'."""

import math
from typing import Any

import jax
import numpy as np
import pytest

from vit_jax.models.relative_position import (
    ContinuousPositionBias,
    RelativePositionBias,
    class_token_position_index,
    log_spaced_offsets,
    relative_position_index,
    table_rows,
)

WINDOW = (2, 3)


@pytest.mark.parametrize("grid", [(2, 3), (3, 1), (1, 1), (14, 14)])
def test_patches_find_their_offset_and_the_class_token_the_end(grid: tuple[int, int]):
    """By hand: (dy + rows - 1)(2 columns - 1) + dx + columns - 1; then to a patch, from a patch, to itself."""
    index, (rows, columns) = class_token_position_index(grid), grid
    size = (2 * rows - 1) * (2 * columns - 1) + 3
    assert table_rows(grid, class_token=True) == size
    assert index.shape == (1 + rows * columns, 1 + rows * columns)
    for i in range(rows * columns):
        for j in range(rows * columns):
            dy, dx = i // columns - j // columns, i % columns - j % columns
            assert index[1 + i, 1 + j] == (dy + rows - 1) * (2 * columns - 1) + dx + columns - 1
    assert set(index[0, 1:]) == {size - 3}
    assert set(index[1:, 0]) == {size - 2}
    assert index[0, 0] == size - 1
    assert set(index.flat) == set(range(size))  # no row of the table is left over


def test_a_bias_of_the_table_stands_at_its_query_and_key():
    table = np.random.default_rng(0).normal(size=(table_rows((2, 3), class_token=True), 2)).astype(np.float32)
    bias: Any = RelativePositionBias((2, 3), num_heads=2, class_token=True).apply({"params": {"table": table}})
    np.testing.assert_array_equal(bias, np.moveaxis(table[class_token_position_index((2, 3))], -1, 0))


@pytest.mark.parametrize("window", [(2, 2), (3, 2), (2, 4), (1, 1)])
def test_relative_positions_have_the_published_order(window: tuple[int, int]):
    """Row of the table: (dy + Wh - 1)(2 Ww - 1) + dx + Ww - 1, of the query's offset from the key."""
    index = relative_position_index(window)
    tokens = [(y, x) for y in range(window[0]) for x in range(window[1])]
    for i, (yi, xi) in enumerate(tokens):
        for j, (yj, xj) in enumerate(tokens):
            assert index[i, j] == (yi - yj + window[0] - 1) * (2 * window[1] - 1) + xi - xj + window[1] - 1


def test_relative_positions_of_the_paper():
    """Of two tokens one above the other in a 2x2 window, the upper one's offset from the lower is -1."""
    np.testing.assert_array_equal(
        relative_position_index((2, 2)), [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    )


@pytest.mark.parametrize("pretrained_window", [0, 3])
def test_log_spaced_offsets_are_equation_4_of_swin_v2(pretrained_window: int):
    table = log_spaced_offsets((4, 5), pretrained_window)
    row = 0
    for dy in range(-3, 4):
        for dx in range(-4, 5):
            for axis, (offset, side) in enumerate(((dy, 4), (dx, 5))):
                scaled = 8 * offset / ((pretrained_window or side) - 1)
                expected = math.copysign(math.log2(1 + abs(scaled)) / 3, offset)
                assert table[row, axis] == pytest.approx(expected, abs=1e-6)
            row += 1
    assert row == len(table)


def test_log_spaced_offset_of_a_single_token_is_zero():
    np.testing.assert_array_equal(log_spaced_offsets((1, 1), 0), [[0, 0]])


def test_a_bias_of_swin_s_table_stands_at_its_query_and_key():
    table = np.random.default_rng(0).normal(size=(3 * 5, 2)).astype(np.float32)
    bias: Any = RelativePositionBias(WINDOW, num_heads=2).apply({"params": {"table": table}})
    index = relative_position_index(WINDOW)
    for head in range(2):
        for query in range(6):
            for key in range(6):
                assert bias[head, query, key] == table[index[query, key], head]


def test_a_continuous_bias_is_16_sigmoid_of_the_mlp_of_its_offset():
    module = ContinuousPositionBias(WINDOW, pretrained_window=0, num_heads=2)
    params = jax.jit(module.init)(jax.random.key(0))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: (p + 0.1 * rng.normal(size=p.shape)).astype(np.float32), params)
    bias: Any = module.apply({"params": params})
    hidden = np.maximum(log_spaced_offsets(WINDOW, 0) @ params["fc1"]["kernel"] + params["fc1"]["bias"], 0)
    table = 16 / (1 + np.exp(-(hidden @ params["fc2"]["kernel"])))  # [rows of the table, heads]
    expected = table[relative_position_index(WINDOW)]  # [M, M, heads]
    np.testing.assert_allclose(bias, np.moveaxis(expected, -1, 0), atol=1e-4)
