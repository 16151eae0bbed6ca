"""The exponent that is reported is that of a power law, and a target is met by nothing above it."""

import numpy as np
import pytest

from benchmarks.scaling.exponents import exponent, verdict


def spread(median: float, low: float) -> dict[str, float]:
    return {"median": median, "min": low, "max": median}


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law(power):
    sizes = np.array([16, 64, 256, 1024])
    assert exponent(sizes, 3e-4 * sizes**power) == pytest.approx(power)


def test_it_is_the_least_squares_fit_of_uneven_sizes():
    # By hand, in powers of two: deviations from the means are (-4/3, -1/3, 5/3) and (2/3, -4/3, 2/3).
    assert exponent([2, 4, 16], [8, 2, 8]) == pytest.approx((2 / 3) / (14 / 3))


def test_what_small_sizes_cost_does_not_count():
    assert exponent([1, 4, 16, 64], [1000, 4, 16, 64]) == pytest.approx(1)


def test_a_target_is_met_up_to_the_allowance():
    assert verdict(spread(1.05, 1.0), target=1) == "met"
    assert verdict(spread(1.9, 1.9), target=2) == "met"
    assert verdict(spread(1.2, 1.04), target=1) == "met within the spread"
    assert verdict(spread(1.2, 1.06), target=1) == "not met"
