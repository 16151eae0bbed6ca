"""Lengths of time in a config: "30 epochs", "0.5 epochs", "500 steps"."""

import math
from fractions import Fraction

UNITS = ("epochs", "epoch", "steps", "step")


def parse(duration: str, name: str) -> tuple[Fraction, str]:
    """Splits "0.5 epochs" into (1/2, "epochs"): the very number that is written, as a float's error might be a step.

    Args:
        duration: as it is written.
        name: of the field that it is in.

    Raises:
        ValueError: if it is not a non-negative number followed by "epochs" or "steps".
    """
    amount, _, unit = duration.strip().partition(" ")
    try:
        number = Fraction(amount)
    except (ValueError, ZeroDivisionError):
        number = Fraction(-1)
    if unit not in UNITS or number < 0:
        raise ValueError(f'{name} is written like "30 epochs" or "500 steps", not {duration!r}')
    return number, unit


def to_steps(duration: str, examples: int, batch_size: int) -> int:
    """The number of training steps, rounded up: an epoch is `examples` examples, `batch_size` a step."""
    number, unit = parse(duration, "a duration")
    return math.ceil(number if unit.startswith("step") else number * examples / batch_size)


def check_within_run(name: str, duration: str, steps: int, run: int) -> None:
    """Raises ValueError if what a run of `run` steps begins with, of this name and duration, takes more steps."""
    if steps > run:
        raise ValueError(f"{name} ({duration}: {steps} steps) is longer than the run of {run} steps")
