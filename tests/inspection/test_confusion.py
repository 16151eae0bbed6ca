"""Protects the figures that a report derives from a confusion matrix."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from vit_jax.inspection.confusion import Accuracy, class_accuracies, confused_pairs, overall_accuracy, row_shares

CONFUSION = np.array([[8, 2, 0], [5, 3, 2], [0, 0, 0]])  # the third class has no examples


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
    assert confused_pairs(np.eye(3, dtype=int), most=2) == []


def test_row_shares_sum_to_one_where_there_are_examples():
    np.testing.assert_allclose(row_shares(CONFUSION).sum(axis=1), [1, 1, 0])
