"""Memory is kept between dispatches: a program that works in much of it takes no page faults the second time."""

import subprocess
import sys

import pytest

from vit_jax.training import working_memory
from vit_jax.training.working_memory import has_accelerator, keep_working_memory

FAULTS = """
import resource, sys
from vit_jax.training.working_memory import keep_working_memory
if sys.argv[1] == "keep":
    keep_working_memory()
import jax, jax.numpy as jnp

@jax.jit
def work(x):  # in 200 MB, by a program that cannot do it in less
    parts = jax.lax.optimization_barrier([x[:, None] * x + i for i in range(3)])
    return sum(part.sum(0) for part in parts)

x = jnp.ones(4096)
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the settings are those of glibc")
def test_memory_is_kept_between_dispatches():
    assert faults("keep") < 2_000
    assert faults("give back") > 20_000  # 200 MB in pages of 4 KiB are 50,000


@pytest.mark.parametrize(
    ("platforms", "plugins", "expected"),
    [("cpu", ["cuda"], False), ("cuda", [], True), ("", [], False), ("", ["cuda"], True), ("cuda,cpu", [], True)],
)
def test_it_is_for_cpus(platforms, plugins, expected, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(working_memory, "entry_points", lambda group: plugins)
    assert has_accelerator() is expected


@pytest.mark.parametrize("missing", [OSError, AttributeError])
def test_another_c_library_is_left_alone(missing, monkeypatch):
    def load(name):
        raise missing

    monkeypatch.setattr(working_memory.ctypes, "CDLL", load)
    keep_working_memory()
