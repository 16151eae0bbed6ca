"""What was measured, in Markdown."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.markdown import between, table

speed, share = partial(between, form=",.0f"), partial(between, form=".1%")


def tables(results: Sequence[Mapping[str, Any]]) -> str:
    """All parts, one after the other."""
    of = {part: [row for row in results if row["part"] == part] for part in {row["part"]: None for row in results}}
    (step,), (loop,) = of["resident"], of["waiting"]
    return "\n\n".join(
        [
            table(
                ("training step", "images/s"),
                [
                    (name, speed(step["images_per_second"][kind]))
                    for kind, name in (
                        ("recipe", "gathers, augments and mixes"),
                        ("gathering", "gathers"),
                        ("fixed", "is given one batch"),
                    )
                ],
            ),
            f"Of a training step (batch {step['batch']}, {step['dtype']}) gathering and augmentation take "
            f"{share(step['share'])}, gathering alone {share(step['share_of_gathering'])}. "
            f"At most {step['target']:.0%} is asked for: {verdict(step)}.",
            table(
                ("program by itself", "images/s", "of the training step's time"),
                [(row["what"], speed(row["images_per_second"]), share(row["of_step"])) for row in of["transforms"]],
            ),
            table(
                (f"JPEG files, {of['streaming'][0]['processes']} processes", "images/s", "times Pillow's", "target"),
                [
                    (
                        row["what"],
                        speed(row["images_per_second"]),
                        between(row["times_pillow"], ".2f"),
                        f"at least {row['target']}: {verdict(row)}" if "target" in row else "",
                    )
                    for row in of["streaming"]
                ],
            ),
            table(
                (f"{loop['model']}, batch {loop['batch']}, {loop['dtype']}", "images/s", "loop brings batches"),
                [
                    (f"{feed} feed", speed(loop["images_per_second"][feed]), share(loop["bringing"][feed]))
                    for feed in loop["images_per_second"]
                ],
            ),
            f"Steps on the streaming feed are longer by {share(loop['slower'])} of their time.",
        ]
    )


def verdict(row: Mapping[str, Any]) -> str:
    """Whether what was measured reaches its target."""
    return "met" if row["met"] else "not met"
