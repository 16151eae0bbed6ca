"""Tables of names: which parameter of a publisher is which of ours, and in which layout.

A table is a tuple of rules, read from top to bottom. Names may hold numbers, written {i}, {j} or {i+1}: the
rule `blocks.{i}.norm1` = `blocks_{i}/norm1` stands for that of every block. Tables work both ways, for loading and
saving.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from vit_jax.pretrained.layouts import AS_IS, CONVOLUTION, LINEAR, Layout


class Rule(NamedTuple):
    """One parameter.

    Attributes:
        theirs: its name at the publisher; several where theirs are parts of one of ours, such as q, k and v.
        ours: its path here, joined by "/".
        layout: how ours is made of theirs.
    """

    theirs: tuple[str, ...]
    ours: str
    layout: Layout = AS_IS


Table = tuple[Rule, ...]


def table(*groups: Rule | Sequence[Rule]) -> Table:
    """A table of rules and of groups of rules."""
    return tuple(rule for group in groups for rule in ([group] if isinstance(group, Rule) else group))


def array(theirs: str, ours: str) -> Rule:
    """A parameter that is the same at both."""
    return Rule((theirs,), ours)


def linear(theirs: str, ours: str) -> Table:
    """PyTorch's Linear: weight and bias."""
    return joined((theirs,), ours)


def joined(theirs: Sequence[str], ours: str) -> Table:
    """Several of PyTorch's Linear that are one here, side by side, such as query, key and value."""
    return (
        Rule(tuple(f"{name}.weight" for name in theirs), f"{ours}/kernel", LINEAR),
        Rule(tuple(f"{name}.bias" for name in theirs), f"{ours}/bias"),
    )


def convolution(theirs: str, ours: str) -> Table:
    """PyTorch's Conv2d: weight and bias."""
    return (Rule((f"{theirs}.weight",), f"{ours}/kernel", CONVOLUTION), Rule((f"{theirs}.bias",), f"{ours}/bias"))


def norm(theirs: str, ours: str) -> Table:
    """PyTorch's LayerNorm: weight and bias."""
    return (array(f"{theirs}.weight", f"{ours}/scale"), array(f"{theirs}.bias", f"{ours}/bias"))


def within(ours: str, rules: Table, theirs: str = "") -> Table:
    """A table whose names, ours and theirs, stand below these prefixes."""
    return tuple(Rule(tuple(theirs + name for name in r.theirs), ours + r.ours, r.layout) for r in rules)


def find_theirs(name: str, rules: Table) -> Rule | None:
    """The first rule for one of their names, with the numbers that this one has; None if there is none."""
    for rule in rules:
        for template in rule.theirs:
            numbers = numbers_in(name, template)
            if numbers is not None:
                return filled(rule, numbers)
    return None


def find_ours(path: str, rules: Table) -> Rule | None:
    """The first rule for one of our paths, with its numbers; None if there is none."""
    for rule in rules:
        numbers = numbers_in(path, rule.ours)
        if numbers is not None:
            return filled(rule, numbers)
    return None


def filled(rule: Rule, numbers: Mapping[str, int]) -> Rule:
    """A rule with these numbers in its places."""
    return Rule(tuple(fill(name, numbers) for name in rule.theirs), fill(rule.ours, numbers), rule.layout)


PLACE = re.compile(r"\{(\w)(\+1)?\}")
"""{i} or {i+1} in a template."""


def numbers_in(name: str, template: str) -> dict[str, int] | None:
    """The numbers that a name has in the places of a template; None if it is not of that form."""
    found = pattern(template).fullmatch(name)
    if not found:
        return None
    places = PLACE.findall(template)
    return {place: int(text) - bool(plus) for (place, plus), text in zip(places, found.groups(), strict=True)}


def fill(template: str, numbers: Mapping[str, int]) -> str:
    """The name that a template has with these numbers."""
    return PLACE.sub(lambda place: str(numbers[place[1]] + bool(place[2])), template)


@cache
def pattern(template: str) -> re.Pattern[str]:
    """A template as a regular expression."""
    literal = PLACE.sub("{}", template)
    return re.compile(r"(\d+)".join(re.escape(text) for text in literal.split("{}")))
