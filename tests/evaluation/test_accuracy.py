"""Every example that counts, once."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from vit_jax.evaluation.accuracy import Predictions, collect, expected_calibration_error


def test_only_examples_that_count_are_kept_in_order():
    batches = [np.array([0, 1, 2]), np.array([3, 4, 0])]  # the last 0 fills up

    def predict(batch):
        counts = ~((batch == 0) & (np.arange(3) == 2))
        return dict(label=batch, predicted=batch % 2, confidence=batch / 10, loss=batch * 1.0, counts=counts)

    predictions = Predictions(**collect(map(predict, batches)))
    assert predictions.label.tolist() == [0, 1, 2, 3, 4]
    assert predictions.place.tolist() == [0, 1, 2, 3, 4]
    assert predictions.accuracy == 2 / 5
    assert predictions.mean_loss == 2.0


def test_the_places_of_the_examples_that_count_are_kept():
    counts = np.array([True, False, True])
    answers = dict(label=np.ones(3), predicted=np.ones(3), confidence=np.ones(3), loss=np.ones(3), counts=counts)
    assert collect([answers, answers])["place"].tolist() == [0, 2, 3, 5]


def test_the_calibration_error_is_the_distance_in_each_bin_weighed_by_its_examples():
    """An edge belongs to the bin below."""
    random = np.random.default_rng(0)
    confidence = np.concatenate([random.random(200), [0, 1]])
    right = random.random(202) < confidence**2
    expected = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15) | (confidence == 0) & (i == 0)
        expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(confidence, right) == pytest.approx(expected)
    assert expected_calibration_error(np.full(4, 0.75), np.arange(4) > 0) == 0
    on_an_edge = expected_calibration_error(np.array([0.2, 0.25]), np.array([False, True]))
    assert on_an_edge == pytest.approx((0.2 + 0.75) / 2)


def test_balanced_accuracy_is_scikit_learn_s():
    """Which a network that always answers with the most frequent class does not gain by."""
    label, predicted = np.array([0] * 90 + [2] * 8 + [5] * 2), np.array([0] * 90 + [0] * 2 + [2] * 6 + [5, 0])
    predictions = Predictions(np.arange(100), label, predicted, np.ones(100), np.ones(100))
    assert predictions.balanced_accuracy == pytest.approx(balanced_accuracy_score(label, predicted)) == 0.75
    assert predictions.accuracy == 0.97
