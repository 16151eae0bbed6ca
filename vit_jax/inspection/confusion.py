"""What a confusion matrix says: accuracy with its uncertainty, the hardest classes, the most confused pairs.

A confusion matrix is int [classes, classes]; row i, column j counts the examples of class i that were predicted as j.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Accuracy:
    """How many of some examples were predicted right."""

    right: int
    total: int

    @property
    def value(self) -> float:
        """Fraction in [0, 1]; NaN where there are no examples."""
        return self.right / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% score interval (Wilson 1927), which stays inside [0, 1] and is honest for small test sets."""
        if not self.total:
            return 0.0, 1.0
        z2 = 1.959964**2
        centre = (self.right + z2 / 2) / (self.total + z2)
        variance = self.right * (self.total - self.right) / self.total + z2 / 4
        margin = math.sqrt(z2 * variance) / (self.total + z2)
        return max(centre - margin, 0.0), min(centre + margin, 1.0)


@dataclass(frozen=True)
class ClassAccuracy(Accuracy):
    """The accuracy among the examples of one class."""

    index: int


@dataclass(frozen=True)
class ConfusedPair:
    """One kind of mistake: examples of class `true` that were predicted as `predicted`."""

    true: int
    predicted: int
    count: int
    share: float  # of the examples of the true class, in (0, 1]


def overall_accuracy(confusion: np.ndarray) -> Accuracy:
    """The accuracy among all examples."""
    return Accuracy(right=int(np.trace(confusion)), total=int(confusion.sum()))


def class_accuracies(confusion: np.ndarray) -> list[ClassAccuracy]:
    """One entry a class, the lowest accuracy first; classes without examples come last."""
    rows = [ClassAccuracy(int(confusion[i, i]), int(confusion[i].sum()), i) for i in range(len(confusion))]
    return sorted(rows, key=lambda row: (row.total == 0, row.value if row.total else 0.0, row.index))


def confused_pairs(confusion: np.ndarray, most: int) -> list[ConfusedPair]:
    """The `most` most frequent mistakes, most frequent first."""
    mistakes = confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))  # [classes, classes]
    order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
    places = [np.unravel_index(place, mistakes.shape) for place in order if mistakes.flat[place] > 0]
    return [ConfusedPair(int(i), int(j), int(mistakes[i, j]), mistakes[i, j] / confusion[i].sum()) for i, j in places]


def row_shares(confusion: np.ndarray) -> np.ndarray:
    """float64 [classes, classes]: each row divided by its sum; rows without examples are zero."""
    return confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
