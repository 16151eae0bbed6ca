"""Linear probe: a linear classifier on frozen features, which says what they hold that a line can tell apart.

Multinomial logistic regression by L-BFGS, on features of zero mean and unit variance over the training examples (which
MAE's batch norm without scale and shift before the head does). scikit-learn's, because it is exact, needs no learning
rate and takes seconds for 50,000 examples of 768 features.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MOST_ITERATIONS = 1000


@dataclass(frozen=True)
class LinearProbe:
    """What came of a linear probe.

    Attributes:
        accuracy: share of the test examples whose class was predicted.
        strength: the one chosen of those tried: scikit-learn's C, the weight of the training loss (a sum over examples)
            beside half the squared weights. Larger is less regularised.
        validation: (strength, accuracy on the validation part) of every one tried.
    """

    accuracy: float
    strength: float
    validation: tuple[tuple[float, float], ...]


def linear_probe(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    strengths: Sequence[float] = STRENGTHS,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> LinearProbe:
    """Fits a linear classifier on the training features and judges it on the test features.

    Args:
        train_features: float [N, D].
        train_labels: int [N].
        test_features: float [M, D].
        test_labels: int [M].
        strengths: values of C to try. The best on the validation part (of equal ones, the strongest regularisation) is
            fitted anew to all training examples.
        validation_fraction: of the training examples, held out for choosing, stratified by class; at least as
            many as there are classes.
        seed: of that division.

    Raises:
        ValueError: if the shapes do not fit together, there are no strengths, or a class has but one example.
    """
    if not strengths or min(strengths) <= 0:
        raise ValueError(f"strengths must be positive, and there must be one; got {tuple(strengths)}")
    classes = len(np.unique(train_labels))
    held = max(math.ceil(validation_fraction * len(train_labels)), classes)
    fit_features, held_features, fit_labels, held_labels = train_test_split(
        train_features, train_labels, test_size=held, stratify=train_labels, random_state=seed
    )
    tried = tuple(
        (strength, float(classifier(strength).fit(fit_features, fit_labels).score(held_features, held_labels)))
        for strength in sorted(strengths)
    )
    strength = max(tried, key=lambda one: one[1])[0]
    accuracy = classifier(strength).fit(train_features, train_labels).score(test_features, test_labels)
    return LinearProbe(float(accuracy), strength, tried)


def classifier(strength: float) -> Pipeline:
    """Standardised features, then logistic regression."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=MOST_ITERATIONS))
