"""Fields that may hold a few values only, each checked where it is made."""

import dataclasses
from typing import Any, Literal, get_args, get_origin


def check_choices(value: Any, prefix: str = "") -> None:
    """Looks at the fields of a dataclass (or Flax module) that are annotated with a Literal.

    Args:
        value: the dataclass.
        prefix: of its fields' names in errors, such as "objective.".

    Raises:
        ValueError: if one holds none of its values.
    """
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if get_origin(field.type) is Literal and found not in get_args(field.type):
            names = ", ".join(map(str, get_args(field.type)))
            raise ValueError(f"{prefix}{field.name} must be one of {names}; not {found!r}")
