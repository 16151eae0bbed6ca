"""What a field may hold is checked where it is made, and names near to a wrong one are offered."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from types import MappingProxyType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

import numpy as np

KINDS: Mapping[Any, str] = MappingProxyType({int: "a whole number", float: "a number", bool: "True or False"})
"""What fields of these types must be, in words."""


def check_fields(value: Any, prefix: str = "") -> None:
    """Looks at the fields of a dataclass (or Flax module) that are annotated with int, float, bool, a Literal, a tuple
    of Literals, or one of these or None.

    Args:
        value: the dataclass.
        prefix: of its fields' names in errors, such as "objective.".

    Raises:
        ValueError: if one holds none of its values.
    """
    for field in dataclasses.fields(value):
        found: Any = getattr(value, field.name)
        type_: Any = field.type
        if get_origin(type_) in (Union, UnionType):
            kinds = [kind for kind in get_args(type_) if kind is not type(None)]
            if len(kinds) > 1 or (found is None and len(kinds) < len(get_args(type_))):
                continue
            (type_,) = kinds
        if type_ in KINDS and not is_of(type_, found):
            raise ValueError(f"{prefix}{field.name} must be {KINDS[type_]}, not {found!r}")
        several = get_origin(type_) is tuple and get_origin(get_args(type_)[0]) is Literal
        choices = get_args(type_)[0] if several else type_
        if get_origin(choices) is not Literal:
            continue
        for one in cast(tuple[Any, ...], found) if several else (found,):
            if one not in get_args(choices):
                names = ", ".join(map(str, get_args(choices)))
                raise ValueError(f"{prefix}{field.name} must be {'of' if several else 'one of'} {names}; not {one!r}")


def is_of(kind: Any, value: Any) -> bool:
    """Whether a value is a bool, a whole number or a number, Python's or NumPy's."""
    is_bool = isinstance(value, bool | np.bool_)
    if kind is bool:
        return is_bool
    return isinstance(value, Integral if kind is int else Real) and not is_bool


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message that offers the names nearest to a wrong one; empty if none is near.

    Those that begin with it come first.
    """
    known = list(known)
    longer = [other for other in known if name and other.startswith(name)]
    matches = dict.fromkeys([*longer, *difflib.get_close_matches(name, known, n=3, cutoff=0.5)])
    return f" (did you mean {' or '.join(list(matches)[:3])}?)" if matches else ""
