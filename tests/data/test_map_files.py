"""Doing one thing to many files."""

import threading

import pytest

from vit_jax.data import map_files


@pytest.mark.parametrize("count", [0, 1, map_files.CHUNK, 5 * map_files.CHUNK + 7])
@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["in threads", "alone"])
def test_results_are_in_order(count: int, worth: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(map_files, "WORTH_THREADS", worth)
    assert map_files.map_files(lambda x: x * x, range(count)) == [x * x for x in range(count)]


@pytest.mark.parametrize(("seconds", "in_threads"), [(2 * map_files.WORTH_THREADS, True), (0.0, False)])
def test_slow_items_are_done_in_threads_and_quick_ones_are_not(
    seconds: float, in_threads: bool, monkeypatch: pytest.MonkeyPatch
):
    """By a clock that goes only while an item is done: the machine may be busy."""
    now = 0.0

    def item(_: int) -> int:
        nonlocal now
        now += seconds
        return threading.get_ident()

    monkeypatch.setattr(map_files.time, "perf_counter", lambda: now)
    done_by = map_files.map_files(item, range(200))
    assert set(done_by[: map_files.CHUNK]) == {threading.get_ident()}
    rest = set(done_by[map_files.CHUNK :])
    assert threading.get_ident() not in rest if in_threads else rest == {threading.get_ident()}


@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["in threads", "alone"])
def test_an_error_reaches_the_caller(worth: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(map_files, "WORTH_THREADS", worth)
    with pytest.raises(ZeroDivisionError):
        map_files.map_files(lambda x: 1 // (x - 150), range(200))
