"""Votes of the nearest neighbours are scikit-learn's, with DINO's weights."""

from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from vit_jax.evaluation import nearest_neighbours
from vit_jax.evaluation.nearest_neighbours import Neighbours, nearest_neighbour_votes


def clusters(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [count, 16] of seven overlapping classes, of very different lengths; and the classes."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(7, 16))
    labels = rng.integers(0, 7, count)
    features = (centres[labels] + rng.normal(size=(count, 16))) * rng.uniform(0.1, 10, (count, 1))
    return features.astype(np.float32), labels


def scikit_learn(train: np.ndarray, labels: np.ndarray, features: np.ndarray, k: int) -> np.ndarray:
    """The shares of the votes, float [M, classes]."""

    def weights(distance: np.ndarray) -> np.ndarray:
        return np.exp((1 - distance) / 0.07)

    settings: dict[str, Any] = dict(metric="cosine", algorithm="brute", weights=weights)
    judge = KNeighborsClassifier(k, **settings)
    return np.asarray(judge.fit(train, labels).predict_proba(features))


@pytest.mark.parametrize(("k", "at_once"), [(20, 11), (1, 1), (300, 1000)])
def test_votes_are_scikit_learn_s(k: int, at_once: int, monkeypatch: pytest.MonkeyPatch):
    """In chunks that do not divide the examples, one by one, all at once."""
    monkeypatch.setattr(nearest_neighbours, "SIMILARITIES", at_once * 300)
    (train, train_labels), (features, labels) = clusters(300, 0), clusters(50, 1)
    votes = nearest_neighbour_votes(train, train_labels, features, 7, k)
    expected = scikit_learn(train, train_labels, features, k)
    np.testing.assert_allclose(votes / votes.sum(1, keepdims=True), expected, rtol=1e-4, atol=1e-6)
    assert np.mean(votes.argmax(1) == labels) > 0.5


def test_equal_votes_are_for_the_lower_class_as_in_scikit_learn():
    """Every example is there three times, as three classes; no class is nearer than another."""
    train, _ = clusters(40, 0)
    train, labels = np.tile(train, (3, 1)), np.repeat([5, 2, 4], 40)
    features, _ = clusters(20, 1)
    votes = nearest_neighbour_votes(train, labels, features, 6, k=6)
    expected = scikit_learn(train, labels, features, 6)  # classes 2, 4, 5
    np.testing.assert_allclose(expected, 1 / 3, atol=1e-3)
    np.testing.assert_allclose(votes[:, [2, 4, 5]] / votes.sum(1, keepdims=True), expected, atol=1e-5)
    np.testing.assert_array_equal(votes[:, [0, 1, 3]], 0)


def test_of_equally_near_neighbours_the_first_vote():
    train = np.array([[0, 1], [2, 0], [1, 0], [3, 0]], np.float32)
    votes = nearest_neighbour_votes(train, np.array([0, 1, 2, 3]), np.array([[5, 0]], np.float32), 4, k=2)
    np.testing.assert_allclose(votes, [[0, 1, 1, 0]], rtol=1e-5)


def test_votes_are_finite_at_the_lowest_temperatures():
    """exp(1 / 0.01) is more than a float32 holds; all classes would be equal, at infinity."""
    (train, train_labels), (features, _) = clusters(300, 0), clusters(50, 1)
    votes = nearest_neighbour_votes(train, train_labels, features, 7, temperature=1e-3)
    assert np.isfinite(votes).all()
    nearest = nearest_neighbour_votes(train, train_labels, features, 7, k=1)
    assert np.mean(votes.argmax(1) == nearest.argmax(1)) > 0.9


def test_all_vote_where_they_are_fewer_than_k():
    (train, labels), (features, _) = clusters(8, 0), clusters(5, 1)
    votes = Neighbours(k=20, temperature=0.2).votes(train, labels, features, 7)
    np.testing.assert_array_equal(votes, nearest_neighbour_votes(train, labels, features, 7, k=8, temperature=0.2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(k=0), "k must be 1 to the number of training examples, 4; not 0"),
        (dict(k=5), "not 5"),
        (dict(temperature=0.0), "temperature"),
        (dict(features=np.ones((2, 3))), r"got \(4, 2\) and \(2, 3\)"),
        (dict(train_labels=np.zeros(3, int)), "4 training examples need as many labels"),
        (dict(num_classes=3), "labels must be 0 to 2; got 0 to 3"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str):
    fits = dict(train_features=np.ones((4, 2)), train_labels=np.arange(4), features=np.ones((2, 2)), num_classes=4, k=2)
    with pytest.raises(ValueError, match=message):
        nearest_neighbour_votes(**{**fits, **change})
