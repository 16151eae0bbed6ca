"""The kernels that a program compiled for a GPU launches, and the bytes that they move, read from its text.

Each kernel is taken to read its operands and write its results once, whole: caches, and kernels that read part of an
operand, are not seen. A loop (`while`) counts as one kernel that reads and writes what it carries, so that a step with
gradient accumulation is not to be counted. The sums say how two programs for the same work differ, not how long they
take.
"""

import re
from dataclasses import dataclass

from benchmarks.hlo_types import array_bytes

FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"}
"""Operations that launch nothing."""

COMPUTATION = re.compile(r"^(ENTRY )?%(?P<name>[\w.\-]+) \(.*?\{$(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL)
INSTRUCTION = re.compile(
    r"^  (?:ROOT )?%(?P<name>[\w.\-]+) = (?P<type>\(.*?\)|\S+) (?P<kind>[\w\-]+)\((?P<operands>.*?)\)"
)


@dataclass(frozen=True)
class Kernel:
    """A kernel of a program.

    Attributes:
        name: in the program; XLA names fusions after what they are made of.
        kind: "fusion", "custom-call" (a library's), "copy", ...
        read: bytes of its operands.
        written: bytes of its results.
    """

    name: str
    kind: str
    read: int
    written: int


def kernels(text: str, elsewhere: frozenset[str] = frozenset()) -> list[Kernel]:
    """The kernels of a compiled program, in their order; those of functions that it calls, too.

    Args:
        text: of the compiled program (`compiled.as_text()`).
        elsewhere: types, as "u8[50000,32,32,3]", of arrays of which little is read: they are not counted.
    """
    computations = {found["name"]: found["body"] for found in COMPUTATION.finditer(text)}
    entry = next(found["name"] for found in COMPUTATION.finditer(text) if found[1])

    def of(computation: str) -> list[Kernel]:
        sizes, launched = {}, []
        for line in computations[computation].splitlines():
            found = INSTRUCTION.match(line)
            if found is None:
                continue
            sizes[found["name"]] = array_bytes(found["type"], elsewhere)
            if found["kind"] == "call":
                launched += of(re.findall(r"to_apply=%([\w.\-]+)", line)[0])
            elif found["kind"] not in FREE:
                operands = set(re.findall(r"%([\w.\-]+)", found["operands"]))
                read = sum(sizes[operand] for operand in operands)
                launched.append(Kernel(found["name"], found["kind"], read, sizes[found["name"]]))
        return launched

    return of(entry)
