"""Doing one thing to many files."""

import threading
import time

import pytest

from vit_jax.data import map_files


@pytest.mark.parametrize("count", [0, 1, map_files.CHUNK, 5 * map_files.CHUNK + 7])
@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["in threads", "alone"])
def test_results_are_in_order(count: int, worth: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(map_files, "WORTH_THREADS", worth)
    assert map_files.map_files(lambda x: x * x, range(count)) == [x * x for x in range(count)]


def test_slow_items_are_done_in_threads_and_quick_ones_are_not():
    def slow(_: int) -> int:
        time.sleep(2 * map_files.WORTH_THREADS)
        return threading.get_ident()

    assert threading.get_ident() not in map_files.map_files(slow, range(200))[map_files.CHUNK :]
    assert set(map_files.map_files(lambda _: threading.get_ident(), range(200))) == {threading.get_ident()}


@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["in threads", "alone"])
def test_an_error_reaches_the_caller(worth: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(map_files, "WORTH_THREADS", worth)
    with pytest.raises(ZeroDivisionError):
        map_files.map_files(lambda x: 1 // (x - 150), range(200))
