"""Protects the figures that a report derives from a confusion matrix."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.inspection.confusion_cases import confusion_of
from vit_jax.inspection.confusion import (
    Accuracy,
    Confusion,
    class_accuracies,
    confused_pairs,
    overall_accuracy,
    row_shares,
)

MATRIX = np.array([[8, 2, 0], [5, 3, 2], [0, 0, 0]])  # the third class has no examples
CONFUSION = confusion_of(MATRIX)


def test_rows_of_the_confusion_matrix_are_true_classes():
    label, predicted = np.array([0, 0, 1, 2, 2, 2], np.int32), np.array([0, 1, 1, 0, 2, 2], np.int32)
    confusion = Confusion.of(label, predicted, 4)
    assert confusion.matrix().tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(confusion_of(MATRIX).matrix(), MATRIX)


def test_a_hundred_thousand_classes_take_the_room_of_the_examples():
    """Their matrix would have 80 GB."""
    label, predicted = np.array([99_999, 5, 99_999], np.int32), np.array([99_998, 5, 99_998], np.int32)
    confusion = Confusion.of(label, predicted, 100_000)
    assert (overall_accuracy(confusion).right, overall_accuracy(confusion).total) == (1, 3)
    assert [(pair.true, pair.predicted, pair.count) for pair in confused_pairs(confusion, 5)] == [(99_999, 99_998, 2)]
    assert [(row.index, row.total) for row in class_accuracies(confusion)[:3]] == [(99_999, 2), (5, 1), (0, 0)]


def test_overall_accuracy_counts_the_diagonal():
    overall = overall_accuracy(CONFUSION)
    assert (overall.right, overall.total, overall.value) == (11, 20, 0.55)


@pytest.mark.parametrize(("right", "total"), [(357, 360), (5, 10), (10, 10), (0, 10), (9917, 10_000), (1, 1)])
def test_interval_is_wilsons_and_equals_scipys(right, total):
    expected = binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert Accuracy(right, total).interval == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_nothing_is_known_without_examples():
    assert Accuracy(0, 0).interval == (0.0, 1.0)


def test_hardest_class_comes_first_and_a_class_without_examples_last():
    rows = class_accuracies(CONFUSION)
    assert [row.index for row in rows] == [1, 0, 2]
    assert [row.value for row in rows[:2]] == [0.3, 0.8]
    assert math.isnan(rows[2].value)


def test_confused_pairs_are_the_most_frequent_mistakes_only():
    pairs = confused_pairs(CONFUSION, most=10)
    assert [(pair.true, pair.predicted, pair.count) for pair in pairs] == [(1, 0, 5), (0, 1, 2), (1, 2, 2)]
    assert [pair.share for pair in pairs] == [0.5, 0.2, 0.2]
    assert len(confused_pairs(CONFUSION, most=2)) == 2
    assert confused_pairs(confusion_of(np.eye(3, dtype=int)), most=2) == []


def test_row_shares_sum_to_one_where_there_are_examples():
    np.testing.assert_allclose(row_shares(MATRIX).sum(axis=1), [1, 1, 0])
