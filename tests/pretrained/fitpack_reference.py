"""What BEiT's authors resize bias tables to: FITPACK's splines, on coordinates written as in their code."""

from collections.abc import Callable

import numpy as np

from tests.pretrained.resize_cases import BiasCase

Spline = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From x [W], y [H], values [H, W] at them, new x and new y (all increasing) to values [new H, new W]."""


def beit_bias_table(table: np.ndarray, case: BiasCase, spline: Spline) -> np.ndarray:
    """BEiT's fine-tuning does this to square windows; to others, each side by itself."""
    if case.old == case.new:
        return table
    old, new = ((2 * height - 1, 2 * width - 1) for height, width in (case.old, case.new))
    (y, new_y), (x, new_x) = (coordinates(*sides) for sides in zip(old, new, strict=True))
    offsets = table[: old[0] * old[1]]
    heads = [spline(x, y, head.reshape(old), new_x, new_y).reshape(-1) for head in offsets.T.astype(np.float64)]
    return np.concatenate([np.stack(heads, axis=1).astype(np.float32), table[len(offsets) :]])


def coordinates(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the old offsets lie, and the new ones."""
    left, right, q = 1.01, 1.5, 0.0
    while right - left > 1e-6:
        q = (left + right) / 2.0
        if sum(q**i for i in range(old // 2)) > new // 2:
            right = q
        else:
            left = q
    distances = [sum(q**i for i in range(n)) for n in range(1, old // 2 + 1)]
    reach = new // 2.0
    return np.array([-d for d in reversed(distances)] + [0.0] + distances), np.arange(-reach, reach + 0.1, 1.0)
