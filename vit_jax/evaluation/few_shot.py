"""Few-shot evaluation: a linear classifier of frozen features that saw a handful of images of each class."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vit_jax.data.splits import members_of_classes

PENALTIES = tuple(10.0 ** np.arange(-2, 7))
"""On the squared weights, of which leave-one-out chooses."""


@dataclass(frozen=True)
class FewShot:
    """What came of it.

    Attributes:
        shots: training images of each class.
        accuracies: share of the test examples whose class was predicted, for each draw of these images.
    """

    shots: int
    accuracies: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """The mean over the draws."""
        return float(np.mean(self.accuracies))


def few_shot(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    shots: int,
    draws: int = 5,
    seed: int = 0,
) -> FewShot:
    """Fits a linear classifier to a few examples of each class, and judges it on the test features.

    Regularised least squares on standardised features, as ViT's few-shot figures (Dosovitskiy et al., 2021, section
    4.1); the strength is chosen by leave-one-out among the few.

    Args:
        train_features: float [N, D], of which the few are drawn.
        train_labels: int [N].
        test_features: float [M, D].
        test_labels: int [M].
        shots: examples of each class.
        draws: of the few.
        seed: of the draws.

    Raises:
        ValueError: if a class has not so many training examples.
    """
    classes, counts = np.unique(train_labels, return_counts=True)
    if shots < 1 or draws < 1 or counts.min() < shots:
        raise ValueError(
            f"few-shot evaluation needs shots and draws above 0, and so many training examples of each class; got "
            f"{shots} shots, {draws} draws and {counts.min()} examples of class {classes[counts.argmin()]}"
        )
    members = [of_class for _, of_class in members_of_classes(train_labels)]
    random, accuracies = np.random.default_rng(seed), []
    for _ in range(draws):
        few = np.concatenate([random.choice(of_class, shots, False) for of_class in members])
        classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES))
        classifier.fit(train_features[few], train_labels[few])
        accuracies.append(float(classifier.score(test_features, test_labels)))
    return FewShot(shots, tuple(accuracies))
