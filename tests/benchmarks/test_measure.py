"""How functions are timed in turn."""

from types import SimpleNamespace

import pytest

from benchmarks import measure


def test_rest_is_taken_after_every_call_and_not_counted(monkeypatch: pytest.MonkeyPatch):
    """What a large program leaves to the system must not fall on the one timed after it."""
    now, began = [0.0], []

    def passes(seconds: float) -> None:
        now[0] += seconds

    def run() -> None:
        began.append(now[0])
        passes(3.0)

    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: now[0], sleep=passes))
    seconds = measure.in_turn({"first": run, "second": run}, rounds=2, warm_up=1, rest=0.5)
    assert began == [0.0, 3.5, 7.0, 10.5, 14.0, 17.5]  # two functions, three rounds
    assert {name: times.tolist() for name, times in seconds.items()} == {"first": [3.0, 3.0], "second": [3.0, 3.0]}
