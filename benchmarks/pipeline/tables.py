"""What was measured, in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Spread = Mapping[str, float]


def tables(results: Sequence[Mapping[str, Any]]) -> str:
    """All parts, one after the other."""
    of = {part: [row for row in results if row["part"] == part] for part in {row["part"]: None for row in results}}
    (step,), (loop,) = of["resident"], of["waiting"]
    return "\n\n".join(
        [
            table(
                ("training step", "images/s"),
                [
                    (name, number(step["images_per_second"][kind]))
                    for kind, name in (
                        ("recipe", "gathers, augments and mixes"),
                        ("gathering", "gathers"),
                        ("fixed", "is given one batch"),
                    )
                ],
            ),
            f"Of a training step (batch {step['batch']}, {step['dtype']}) gathering and augmentation take "
            f"{percent(step['share'])}, gathering alone {percent(step['share_of_gathering'])}. "
            f"At most {step['target']:.0%} is asked for: {verdict(step)}.",
            table(
                ("program by itself", "images/s", "of the training step's time"),
                [(row["what"], number(row["images_per_second"]), percent(row["of_step"])) for row in of["transforms"]],
            ),
            table(
                (f"JPEG files, {of['streaming'][0]['processes']} processes", "images/s", "times Pillow's", "target"),
                [
                    (
                        row["what"],
                        number(row["images_per_second"]),
                        ratio(row["times_pillow"]),
                        f"at least {row['target']}: {verdict(row)}" if "target" in row else "",
                    )
                    for row in of["streaming"]
                ],
            ),
            table(
                (f"{loop['model']}, batch {loop['batch']}, {loop['dtype']}", "images/s", "loop brings batches"),
                [
                    (f"{feed} feed", number(loop["images_per_second"][feed]), f"{percent(loop['bringing'][feed])}")
                    for feed in loop["images_per_second"]
                ],
            ),
            f"Steps on the streaming feed are longer by {percent(loop['slower'])} of their time.",
        ]
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def verdict(row: Mapping[str, Any]) -> str:
    """Whether what was measured reaches its target."""
    return "met" if row["met"] else "not met"


def number(values: Spread) -> str:
    """A median, and the lowest and highest."""
    return f"{values['median']:,.0f} ({values['min']:,.0f} to {values['max']:,.0f})"


def ratio(values: Spread) -> str:
    """The same of a ratio."""
    return f"{values['median']:.2f} ({values['min']:.2f} to {values['max']:.2f})"


def percent(values: Spread) -> str:
    """The same of a share."""
    return f"{values['median']:.1%} ({values['min']:.1%} to {values['max']:.1%})"
