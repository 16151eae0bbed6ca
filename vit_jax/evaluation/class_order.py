"""Which output of a model stands for which class of a data set."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ClassOrder(NamedTuple):
    """How the classes of a set are found among a model's.

    Attributes:
        outputs: int32 [classes], the model's output for each label of the set.
        description: how they were matched, in words.
    """

    outputs: np.ndarray
    description: str


def match_classes(
    model_names: Sequence[str], num_classes: int, data_names: Sequence[str], by_number: bool = False
) -> ClassOrder:
    """Matches classes by name; by number where the model's have no names, or where that is asked for.

    Args:
        model_names: what the model's outputs mean; empty where this is not known.
        num_classes: how many outputs it has.
        data_names: what the set's labels mean.
        by_number: whether to take the set's labels for the model's outputs, whatever they are called.

    Raises:
        ValueError: if the set has classes that the model has not, or one of their names stands for several; by number,
            if there are not as many of both.
    """
    if by_number or not model_names:
        return match_by_number(model_names, num_classes, data_names)
    if tuple(model_names) == tuple(data_names):
        return ClassOrder(np.arange(len(data_names), dtype=np.int32), "the model's and the set's are the same")
    return match_by_name(model_names, data_names)


def match_by_number(model_names: Sequence[str], num_classes: int, data_names: Sequence[str]) -> ClassOrder:
    """Takes the set's labels for the model's outputs."""
    if num_classes != len(data_names):
        named = f": {first_names(model_names)}" if model_names else " without names"
        raise ValueError(
            f"the model has {num_classes} classes{named}; the set has {len(data_names)}: {first_names(data_names)}. "
            "They cannot be matched by number"
        )
    outputs = np.arange(len(data_names), dtype=np.int32)
    if not model_names:
        return ClassOrder(outputs, "by number only: the model does not say what its classes are called")
    pairs = zip(data_names[:3], model_names, strict=False)
    shown = ", ".join(f"{of_data!r} is its {of_model!r}" for of_data, of_model in pairs)
    return ClassOrder(outputs, f"by number, whatever the model calls them: {shown}, and so on")


def match_by_name(model_names: Sequence[str], data_names: Sequence[str]) -> ClassOrder:
    """Finds each of the set's classes among the model's."""
    if missing := set(data_names) - set(model_names):
        raise ValueError(
            "the model's classes are not the set's, so that a score would mean nothing.\n"
            f"  the model's {len(model_names)}: {first_names(model_names)}\n"
            f"  the set's {len(data_names)}: {first_names(data_names)}\n"
            f"  only the model's: {first_names(sorted(set(model_names) - set(data_names))) or 'none'}\n"
            f"  only the set's: {first_names(sorted(missing)) or 'none'}"
        )
    of_model, of_data = Counter(model_names), Counter(data_names)
    if twice := sorted(name for name in of_data if max(of_model[name], of_data[name]) > 1):
        raise ValueError(
            f"the set's and the model's classes cannot be matched by name: several are called {first_names(twice)}"
        )
    places = {name: place for place, name in enumerate(model_names)}
    outputs = np.array([places[name] for name in data_names], np.int32)
    if len(data_names) < len(model_names):
        return ClassOrder(outputs, f"matched by name: the set has {len(data_names)} of the model's {len(model_names)}")
    return ClassOrder(outputs, "matched by name: the set has the model's classes in another order")


def first_names(names: Sequence[str]) -> str:
    """The first six names, quoted."""
    return ", ".join(map(repr, names[:6])) + (" ..." if len(names) > 6 else "")
