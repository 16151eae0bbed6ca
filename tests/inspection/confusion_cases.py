"""Confusion matrices for tests."""

import numpy as np

from vit_jax.inspection.confusion import Confusion


def confusion_of(matrix: np.ndarray) -> Confusion:
    """A matrix by its cells."""
    true, predicted = np.nonzero(matrix)
    return Confusion(len(matrix), true, predicted, matrix[true, predicted])
