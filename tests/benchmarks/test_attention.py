"""The comparison of attention's kernels: all that serve here are timed, and those that do not are left out."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import attention, measure


def test_a_kernel_that_does_not_serve_here_is_left_out():
    assert attention.program("cudnn", "forward", (1, 1, 5, 8), jnp.float32) is None


def computed(what: attention.Pass) -> list[Any]:
    """By "matmul" and by "xla"."""
    programs = [attention.program(kernel, what, (2, 2, 5, 8), jnp.float32) for kernel in ("matmul", "xla")]
    return [run() for run in programs if run is not None]


def test_kernels_compute_the_same():
    ours, xla = computed("forward")
    assert ours.shape == (2, 5, 16)
    np.testing.assert_allclose(ours, xla, atol=1e-5)
    assert np.abs(ours).max() > 0.1


def test_kernels_compute_the_same_gradient():
    (ours, of_x), (xla, xla_of_x) = computed("gradient")
    np.testing.assert_allclose(of_x, xla_of_x, atol=1e-4)
    kernel = ours["params"]["qkv"]["kernel"]
    np.testing.assert_allclose(kernel, xla["params"]["qkv"]["kernel"], atol=1e-3)
    assert np.abs(kernel).max() > 0.1


def test_results_name_what_auto_takes(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(attention, "SHAPES", {"cpu": ((1, 1, 5, 8),)})
    monkeypatch.setattr("sys.argv", ["attention", "--rounds", "2"])
    attention.main()
    (path,) = tmp_path.iterdir()
    kept = json.loads(path.read_text())
    assert kept["command"] == "python -m benchmarks.attention --rounds 2"
    assert [result["pass"] for result in kept["results"]] == ["forward", "gradient"]
    for result in kept["results"]:
        assert result["auto"] == "matmul"
        assert set(result["milliseconds"]) == {"matmul", "xla"}
    assert "1 x 1 x 5 x 8, gradient: matmul" in capsys.readouterr().out
