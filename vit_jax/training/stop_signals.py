"""Signals that ask a run to stop. It finishes its step and saves, so that the same command goes on from there."""

import os
import signal
import sys
import threading
from types import TracebackType
from typing import Self

import jax
from jax.experimental import multihost_utils

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""What schedulers send before they take a machine away, and Ctrl-C."""

ASKED_BY_PARENT = signal.SIGUSR2
"""What a command sends to the process in which it trains, when one of the signals came to itself."""

RESUME_STATUS = os.EX_TEMPFAIL
"""The exit status, 75, of a run that is to be started again: "temporary failure" of sysexits.h."""


def interrupt_on_signals() -> None:
    """Makes each of the signals raise a KeyboardInterrupt, as SIGINT does, while there is nothing to save."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)


class StopSignals:
    """Whether a run is asked to stop: by the first signal that comes while this is entered.

    The second ends the process at once, with RESUME_STATUS. Before the first dispatch there is nothing to save, and
    compiling it may take minutes: there the first signal is enough. ASKED_BY_PARENT asks, too, but is not counted: of
    what the parent was told, as by Ctrl-C, this process was often told as well, before or after.

    A thread learns of them through a pipe that Python writes to inside the signal itself: handlers have to wait until
    the main thread comes back from compiling or computing, which may take minutes.

    With several processes, all stop at the same place: the one that JAX's preemption service agrees upon, which it
    does for the SIGTERM of any of them. Other signals are passed on to it as that.

    Attributes:
        received: the signal that came, if one did.
        stops: whether the run stops, as it was last `agreed`.
    """

    def __init__(self):
        self.received: str | None = None
        self.stops = False
        self.alone = jax.process_count() == 1
        self.dispatched = False
        self.asked = 0

    def after_dispatch(self) -> bool:
        """As `agreed`, after every dispatch: from the first one on there is something to save."""
        self.dispatched = True
        return self.agreed()

    def agreed(self) -> bool:
        """Whether the run stops now; asked by all processes at the same places."""
        self.asked += 1
        if self.alone:
            self.stops = self.received is not None
        elif multihost_utils.reached_preemption_sync_point(self.asked):
            self.received = self.received or "SIGTERM"
            self.stops = True
        return self.stops

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # signals belong to the main thread, and to whoever began this one
        caught = (*SIGNALS, ASKED_BY_PARENT)
        if not self.alone:
            caught = tuple(number for number in caught if number != signal.SIGTERM)
        self.pipe = os.pipe()
        os.set_blocking(self.pipe[1], False)
        # The pipe first, and last to go: between the two a signal is told twice, and never lost.
        self.wakeup = signal.set_wakeup_fd(self.pipe[1], warn_on_full_buffer=False)
        self.handlers = {number: signal.signal(number, lambda *_: None) for number in caught}
        self.thread = threading.Thread(target=self.listen, args=(caught,), daemon=True, name="signals")
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self.wakeup)
        os.close(self.pipe[1])  # the thread ends
        self.thread.join()
        os.close(self.pipe[0])

    def listen(self, caught: tuple[int, ...]) -> None:
        """Takes the signals as they come."""
        while number := os.read(self.pipe[0], 1):
            if number[0] not in caught or (number[0] == ASKED_BY_PARENT and self.received is not None):
                continue
            name = signal.Signals(number[0]).name
            is_second = self.received not in (None, ASKED_BY_PARENT.name)
            if is_second or (self.alone and not self.dispatched):
                print(f"{name}: stopped at once; the same command goes on from the last checkpoint", file=sys.stderr)
                os._exit(RESUME_STATUS)
            if number[0] == ASKED_BY_PARENT:
                print("asked to stop: stops after this step, and saves", file=sys.stderr)
            elif self.received is None:
                print(f"{name}: stops after this step, and saves; once more: stops at once", file=sys.stderr)
            self.received = name
            if not self.alone:
                os.kill(os.getpid(), signal.SIGTERM)
