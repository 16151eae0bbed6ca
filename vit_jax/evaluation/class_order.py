"""Which output of a model stands for which class of a data set."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ClassOrder(NamedTuple):
    """How the classes of a set are found among a model's.

    Attributes:
        outputs: int32 [classes], the model's output for each label of the set.
        told: how they were matched, in words.
    """

    outputs: np.ndarray
    told: str


def match_classes(model_names: Sequence[str], num_classes: int, data_names: Sequence[str]) -> ClassOrder:
    """Matches classes by name; by number where the model's have no names.

    Args:
        model_names: what the model's outputs mean; empty where this is not known.
        num_classes: how many outputs it has.
        data_names: what the set's labels mean.

    Raises:
        ValueError: if names or numbers differ, or a name stands for several classes in another order.
    """
    in_order = np.arange(len(data_names), dtype=np.int32)
    if not model_names:
        if num_classes != len(data_names):
            raise ValueError(
                f"the model has {num_classes} classes without names, the set has {len(data_names)}: "
                f"{first(data_names)}. They cannot be matched"
            )
        return ClassOrder(in_order, "by number only: the model does not say what its classes are called")
    if tuple(model_names) == tuple(data_names):
        return ClassOrder(in_order, "the model's and the set's are the same")
    if sorted(model_names) != sorted(data_names):
        missing, unknown = set(data_names) - set(model_names), set(model_names) - set(data_names)
        raise ValueError(
            "the model's classes are not the set's, so that a score would mean nothing.\n"
            f"  the model's {len(model_names)}: {first(model_names)}\n"
            f"  the set's {len(data_names)}: {first(data_names)}\n"
            f"  only the model's: {first(sorted(unknown)) or 'none'}\n"
            f"  only the set's: {first(sorted(missing)) or 'none'}"
        )
    if len(set(model_names)) != len(model_names):
        twice = sorted({name for name in model_names if list(model_names).count(name) > 1})
        raise ValueError(f"the set has the model's classes in another order, and several are called {first(twice)}")
    places = {name: place for place, name in enumerate(model_names)}
    outputs = np.array([places[name] for name in data_names], np.int32)
    return ClassOrder(outputs, "matched by name: the set has the model's classes in another order")


def first(names: Sequence[str], most: int = 6) -> str:
    """The first few names, quoted."""
    return ", ".join(map(repr, names[:most])) + (" ..." if len(names) > most else "")
