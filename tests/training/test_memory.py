"""Protects the figure that runs are compared by: bytes, of this process and not of the one that started it."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from vit_jax.training.memory import peak_memory, peak_resident_set


def before_and_after_a_block() -> tuple[int, int]:
    """The peak before and after 2**28 bytes that are given back at once."""
    before = peak_resident_set()
    np.ones(2**25)
    return before, peak_resident_set()


def test_what_was_given_back_counts_and_what_the_starting_process_used_does_not():
    block = np.ones(2**27)  # a GiB
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        before, after = pool.submit(before_and_after_a_block).result()
    assert after - before > 2**27
    assert after < block.nbytes


def test_without_linux_it_is_asked_of_the_system(tmp_path):
    assert peak_resident_set(tmp_path / "none") == pytest.approx(peak_resident_set(), rel=0.5)


def test_accelerators_count_their_own(monkeypatch):
    devices = [SimpleNamespace(memory_stats=lambda peak=peak: {"peak_bytes_in_use": peak}) for peak in (3, 7)]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert peak_memory() == 7
