"""Tests run on the CPU, on eight simulated devices, and compile each program once for all test processes."""

import os
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec

import pytest

# Two fifths less time; later releases of XLA have no such choice.
QUICKER = "--xla_cpu_use_fusion_emitters=false" if version("jaxlib").startswith("0.10.") else ""
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",  # most programs run once
        QUICKER,
        # Eight devices on a busy machine wait for one another longer than the 40 s after which XLA aborts.
        "--xla_cpu_collective_call_terminate_timeout_seconds=600 --xla_cpu_collective_timeout_seconds=600",
        os.environ.get("XLA_FLAGS", ""),  # the last one counts
    )
)
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not IS_WORKER:  # workers inherit it
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="vit_jax_tests_")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"


def pytest_runtest_setup(item: pytest.Item):
    """Skips a test marked "parity" where a package that it names is not installed."""
    needed = dict.fromkeys(package for mark in item.iter_markers("parity") for package in mark.args)
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}: pip install '.[parity]'")


def pytest_unconfigure():
    """Removes the compiled programs when the last worker is done."""
    if not IS_WORKER:
        shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
