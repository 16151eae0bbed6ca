"""What devices exchange, read from the text of a compiled program."""

import re
from collections import Counter
from dataclasses import dataclass

from benchmarks.hlo_types import array_bytes

KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|ragged-all-to-all|collective-permute|collective-broadcast"
# An array's type has no spaces; a tuple's has, and may have brackets within (TPU's tiles). Where an operation is begun
# and ended apart, its end counts: the beginning has its inputs among its results.
OPERATION = re.compile(
    rf"^\s*(?:ROOT )?%?[\w.-]+ = (?P<type>\((?:[^()]|\([^()]*\))*\)|\S+) (?P<kind>{KINDS})(?:-done)?\(", re.MULTILINE
)


@dataclass(frozen=True)
class Exchange:
    """The collectives of one program.

    Attributes:
        operations: how many of each kind the program has, each counted once, also inside a loop.
        bytes: of their results on one device.
    """

    operations: dict[str, int]
    bytes: int


def exchange(program: str) -> Exchange:
    """The collectives in a program's text, `jax.stages.Compiled.as_text()`."""
    found = list(OPERATION.finditer(program))
    return Exchange(dict(Counter(match["kind"] for match in found)), sum(array_bytes(match["type"]) for match in found))
