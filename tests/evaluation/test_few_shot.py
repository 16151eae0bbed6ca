"""Few-shot evaluation: what it learns from, and what it refuses."""

import numpy as np
import pytest

from vit_jax.evaluation.few_shot import draw_few, few_shot


def blobs(rng, per_class, spread=0.3):
    """Features [3 per_class, 4] around three places, and their classes."""
    labels = np.repeat(np.arange(3), per_class)
    return np.eye(3, 4)[labels] + rng.normal(0, spread, (len(labels), 4)), labels


def test_a_few_images_tell_classes_apart_that_lie_apart():
    rng = np.random.default_rng(0)
    train = blobs(rng, 50)
    drawn = draw_few(train[1], shots=5, draws=3)
    assert [np.bincount(train[1][few]).tolist() for few in drawn] == [[5, 5, 5]] * 3
    found = few_shot(*train, *blobs(rng, 50), drawn)
    assert len(found) == 3
    assert np.mean(found) > 0.9
    assert len(set(found)) > 1  # each draw has other images


def test_more_images_help():
    rng = np.random.default_rng(0)
    train, test = blobs(rng, 100, spread=1.0), blobs(rng, 300, spread=1.0)
    many, one = (np.mean(few_shot(*train, *test, draw_few(train[1], shots))) for shots in (50, 1))
    assert many > one + 0.05


def test_labels_that_say_nothing_give_chance():
    rng = np.random.default_rng(0)
    features, labels = blobs(rng, 100)
    known = rng.permutation(labels)
    assert np.mean(few_shot(features, known, *blobs(rng, 100), draw_few(known, shots=10))) < 0.6


def test_the_same_seed_draws_the_same():
    _, labels = blobs(np.random.default_rng(0), 20)
    first, again, other = (draw_few(labels, 5, seed=seed).tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_class_with_too_few_images_is_named():
    _, labels = blobs(np.random.default_rng(0), 4)
    with pytest.raises(ValueError, match="4 examples of class 0"):
        draw_few(labels, shots=5)
