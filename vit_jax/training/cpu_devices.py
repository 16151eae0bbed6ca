"""CPU devices, one for each core, as the environment asks for them by JAX_NUM_CPU_DEVICES."""

import os
import shlex
from collections.abc import Sequence

VARIABLE = "JAX_NUM_CPU_DEVICES"

PATIENCE = "--xla_cpu_collective_call_terminate_timeout_seconds=600 --xla_cpu_collective_timeout_seconds=600"
"""XLA's flags for how long CPU devices wait for one another."""


def be_patient() -> None:
    """Lets CPU devices wait ten minutes for one another, where XLA would abort after 40 s: a core may be busy.

    To be called before JAX has used a device. Only where the environment asks for CPU devices, since others do not know
    these flags; the user's own flags count.
    """
    if VARIABLE in os.environ:
        os.environ["XLA_FLAGS"] = " ".join((PATIENCE, os.environ.get("XLA_FLAGS", ""))).strip()  # the last one counts


def in_shell(words: Sequence[str]) -> str:
    """A command as it is typed, with this process's number of CPU devices: it decides what is computed, too."""
    given = [f"{VARIABLE}={os.environ[VARIABLE]}"] if VARIABLE in os.environ else []
    return shlex.join([*given, *words])
