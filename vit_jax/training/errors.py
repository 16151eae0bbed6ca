"""Why a run that had begun ended before its end."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax


class TrainingError(RuntimeError):
    """Something that training cannot go on from; the message says what, where, and what to do."""


FOR_TRAINING = (
    "--accumulate_steps 2, whose updates are the same (but for batch norm, dropout, stochastic depth), --model.remat "
    "True (ViT, Swin), --dtype bfloat16, --data.feed streaming, a smaller --batch_size"
)
"""What makes training need less memory."""


@contextmanager
def explaining_full_memory(what_takes_less: str = FOR_TRAINING) -> Iterator[None]:
    """Turns a device's out-of-memory error into a TrainingError that says which flags need less memory."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).partition("\n")[0]
        if "RESOURCE_EXHAUSTED" not in reason:
            raise
        raise TrainingError(f"the memory of a device is full ({reason}). What takes less: {what_takes_less}") from error


class Stopped(Exception):
    """A signal asked the run to stop: it is saved, and the same command goes on.

    Args:
        step: that it is saved at.
        signal: its name.
    """

    def __init__(self, step: int, signal: str):
        super().__init__(step, signal)
        self.step, self.signal = step, signal

    def __str__(self) -> str:
        return f"stopped by {self.signal} at step {self.step}"
