"""What every implementation gives: inference and training on one batch, ready to be timed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.throughput.workload import Batch


@dataclass(frozen=True)
class Program:
    """Inference or training on batches of one size; it has been run before, so that all is compiled and in place.

    Attributes:
        run: one turn; it returns when all is computed, in inference with the logits, float32 [B, classes].
        images: that a turn works through.
        steps_per_dispatch: training steps (calls, in inference) that the host starts at once.
        compile_seconds: tracing and compiling; None where nothing is compiled.
        peak_bytes: the most memory in use at once, with parameters, optimizer and images; None where that is not known.
    """

    run: Callable[[], Any]
    images: int
    steps_per_dispatch: int
    compile_seconds: float | None
    peak_bytes: int | None


class Implementation(Protocol):
    """A network as somebody wrote it, with the parameters that all have."""

    @property
    def name(self) -> str:
        """Of the implementation."""
        ...

    def inference(self, batch: Batch) -> Program:
        """The logits of a batch."""
        ...

    def training(self, batch: Batch, parts: int) -> Program:
        """Steps of training: forward, cross-entropy, backward, of so many parts of the batch in turn; then AdamW."""
        ...


def trial(program: Program) -> float:
    """Seconds of a turn."""
    start = time.perf_counter()
    program.run()
    return time.perf_counter() - start


def is_out_of_memory(error: Exception) -> bool:
    """Whether JAX or PyTorch found no room on the device."""
    return "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()
