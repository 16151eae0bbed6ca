"""What was measured, in Markdown."""

from collections.abc import Iterable, Mapping, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def between(values: Mapping[str, float], form: str = ".3g", unit: float = 1.0) -> str:
    """A median with its lowest and highest (`benchmarks.measure.spread`), each in a format and a unit."""
    median, low, high = (format(values[name] / unit, form) for name in ("median", "min", "max"))
    return f"{median} ({low} to {high})"
