"""Stored arrays as our parameters: by a table of names, each read only when it is needed."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from vit_jax.models.network import Network
from vit_jax.models.parameters import shapes_by_path
from vit_jax.pretrained.rules import Rule, Table, find_ours, find_theirs
from vit_jax.pretrained.stored import StoredArray


class Parameter(NamedTuple):
    """One of our parameters, as it can be made of stored ones.

    Attributes:
        shape: of it.
        read: gives it, float32.
    """

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


@dataclass
class Converted:
    """What a table makes of a file.

    Attributes:
        parameters: by our paths.
        broken: paths of which something is stored, but not what makes a parameter.
        problems: what is wrong with these and with the rest of the file, a line each.
        left_out: names in the file that are no parameters of the network, with what they are.
    """

    parameters: dict[str, Parameter] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters."""
        return {path: parameter.shape for path, parameter in self.parameters.items()}


def convert(arrays: Mapping[str, StoredArray], table: Table, left_out: Mapping[str, str]) -> Converted:
    """Finds our parameters in a file.

    Args:
        arrays: by the names of the table.
        table: of names.
        left_out: regular expressions of names that are no parameters of the network, with what they are.
    """
    converted = Converted()
    for name in arrays:
        match = find_theirs(name, table)
        if match is None:
            reason = next((reason for pattern, reason in left_out.items() if re.search(pattern, name)), None)
            if reason is None:
                converted.problems.append(f"unexpected: {name} {list(arrays[name].shape)}")
            else:
                converted.left_out[name] = reason
        elif match.ours not in converted.parameters and match.ours not in converted.broken:
            problems = problems_of(match, arrays)
            if problems:
                converted.broken.add(match.ours)
                converted.problems += problems
            else:
                converted.parameters[match.ours] = parameter(match, [arrays[name] for name in match.theirs])
    return converted


def problems_of(match: Rule, arrays: Mapping[str, StoredArray]) -> list[str]:
    """Why the stored arrays of a match are no parameter, a line each; empty if they are."""
    absent = [f"missing: {name}" for name in match.theirs if name not in arrays]
    if absent:
        return absent
    parts = {name: arrays[name] for name in match.theirs}
    wrong = [f"not floating point: {name} is {x.dtype}" for name, x in parts.items() if not is_floating(x.dtype)]
    if wrong:
        return wrong
    if match.layout.shape([part.shape for part in parts.values()]) is None:
        return [f"misshapen: {name} is {list(part.shape)}" for name, part in parts.items()]
    return []


def parameter(match: Rule, parts: Sequence[StoredArray]) -> Parameter:
    """The parameter that sound parts make."""
    shape = match.layout.shape([part.shape for part in parts])
    assert shape is not None
    return Parameter(shape, lambda: match.layout.ours([part.read() for part in parts]))


def is_floating(dtype: np.dtype) -> bool:
    """Whether a dtype is floating point, bfloat16 included."""
    return bool(jnp.issubdtype(dtype, jnp.floating))


def check(converted: Converted, model: Network, table: Table) -> list[str]:
    """Every parameter that a network lacks or that does not fit it, a line each; empty if all fit.

    Those that are broken are left to `converted.problems`. The table tells their names in the file.
    """
    parameters = converted.parameters
    problems, expected = [], shapes_by_path(model)
    for path, shape in expected.items():
        match = find_ours(path, table)
        named = f"{path} ({', '.join(match.theirs)})" if match and match.theirs != (path,) else path
        if path in converted.broken:
            continue
        if path not in parameters:
            problems.append(f"missing: {named}")
        elif parameters[path].shape != shape:
            problems.append(f"misshapen: {named} is {list(parameters[path].shape)}, not {list(shape)}")
    return problems + [f"unexpected: {path}" for path in parameters if path not in expected]


def read_parameters(
    parameters: Mapping[str, Parameter], place: Callable[[np.ndarray], Any] = np.asarray
) -> dict[str, Any]:
    """Reads parameters one by one: a nested dict of float32 arrays.

    Args:
        parameters: by their paths.
        place: what is done with each before the next is read: `jax.device_put`, or nothing.
    """
    arrays = {path: place(np.asarray(parameter.read(), np.float32)) for path, parameter in parameters.items()}
    return unflatten_dict(arrays, sep="/")
