"""Few-shot evaluation: what it learns from, and what it refuses."""

import numpy as np
import pytest

from vit_jax.evaluation.few_shot import few_shot


def blobs(rng, per_class, spread=0.3):
    """Features [3 per_class, 4] around three places, and their classes."""
    labels = np.repeat(np.arange(3), per_class)
    return np.eye(3, 4)[labels] + rng.normal(0, spread, (len(labels), 4)), labels


def test_a_few_images_tell_classes_apart_that_lie_apart():
    rng = np.random.default_rng(0)
    found = few_shot(*blobs(rng, 50), *blobs(rng, 50), shots=5, draws=3)
    assert (found.shots, len(found.accuracies)) == (5, 3)
    assert found.accuracy == pytest.approx(np.mean(found.accuracies))
    assert found.accuracy > 0.9
    assert len(set(found.accuracies)) > 1  # each draw has other images


def test_more_images_help():
    rng = np.random.default_rng(0)
    train, test = blobs(rng, 100, spread=1.0), blobs(rng, 300, spread=1.0)
    assert few_shot(*train, *test, shots=50).accuracy > few_shot(*train, *test, shots=1).accuracy + 0.05


def test_labels_that_say_nothing_give_chance():
    rng = np.random.default_rng(0)
    features, labels = blobs(rng, 100)
    assert few_shot(features, rng.permutation(labels), *blobs(rng, 100), shots=10).accuracy < 0.6


def test_the_same_seed_draws_the_same():
    rng = np.random.default_rng(0)
    train, test = blobs(rng, 20, 1.0), blobs(rng, 100, 1.0)
    first, again, other = (few_shot(*train, *test, 5, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_class_with_too_few_images_is_named():
    features, labels = blobs(np.random.default_rng(0), 4)
    with pytest.raises(ValueError, match="4 examples of class 0"):
        few_shot(features, labels, features, labels, shots=5)
