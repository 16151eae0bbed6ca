"""How fast a cost grows: the exponent p of cost ~ size^p, and whether it is what theory promises."""

from collections.abc import Mapping, Sequence

import numpy as np

UPPER = 3
"""The largest sizes that are fitted. Below them, what costs the same at any size, as reading parameters, weighs in."""
ALLOWED = 0.05
"""Above a target: 7% more than four times at four times the size. No cost is an exact power of the size."""


def exponent(sizes: Sequence[float] | np.ndarray, costs: Sequence[float] | np.ndarray) -> float:
    """The slope of the least-squares line through the logarithms of the largest sizes and of their costs.

    Args:
        sizes: in increasing order.
        costs: of each.
    """
    slope, _ = np.polyfit(np.log(sizes[-UPPER:]), np.log(costs[-UPPER:]), 1)
    return float(slope)


def verdict(found: Mapping[str, float], target: float) -> str:
    """Whether an exponent (median, min and max over the rounds) is at most its target."""
    if found["median"] <= target + ALLOWED:
        return "met"
    return "met within the spread" if found["min"] <= target + ALLOWED else "not met"
