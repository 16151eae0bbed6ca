"""How much memory a process needed."""

import resource
import sys
from pathlib import Path

import jax


def peak_memory() -> int:
    """The most bytes in use at once since this process began.

    On accelerators that count it, those on the fullest of this process's devices; elsewhere the largest resident set of
    the process, with compilation, the images and Python itself.
    """
    statistics = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [counted["peak_bytes_in_use"] for counted in statistics if "peak_bytes_in_use" in counted]
    return max(peaks) if peaks else peak_resident_set()


def peak_resident_set(status: Path = Path("/proc/self/status")) -> int:
    """The largest resident set of this process in bytes; `status` is where Linux tells it."""
    # getrusage cannot be asked there: a process begins with the peak of the one that started it.
    if status.exists():
        peak = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if peak is not None:
            return int(peak.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
