"""The linear probe: fitted on standardised features, its regularisation chosen without the test examples."""

import numpy as np
import pytest

from vit_jax.evaluation.linear_probe import linear_probe


def examples(count: int, seed: int, width: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that the first two features tell apart, which are a millionth of the others and far from 0."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    features = rng.normal(size=(count, width))
    features[:, :2] += 3 * np.array([[1, 0], [-1, 1], [0, -1.5]])[labels]
    return (features * np.where(np.arange(width) < 2, 1e-4, 1e2) + 10).astype(np.float32), labels


def test_small_features_count_as_large_ones():
    probe = linear_probe(*examples(400, 0), *examples(300, 1))
    assert probe.accuracy > 0.95


def test_the_strength_is_the_best_on_the_validation_part():
    """With three labels of ten drawn at random, too weak a regularisation fits these, too strong a one nothing."""
    rng = np.random.default_rng(5)
    train, labels = examples(300, 0, width=100)
    labels = np.where(rng.random(300) < 0.3, rng.integers(0, 3, 300), labels)
    test = examples(300, 1, width=100)
    strengths = (10.0, 1e-6, 1e-2)
    probe = linear_probe(train, labels, *test, strengths, validation_fraction=0.5)
    assert probe.strength == 1e-2
    assert [strength for strength, _ in probe.validation] == sorted(strengths)
    assert max(accuracy for _, accuracy in probe.validation) == probe.validation[1][1]
    alone = [linear_probe(train, labels, *test, [strength]).accuracy for strength in strengths]
    assert probe.accuracy == alone[2] == max(alone)


def test_the_test_examples_are_not_looked_at():
    """Other labels for them change the accuracy, and nothing else."""
    (train, labels), (features, truth) = examples(200, 0), examples(100, 1)
    right, wrong = linear_probe(train, labels, features, truth), linear_probe(train, labels, features, (truth + 1) % 3)
    assert right.validation == wrong.validation
    assert right.accuracy + wrong.accuracy <= 1


def test_two_examples_of_each_class_are_enough():
    """One of each is held out, though a tenth of them would be fewer than there are classes."""
    labels = np.repeat(np.arange(20), 2)
    features = np.eye(20, dtype=np.float32)[labels]
    assert linear_probe(features, labels, features, labels).accuracy == 1
    with pytest.raises(ValueError, match="class"):
        linear_probe(features[1:], labels[1:], features, labels)


def test_without_strengths_nothing_can_be_chosen():
    for strengths in ((), (0.0, 1.0)):
        with pytest.raises(ValueError, match="strengths must be positive"):
            linear_probe(*examples(20, 0), *examples(20, 1), strengths)
