"""Fields that may hold a few values only, each checked where it is made."""

import dataclasses
from types import NoneType
from typing import Any, Literal, get_args, get_origin


def check_choices(value: Any, prefix: str = "") -> None:
    """Looks at the fields of a dataclass (or Flax module) that are annotated with a Literal, or with one or None.

    Args:
        value: the dataclass.
        prefix: of its fields' names in errors, such as "objective.".

    Raises:
        ValueError: if one holds none of its values.
    """
    for field in dataclasses.fields(value):
        allowed, found = choices(field.type), getattr(value, field.name)
        if allowed is not None and found not in allowed:
            names = ", ".join(map(str, allowed))
            raise ValueError(f"{prefix}{field.name} must be one of {names}; not {found!r}")


def choices(kind: Any) -> tuple[Any, ...] | None:
    """The values of a Literal, or of one or None; None for any other type."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    parts = get_args(kind)
    if NoneType in parts and len(parts) == 2:
        (inner,) = (part for part in parts if part is not NoneType)
        return (*get_args(inner), None) if get_origin(inner) is Literal else None
    return None
