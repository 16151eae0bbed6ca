"""What a confusion matrix says: accuracy with its uncertainty, the hardest classes, the most confused pairs."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix, whose row i, column j counts the examples of class i that were predicted as j.

    Kept as the cells that are not zero, which are no more than there are examples: all those of 10,000 classes would
    take 800 MB.

    Attributes:
        classes: how many rows and columns it has.
        true: int [cells], their rows, in increasing order.
        predicted: int [cells], their columns, in increasing order within a row.
        count: int [cells], the examples.
    """

    classes: int
    true: np.ndarray
    predicted: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, true: np.ndarray, predicted: np.ndarray, classes: int) -> "Confusion":
        """That of answers, int [N] each, in [0, classes)."""
        cells, count = np.unique(true.astype(np.int64) * classes + predicted, return_counts=True)
        return cls(classes, cells // classes, cells % classes, count)

    @property
    def totals(self) -> np.ndarray:
        """The examples of each class, int [classes]."""
        return np.bincount(self.true, self.count, self.classes).astype(int)

    def matrix(self) -> np.ndarray:
        """All cells, int [classes, classes]."""
        matrix = np.zeros((self.classes, self.classes), int)
        matrix[self.true, self.predicted] = self.count
        return matrix


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


def overall_accuracy(confusion: Confusion) -> Accuracy:
    """The accuracy among all examples."""
    right = confusion.true == confusion.predicted
    return Accuracy(right=int(confusion.count[right].sum()), total=int(confusion.count.sum()))


def class_accuracies(confusion: Confusion) -> list[ClassAccuracy]:
    """One entry a class, the lowest accuracy first; classes without examples come last."""
    right = confusion.count * (confusion.true == confusion.predicted)
    of_classes = np.bincount(confusion.true, right, confusion.classes).astype(int).tolist()
    counts = zip(of_classes, confusion.totals.tolist(), strict=True)
    rows = [ClassAccuracy(right, total, index) for index, (right, total) in enumerate(counts)]
    return sorted(rows, key=lambda row: (row.total == 0, row.value if row.total else 0.0, row.index))


def confused_pairs(confusion: Confusion, most: int) -> list[ConfusedPair]:
    """The `most` most frequent mistakes, most frequent first."""
    mistakes = np.flatnonzero(confusion.true != confusion.predicted)
    chosen = mistakes[np.argsort(-confusion.count[mistakes], kind="stable")][:most]
    cells = zip(*(x[chosen].tolist() for x in (confusion.true, confusion.predicted, confusion.count)), strict=True)
    totals = confusion.totals
    return [ConfusedPair(true, predicted, count, count / totals[true]) for true, predicted, count in cells]


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """float64 [classes, classes]: each row divided by its sum; rows without examples are zero."""
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
