"""Signals: the first asks, the second ends the process at once; also while compiled code holds the main thread."""

import os
import signal
import subprocess
import sys
import time

import pytest

from vit_jax.training.stop_signals import RESUME_STATUS, SIGNALS, StopSignals


def wait_for(condition, seconds: float = 10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_the_first_dispatch_is_a_request(number):
    with StopSignals() as stop:
        assert not stop.after_dispatch()
        os.kill(os.getpid(), number)
        wait_for(lambda: stop.received)
        assert stop.after_dispatch()
        assert stop.received == signal.Signals(number).name


def test_handlers_are_as_they_were_afterwards():
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopSignals() as stop:
        stop.after_dispatch()
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_for(lambda: stop.received)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_while_handlers_change_is_not_lost(monkeypatch):
    """It interrupts as before, until the pipe is there that it goes to: a scheduler sends it once."""
    original = signal.set_wakeup_fd

    def late(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGUSR1)
        return original(*args, **kwargs)

    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    monkeypatch.setattr(signal, "set_wakeup_fd", late)
    try:
        with pytest.raises(KeyboardInterrupt):
            StopSignals().__enter__()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_other_signals_are_nobodys_business():
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    try:
        with StopSignals() as stop:
            stop.after_dispatch()
            os.kill(os.getpid(), signal.SIGALRM)
            wait_for(lambda: seen)
            time.sleep(0.05)
            assert stop.received is None
    finally:
        signal.signal(signal.SIGALRM, before)


BUSY = """
import hashlib, sys
from vit_jax.training.stop_signals import StopSignals
with StopSignals() as stop:
    if sys.argv[1] == "trained":
        stop.after_dispatch()
    print("ready", flush=True)
    # For half a minute other threads run, but no handler of Python's: like XLA's compiler.
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 60_000_000)
print("went on to the end")
"""


@pytest.mark.parametrize(("phase", "signals"), [("compiling", 1), ("trained", 2)])
def test_it_ends_at_once_while_compiled_code_runs(phase, signals):
    """Once where there is nothing to save yet, at the second signal where there is."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, phase], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    for sent in range(signals):
        if sent:
            time.sleep(0.5)
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == RESUME_STATUS
    assert time.monotonic() - start < 5
    assert "stopped at once; the same command goes on from the last checkpoint" in errors
    assert output == ""
