"""What frozen features tell of classes: by nearest neighbours, by a linear probe, or by a handful of images of each."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from vit_jax.evaluation.nearest_neighbours import Neighbours

How = Literal["knn", "probe", "few-shot"]

SHOTS = 10
"""Images of each class that "few-shot" learns from."""

TITLES: Mapping[How, str] = {
    "knn": "nearest neighbours",
    "probe": "a linear probe",
    "few-shot": f"{SHOTS} images of each class",
}

NEEDED: Mapping[How, int] = {"knn": 0, "probe": 2, "few-shot": SHOTS}
"""The fewest training images that a class may have, if it has any; a probe holds some of them out."""

Labelled = tuple[np.ndarray, np.ndarray]
"""Features float32 [N, D] and labels int32 [N]."""


class Judgement(NamedTuple):
    """What came of features.

    Attributes:
        accuracy: share of the images whose class was predicted.
        details: further figures, for the JSON.
        description: how the classes were predicted, in words.
    """

    accuracy: float
    details: Mapping[str, Any]
    description: str


def check_examples(how: How, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Raises ValueError if some class has too few training images, whose classes are `labels`, int [N]."""
    counts = np.bincount(labels, minlength=len(class_names))
    too_few = [
        f"{class_names[label]!r} has {counts[label]}"
        for label in np.flatnonzero((counts > 0) & (counts < NEEDED[how])).tolist()
    ]
    if too_few:
        more = f" (and {len(too_few) - 3:,} more have too few)" if len(too_few) > 3 else ""
        raise ValueError(
            f"{how} needs {NEEDED[how]} images of each class among the {len(labels):,} training images that it learns "
            f"from; {', '.join(too_few[:3])}{more}"
        )


def judge(
    how: How,
    learned_from: Labelled,
    judged: Labelled,
    num_classes: int,
    neighbours: Neighbours,
    drawn: np.ndarray | None = None,
) -> Judgement:
    """Predicts the classes of features from those of other images.

    Args:
        how: "knn", "probe" or "few-shot".
        learned_from: features and labels that are known.
        judged: those to predict.
        num_classes: number of classes.
        neighbours: of "knn", which takes all it is given.
        drawn: of "few-shot", from `draw_few`: which of the known ones each draw takes. None: they are drawn here.

    Raises:
        ValueError: if there are too few examples of a class to learn from.
    """
    known = f"{len(learned_from[1]):,} training images"
    if how == "knn":
        votes = neighbours.votes(*learned_from, judged[0], num_classes)
        accuracy = float(np.mean(votes.argmax(axis=1) == judged[1]))
        k, temperature = min(neighbours.k, len(learned_from[1])), neighbours.temperature
        description = f"the {k} nearest of {known}, temperature {temperature}"
        return Judgement(accuracy, {"k": k, "temperature": temperature}, description)
    if how == "probe":
        from vit_jax.evaluation.linear_probe import linear_probe  # scikit-learn takes a second to import

        probe = linear_probe(*learned_from, *judged)
        description = f"a linear probe on {known}, strength {probe.strength:g} of {len(probe.validation)} tried"
        return Judgement(probe.accuracy, {"strength": probe.strength, "validation": probe.validation}, description)
    from vit_jax.evaluation.few_shot import draw_few, few_shot

    drawn = draw_few(learned_from[1], SHOTS) if drawn is None else drawn
    accuracies = few_shot(*learned_from, *judged, drawn)
    low, high = min(accuracies), max(accuracies)
    description = f"{SHOTS} images of each class, drawn {len(accuracies)} times: {low:.2%} to {high:.2%}"
    return Judgement(float(np.mean(accuracies)), {"shots": SHOTS, "accuracies": accuracies}, description)
