"""How the same parameter lies in memory at a publisher and here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """What makes one array of ours of one or several of theirs: each is transposed, then all are joined, last axis.

    Attributes:
        axes: the transposition; () for none.
        merge_heads: the first of two axes, (heads, width of a head), that are one here; None for none.
    """

    axes: tuple[int, ...] = ()
    merge_heads: int | None = None

    def shape(self, parts: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
        """The shape of ours for these shapes of theirs; None if they cannot be put together."""
        shapes = [self.shape_of_part(part) for part in parts]
        first = shapes[0]
        if first is None or any(shape is None or shape[:-1] != first[:-1] for shape in shapes):
            return None
        if len(shapes) == 1:
            return first
        return (*first[:-1], sum(shape[-1] for shape in shapes if shape)) if first else None

    def shape_of_part(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape that one of theirs has here; None if it has another number of axes."""
        if self.axes:
            if len(shape) != len(self.axes):
                return None
            shape = tuple(shape[axis] for axis in self.axes)
        if self.merge_heads is not None:
            axis = self.merge_heads
            if len(shape) < axis + 2:
                return None
            shape = (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
        return shape

    def ours(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Theirs as ours; `shape` must have said that they can be. A view where nothing is joined."""
        arrays = []
        for part in parts:
            shape = self.shape_of_part(part.shape)
            assert shape is not None
            arrays.append((part.transpose(self.axes) if self.axes else part).reshape(shape))
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)

    def theirs(self, array: np.ndarray, parts: int) -> list[np.ndarray]:
        """Ours as that many of theirs: the inverse of `ours` for layouts that merge no heads."""
        split = np.split(array, parts, axis=-1)
        return [part.transpose(np.argsort(self.axes)) if self.axes else part for part in split]


AS_IS = Layout()
LINEAR = Layout((1, 0))
"""PyTorch's [out, in] as [in, out]."""
CONVOLUTION = Layout((2, 3, 1, 0))
"""PyTorch's [out, in, height, width] as [height, width, in, out]."""
