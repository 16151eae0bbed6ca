"""The profile of a training step: kinds of operations with their times, and page faults."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import profile


def test_operations_are_added_up_by_kind(tmp_path):
    x = jnp.ones((64, 64))
    work = jax.jit(lambda x: jnp.sin(x @ x) @ x)
    work(x).block_until_ready()
    with jax.profiler.trace(str(tmp_path)):
        for _ in range(3):
            work(x).block_until_ready()
    rows = profile.by_kind(tmp_path, steps=3)
    kinds = {kind: (milliseconds, number) for kind, milliseconds, number in rows}
    products = [number for kind, (_, number) in kinds.items() if "dot" in kind or "ynn" in kind]
    assert sum(products) == 2
    assert all(milliseconds > 0 for milliseconds, _ in kinds.values())
    assert [milliseconds for _, milliseconds, _ in rows] == sorted((row[1] for row in rows), reverse=True)


def test_a_folder_without_a_trace_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no trace in"):
        profile.by_kind(tmp_path, 1)


def test_the_table_has_faults_and_times(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["profile", "--model", "vit_digits_patch2_8", "--batch", "2"])
    jax.config.update("jax_platforms", None)
    try:
        profile.main()
        assert jax.config.jax_platforms == "cpu"  # pyright: ignore[reportAttributeAccessIssue]
    finally:
        jax.config.update("jax_platforms", "cpu")
    shown = capsys.readouterr().out
    assert "vit_digits_patch2_8, batch 2, 1 steps a dispatch: " in shown
    assert "page faults: " in shown
    assert "| operation | number | ms |" in shown
