"""Windows, their shift, its mask and relative positions, each against its definition written out token by token."""

import math
from typing import get_args

import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.models.windows import (
    MASKED,
    WindowRule,
    window_grid,
    window_partition,
    window_reverse,
)

NUMBERS = jnp.arange(2 * 6 * 8, dtype=jnp.float32).reshape(2, 6, 8, 1)


def test_partition_goes_row_by_row():
    windows = np.asarray(window_partition(NUMBERS, (3, 4)))[..., 0]
    assert windows.shape == (8, 12)
    for batch in range(2):
        for row in range(2):
            for column in range(2):
                expected = NUMBERS[batch, 3 * row : 3 * row + 3, 4 * column : 4 * column + 4, 0].reshape(-1)
                np.testing.assert_array_equal(windows[4 * batch + 2 * row + column], expected)


def test_reverse_undoes_partition():
    np.testing.assert_array_equal(window_reverse(window_partition(NUMBERS, (2, 4)), (2, 4), 6, 8), NUMBERS)


@pytest.mark.parametrize("rule", get_args(WindowRule))
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (4, 9), (3, 3), (5, 4)])
@pytest.mark.parametrize("shifted", [False, True])
def test_reverse_undoes_the_partition_of_a_grid(rule, size: tuple[int, int], shifted: bool):
    grid = window_grid(*size, window_size=4, shifted=shifted, rule=rule)
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    windows = grid.partition(jnp.asarray(x))
    assert windows.shape == (2 * grid.num_windows, math.prod(grid.window), 3)
    np.testing.assert_array_equal(grid.reverse(windows), x)


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (7, 10)])
def test_windows_are_shifted_to_the_top_left_and_masked_to_what_is_adjacent(size: tuple[int, int]):
    """Figure 4 of the paper: window and token are where the shift puts them, and two tokens see each other exactly if
    the distance between them in the window is that in the image."""
    grid = window_grid(*size, window_size=4, shifted=True, rule="microsoft")
    height, width = grid.padded
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    shifted_rows, shifted_columns = (rows + 2) % height, (columns + 2) % width  # place p holds token p + 2
    place = np.stack([shifted_rows, shifted_columns], -1)[None].astype(np.float32)
    tokens = np.asarray(window_partition(jnp.asarray(place), (4, 4)))  # [windows, M, 2]: where each token came from
    marked = np.zeros((1, *size, 2), np.float32) - 1
    marked[0] = np.stack([rows, columns], -1)[: size[0], : size[1]]
    held = np.asarray(grid.partition(jnp.asarray(marked)))
    inside = (tokens[..., 0] < size[0]) & (tokens[..., 1] < size[1])
    np.testing.assert_array_equal(held[inside], tokens[inside])
    np.testing.assert_array_equal(held[~inside], 0)

    mask = grid.mask()
    assert mask is not None
    within = np.stack(np.divmod(np.arange(16), 4), -1)
    together = (tokens[:, :, None] - tokens[:, None] == within[:, None] - within[None]).all(-1)
    np.testing.assert_array_equal(mask, np.where(together, 0, MASKED))


@pytest.mark.parametrize(
    ("rule", "size", "window", "shift", "padded"),
    [
        ("microsoft", (10, 12), (4, 4), (2, 2), (12, 12)),
        ("microsoft", (4, 12), (4, 4), (0, 0), (4, 12)),
        ("microsoft", (3, 10), (3, 3), (0, 0), (3, 12)),
        ("microsoft", (10, 3), (3, 3), (0, 0), (12, 3)),
        ("huggingface_v2", (10, 12), (4, 4), (2, 2), (12, 12)),
        ("huggingface_v2", (3, 10), (3, 3), (0, 0), (3, 12)),
        ("huggingface_v2", (10, 3), (4, 4), (2, 2), (12, 4)),
        ("huggingface_backbone", (3, 4), (4, 4), (2, 2), (4, 4)),
        ("timm", (4, 12), (4, 4), (0, 2), (4, 12)),
        ("timm", (3, 10), (3, 4), (0, 2), (3, 12)),
        ("torchvision", (3, 10), (4, 4), (0, 2), (4, 12)),
        ("torchvision", (4, 4), (4, 4), (0, 0), (4, 4)),
    ],
)
def test_each_publisher_has_its_windows(rule, size, window, shift, padded):
    grid = window_grid(*size, window_size=4, shifted=True, rule=rule)
    assert (grid.window, grid.shift, grid.padded) == (window, shift, padded)
    assert window_grid(*size, window_size=4, shifted=False, rule=rule).shift == (0, 0)
    assert grid.shift_first == (rule == "timm")


@pytest.mark.parametrize("rule", get_args(WindowRule))
def test_odd_windows_are_shifted_by_half_rounded_down(rule):
    assert window_grid(14, 14, window_size=7, shifted=True, rule=rule).shift == (3, 3)
