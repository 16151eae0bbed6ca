"""Embeddings and tables to resize, from a seed; shared by tests and by the scripts that make golden files.

Sizes grow, shrink, stay and do both at once; squares and not, by whole factors and odd ones.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

GOLDEN_SEED = 0
GOLDEN_FILE = Path(__file__).with_name("golden") / "resize.npz"
INTERP2D_FILE = Path(__file__).with_name("golden") / "resize_interp2d.npz"

Size = tuple[int, int]


class PositionCase(NamedTuple):
    """A position embedding of `prefix` tokens and an `old` grid, for a `new` grid."""

    prefix: int
    old: Size
    new: Size


class BiasCase(NamedTuple):
    """A bias table of an `old` window with `extra` rows at its end, for a `new` window."""

    old: Size
    new: Size
    extra: int = 0


POSITION_CASES = {
    "grow": PositionCase(1, (4, 4), (7, 7)),
    "shrink": PositionCase(2, (7, 7), (3, 3)),
    "double": PositionCase(0, (3, 3), (6, 6)),
    "to_oblong": PositionCase(1, (5, 5), (3, 8)),
    "as_many_patches": PositionCase(1, (4, 4), (2, 8)),
    "one_side": PositionCase(5, (5, 5), (5, 9)),
    "from_oblong": PositionCase(1, (4, 6), (7, 5)),
    "to_one_patch": PositionCase(1, (4, 4), (1, 1)),
    "224_to_384": PositionCase(1, (14, 14), (24, 24)),
    "518_to_224": PositionCase(1, (37, 37), (16, 16)),
}

BIAS_CASES = {
    "grow": BiasCase((7, 7), (12, 12)),
    "shrink": BiasCase((7, 7), (4, 4)),
    "class_token": BiasCase((8, 8), (14, 14), extra=3),
    "to_oblong": BiasCase((5, 5), (4, 7), extra=3),
    "one_side": BiasCase((4, 4), (4, 6)),
    "from_oblong": BiasCase((4, 6), (7, 5), extra=3),
    "unchanged_oblong": BiasCase((4, 6), (4, 6), extra=3),
    "beyond_the_largest_ratio": BiasCase((3, 3), (9, 9)),
}


def position_embedding(case: PositionCase, seed: int = GOLDEN_SEED) -> np.ndarray:
    """float32 [1, prefix + rows * columns, 2], standard normal."""
    return random(seed, 1, case.prefix + case.old[0] * case.old[1], 2)


def bias_table(case: BiasCase, seed: int = GOLDEN_SEED) -> np.ndarray:
    """float32 [(2 Wh - 1)(2 Ww - 1) + extra, 2], standard normal."""
    return random(seed, (2 * case.old[0] - 1) * (2 * case.old[1] - 1) + case.extra, 2)


def random(seed: int, *shape: int) -> np.ndarray:
    """Standard normal float32; of RandomState, whose stream is promised never to change."""
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
