"""Lengths of time in a config: "30 epochs", "0.5 epochs", "500 steps"."""

import math

UNITS = ("epochs", "epoch", "steps", "step")


def parse(duration: str) -> tuple[float, str]:
    """Splits "30 epochs" into (30.0, "epochs").

    Raises:
        ValueError: if it is not a non-negative number followed by "epochs" or "steps".
    """
    amount, _, unit = duration.strip().partition(" ")
    try:
        number = float(amount)
    except ValueError:
        number = math.nan
    if unit not in UNITS or not 0 <= number < math.inf:
        raise ValueError(f'a duration is written like "30 epochs" or "500 steps", not {duration!r}')
    return number, unit


def to_steps(duration: str, examples: int, batch_size: int) -> int:
    """The number of training steps, rounded up: an epoch is `examples` examples, `batch_size` a step."""
    number, unit = parse(duration)
    return math.ceil(number if unit.startswith("step") else number * examples / batch_size)
