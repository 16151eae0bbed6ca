"""Reading ahead keeps the order and bounds the memory."""

import threading
import time

import pytest

from vit_jax.data.in_threads import in_threads


def test_results_come_in_order_whichever_is_done_first():
    def late(item):
        time.sleep(0.02 * (item == 0))
        return -item

    assert list(in_threads(late, range(20), ahead=5)) == [-item for item in range(20)]


def test_it_runs_ahead_by_as_many_as_are_allowed_and_no_more():
    taken = []

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    results = in_threads(lambda item: item, items(), ahead=4)
    for asked in range(1, 50):
        next(results)
        assert len(taken) <= asked + 4
    results.close()
    assert len(taken) < 60


def test_items_are_worked_on_at_the_same_time():
    both = threading.Barrier(2, timeout=5)  # passed only by two at once; broken otherwise
    assert list(in_threads(lambda item: both.wait() >= 0, range(2), ahead=2, threads=2)) == [True, True]


def test_an_error_comes_in_its_place():
    results = in_threads(lambda item: 1 / item, [1, 0, 2], ahead=3)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
