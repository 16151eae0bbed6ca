"""Doing one thing to many files."""

import threading

import pytest

from vit_jax.data import map_files


@pytest.mark.parametrize("count", [0, 1, map_files.CHUNK, 5 * map_files.CHUNK + 7])
@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["in threads", "alone"])
def test_results_are_in_order(count: int, worth: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(map_files, "WORTH_THREADS", worth)
    assert map_files.map_files(lambda x: x * x, range(count)) == [x * x for x in range(count)]


@pytest.mark.parametrize(
    ("slow", "alone_until"), [((), 5), ((0, 1, 2, 3, 4), 2), ((1, 2, 3, 4), 3), ((0, 2, 4), 5), ((0, 2, 3), 4)]
)
def test_items_are_done_in_threads_from_two_slow_chunks_on(
    slow: tuple[int, ...], alone_until: int, monkeypatch: pytest.MonkeyPatch
):
    """Of five chunks these are slow. By a clock that goes only while an item is done: the machine may be busy."""
    now, alone, chunk = 0.0, threading.get_ident(), map_files.CHUNK

    def item(number: int) -> int:
        nonlocal now
        now += 2 * map_files.WORTH_THREADS if number // chunk in slow else 0
        return threading.get_ident()

    monkeypatch.setattr(map_files.time, "perf_counter", lambda: now)
    done_by = map_files.map_files(item, range(5 * chunk))
    assert set(done_by[: alone_until * chunk]) == {alone}
    assert alone not in done_by[alone_until * chunk :]


@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["in threads", "alone"])
def test_an_error_reaches_the_caller(worth: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(map_files, "WORTH_THREADS", worth)
    with pytest.raises(ZeroDivisionError):
        map_files.map_files(lambda x: 1 // (x - 150), range(200))
