"""Few-shot evaluation: a linear classifier of frozen features that saw a handful of images of each class."""

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vit_jax.data.splits import members_of_classes

PENALTIES = tuple(10.0 ** np.arange(-2, 7))
"""On the squared weights, of which leave-one-out chooses."""


def draw_few(labels: np.ndarray, shots: int, draws: int = 5, seed: int = 0) -> np.ndarray:
    """Draws a few examples of each class, several times.

    Args:
        labels: int [N], the classes.
        shots: examples of each class.
        draws: of the few.
        seed: of the draws.

    Returns:
        Which examples each draw takes, int [draws, classes x shots].

    Raises:
        ValueError: if a class has not so many examples.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if shots < 1 or draws < 1 or counts.min() < shots:
        raise ValueError(
            f"few-shot evaluation needs shots and draws above 0, and so many training examples of each class; got "
            f"{shots} shots, {draws} draws and {counts.min()} examples of class {classes[counts.argmin()]}"
        )
    members = [of_class for _, of_class in members_of_classes(labels)]
    random = np.random.default_rng(seed)
    return np.stack(
        [np.concatenate([random.choice(of_class, shots, False) for of_class in members]) for _ in range(draws)]
    )


def few_shot(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    drawn: np.ndarray,
) -> tuple[float, ...]:
    """Fits a linear classifier to a few examples of each class, and judges it on the test features.

    Regularised least squares on standardised features, as ViT's few-shot figures (Dosovitskiy et al., 2021, section
    4.1); the strength is chosen by leave-one-out among the few.

    Args:
        train_features: float [N, D].
        train_labels: int [N].
        test_features: float [M, D].
        test_labels: int [M].
        drawn: int [draws, few], the training examples that each draw takes.

    Returns:
        The share of the test examples whose class was predicted, for each draw.
    """
    accuracies: list[float] = []
    for few in drawn:
        classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES))
        classifier.fit(train_features[few], train_labels[few])
        accuracies.append(float(classifier.score(test_features, test_labels)))
    return tuple(accuracies)
