"""Accuracy, calibration and loss over a whole split, every example counted once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """A classifier's answers on the N examples of a split that count, in the split's order.

    Attributes:
        place: int [N], which examples of the split they are: all of them, where all could be read.
        label: int [N], the true classes.
        predicted: int [N], the classes with the highest probability.
        confidence: float [N], those probabilities.
        loss: float [N], cross-entropy of each example (no label smoothing).
    """

    place: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    loss: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of the examples whose class was predicted."""
        return float(np.mean(self.label == self.predicted))

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the classes' accuracies, of those that there are examples of: a frequent one counts no more."""
        _, place = np.unique(self.label, return_inverse=True)
        return float(np.mean(np.bincount(place, weights=self.label == self.predicted) / np.bincount(place)))

    @property
    def calibration_error(self) -> float:
        """How far the probabilities are from the accuracy."""
        return expected_calibration_error(self.confidence, self.label == self.predicted)

    @property
    def mean_loss(self) -> float:
        """Mean cross-entropy."""
        return float(np.mean(self.loss))


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """How far confidence is from accuracy (Guo et al., 2017, equation 3): the mean over the examples of the distance
    between the mean confidence and the accuracy of those about as confident.

    Args:
        confidence: float [N], probabilities of the predicted classes.
        right: bool [N], whether each is the true one.
        bins: equal parts of [0, 1]; examples in one of them are about as confident.
    """
    place = np.searchsorted(np.arange(1, bins) / bins, confidence)  # [N], of bins closed on the right
    return float(np.abs(np.bincount(place, weights=right - confidence)).sum() / len(confidence))


def collect(results: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Joins what was found for the examples of one batch after the other that count.

    Args:
        results: arrays [B, ...] by name; of "counts", bool [B], those examples are kept that it is true for.

    Returns:
        All but "counts", and the "place", int [N], that each example has among all of the split.
    """
    kept: dict[str, list[np.ndarray]] = {}
    counts: list[np.ndarray] = []
    for found in map(dict, results):
        counts.append(found.pop("counts"))
        for name, values in found.items():
            kept.setdefault(name, []).append(values[counts[-1]])
    joined = {name: np.concatenate(values) for name, values in kept.items()}
    return {"place": np.flatnonzero(np.concatenate(counts)), **joined}
