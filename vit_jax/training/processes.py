"""Several processes as one run: how they find one another, which of them writes, and how they end.

Each feeds its part of every batch to its own devices; programs run over the devices of all. Nearly everything
that is decided, each decides for itself from the same numbers; what is on disk is written by the first of them alone.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType

import jax
import numpy as np
from jax.experimental import multihost_utils

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
"""Tell a process about the others where no scheduler does that JAX knows."""

TOGETHER_WITHIN_SECONDS = 1800
"""How long a process waits for the others at the start, until JAX ends it: a machine may have to be booted first, which
takes longer than the five minutes of JAX."""

LOST_AFTER_SECONDS = 30
"""Without a sign of life for so long, a process counts as dead, and JAX ends the others."""

SHUTDOWN_SECONDS = 24 * 3600
"""How long a process that is done waits for the others: the first one may be hashing its last checkpoint, which takes
longer than JAX's five minutes if it is large. One that dies meanwhile is noticed all the same."""

LAST_WORDS_SECONDS = 3
"""What the first process, whose end is the end of all, leaves the others to say what is wrong."""


def join() -> None:
    """Joins the processes of a job; before anything else is asked of JAX.

    JAX knows the others from Slurm, Open MPI or the TPU pod, or from VARIABLES.

    Raises:
        ValueError: if nothing tells of other processes.
    """
    address, count, index = (os.environ.get(name) for name in VARIABLES)
    try:
        jax.distributed.initialize(
            coordinator_address=address,
            num_processes=None if count is None else int(count),
            process_id=None if index is None else int(index),
            cluster_detection_method="deactivate" if address and count and index else None,
            initialization_timeout=TOGETHER_WITHIN_SECONDS,
            heartbeat_timeout_seconds=LOST_AFTER_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except ValueError as error:
        raise ValueError(
            f"parallel.distributed is set, but the other processes are not known ({error}): start it under Slurm, Open "
            f"MPI or on a TPU pod, or set {', '.join(VARIABLES)}"
        ) from error
    sys.excepthook = leave_after
    # JAX keeps the programs of the first process only: when a run goes on, it reads its own, and the others compile
    # theirs anew. XLA shares out the tuning of a GPU's program among all processes, so that they would wait a day for
    # the part of the first one. A directory that the user names is taken to be one that all share. On a CPU that will
    # not do either: programs that are read order their collectives otherwise than those just compiled, and all would
    # wait for one another for ever.
    if jax.default_backend() == "cpu" or "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_enable_compilation_cache", False)


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def decided_by_first(decide: Callable[[], bool]) -> bool:
    """What the first process decides, by what only it may have on its disk; called by all."""
    decision = is_first() and decide()
    return decision if jax.process_count() == 1 else bool(multihost_utils.broadcast_one_to_all(np.array(decision)))


def require_same(texts: Mapping[str, str]) -> None:
    """Compares texts, by what they tell of, with those of the first process; called by all.

    Raises:
        ValueError: if one is another.
    """
    digests = np.stack([np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8) for text in texts.values()])
    equal = (multihost_utils.broadcast_one_to_all(digests) == digests).all(axis=1)
    others = [name for name, is_equal in zip(texts, equal, strict=True) if not is_equal]
    if others:
        raise ValueError(
            f"process {jax.process_index()} and process 0 must be alike, but differ in {' and '.join(others)}"
        )


def leave(status: int) -> int:
    """Ends a process that the others may still wait for, who end soon after; returns the status where it is alone."""
    if not jax.distributed.is_initialized():
        return status
    sys.stdout.flush()
    sys.stderr.flush()
    if is_first():
        time.sleep(LAST_WORDS_SECONDS)
    os._exit(status)  # JAX's own end waits for the others, which are waiting for this one


def leave_after(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Says what error nobody expected, as Python does, and leaves: else the others would wait for it.

    Not with status 1, which says that starting again is no use: a device that fails is such an error, too.
    """
    sys.__excepthook__(kind, error, trace)
    leave(os.EX_SOFTWARE)
