"""k nearest neighbours on frozen features: how well a network's features tell classes apart, with nothing to train.

As DINO's eval_knn.py (Caron et al., 2021; after Wu et al., 2018): cosine similarity s, and a vote exp(s / 0.07) of each
of the k nearest for its class.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.evaluation.accuracy import Predictions
from vit_jax.models.layers import unit_vectors

SIMILARITIES = 2**26
"""Similarities that are held at once: 256 MiB."""

SMALLEST_SHARE = 1e-6
"""Of the votes that a class has at least, where its logarithm is taken."""


@dataclass(frozen=True)
class Neighbours:
    """How features are judged by their nearest neighbours.

    Attributes:
        k: training examples that vote on each image.
        temperature: of the votes: the lower, the more the nearest ones count.
        examples: training examples that may vote, drawn once from all; more than there are: all of them. In training
            they have a feed of their own: up to 2 GiB of images (10,000 of 256 px) are decoded at each start of a run
            and kept in memory, more are decoded at each evaluation (`data.feed` overrides this).
    """

    k: int = 20
    temperature: float = 0.07
    examples: int = 10_000

    def __post_init__(self):
        if self.k < 1 or self.temperature <= 0 or self.examples < self.k:
            raise ValueError(
                f"neighbours need k and temperature above 0, and at least k examples; got k {self.k}, temperature "
                f"{self.temperature} and {self.examples} examples"
            )

    def votes(
        self, train_features: np.ndarray, train_labels: np.ndarray, features: np.ndarray, num_classes: int
    ) -> np.ndarray:
        """`nearest_neighbour_votes` by these settings; of fewer than k training examples all vote."""
        k = min(self.k, len(train_labels))
        return nearest_neighbour_votes(train_features, train_labels, features, num_classes, k, self.temperature)


def neighbour_predictions(votes: np.ndarray, labels: np.ndarray, place: np.ndarray) -> Predictions:
    """Votes [M, num_classes] as a classifier's answers: a class is as probable as its share of the votes.

    Args:
        votes: from `nearest_neighbour_votes`.
        labels: int [M], the true classes.
        place: int [M], which examples of the split they are.
    """
    shares = votes / votes.sum(axis=1, keepdims=True)
    own = np.take_along_axis(shares, labels[:, None], axis=1)[:, 0]
    predicted, loss = shares.argmax(axis=1), -np.log(np.maximum(own, SMALLEST_SHARE))
    return Predictions(place, labels, predicted, shares.max(axis=1), loss)


def nearest_neighbour_votes(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    features: np.ndarray,
    num_classes: int,
    k: int = Neighbours.k,
    temperature: float = Neighbours.temperature,
) -> np.ndarray:
    """Lets the nearest training examples vote for the class of each example.

    Args:
        train_features: float [N, D]; need not be normalised.
        train_labels: int [N], in [0, num_classes).
        features: float [M, D], of the examples to classify.
        num_classes: number of classes.
        k: neighbours that vote. Of equally near ones, those that come first in `train_features` do.
        temperature: of the votes: the lower, the more the nearest ones count.

    Returns:
        The votes, float32 [M, num_classes]: the class with the most is the answer. The nearest example's is 1.

    Raises:
        ValueError: if k is not in 1 to N, temperature is not positive, labels are none of the classes, or shapes do not
            fit together.
    """
    check(train_features, train_labels, features, num_classes)
    if not 1 <= k <= len(train_features):
        raise ValueError(f"k must be 1 to the number of training examples, {len(train_features)}; not {k}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    at_once = min(max(SIMILARITIES // len(train_features), 1), len(features))
    return np.asarray(votes_in_chunks(train_features, train_labels, features, num_classes, k, temperature, at_once))


@partial(jax.jit, static_argnums=(3, 4, 6))
def votes_in_chunks(
    train_features: jax.Array,
    train_labels: jax.Array,
    features: jax.Array,
    num_classes: int,
    k: int,
    temperature: float,
    at_once: int,
) -> jax.Array:
    """The votes, `at_once` examples at a time: float32 [M, num_classes]."""
    known = unit_vectors(jnp.asarray(train_features, jnp.float32))

    def vote(feature: jax.Array) -> jax.Array:
        similarity, nearest = jax.lax.top_k(jnp.matmul(known, unit_vectors(feature), precision="highest"), k)
        weight = jnp.exp((similarity - similarity[0]) / temperature)  # the nearest one's is 1: none overflows
        return jnp.zeros(num_classes).at[train_labels[nearest]].add(weight)

    return jax.lax.map(vote, jnp.asarray(features, jnp.float32), batch_size=at_once)


def check(train_features: np.ndarray, train_labels: np.ndarray, features: np.ndarray, num_classes: int) -> None:
    """Raises ValueError if features and labels do not fit together."""
    shapes = np.shape(train_features), np.shape(features)
    if [len(shape) for shape in shapes] != [2, 2] or shapes[0][1] != shapes[1][1] or 0 in (*shapes[0], *shapes[1]):
        raise ValueError(f"features must be [N, D] and [M, D], with the same D; got {shapes[0]} and {shapes[1]}")
    if np.shape(train_labels) != shapes[0][:1]:
        raise ValueError(f"{shapes[0][0]} training examples need as many labels, not {np.shape(train_labels)}")
    if np.min(train_labels) < 0 or np.max(train_labels) >= num_classes:
        raise ValueError(f"labels must be 0 to {num_classes - 1}; got {np.min(train_labels)} to {np.max(train_labels)}")
