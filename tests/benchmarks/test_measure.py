"""How functions are timed in turn."""

import time

from benchmarks.measure import in_turn


def test_rest_is_taken_after_every_call_and_not_counted():
    """What a large program leaves to the system must not fall on the one timed after it."""
    began, ended = [], []

    def run() -> None:
        began.append(time.perf_counter())
        time.sleep(0.01)
        ended.append(time.perf_counter())

    seconds = in_turn({"first": run, "second": run}, rounds=2, warm_up=1, rest=0.2)
    assert len(began) == 6  # two functions, three rounds
    assert all(next_one - last >= 0.2 for last, next_one in zip(ended[:-1], began[1:], strict=True))
    assert {name: len(times) for name, times in seconds.items()} == {"first": 2, "second": 2}
    assert all(0.01 <= each < 0.2 for times in seconds.values() for each in times)
