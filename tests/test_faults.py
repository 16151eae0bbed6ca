"""The quick part of `python -m benchmarks.faults`: processes that are killed, files that rot."""

import random

import jax
import pytest

from benchmarks import measure
from benchmarks.faults import __main__ as command
from benchmarks.faults import files, mutations, runs


def rows_of(rows):
    return {row.fault: row for row in rows}


@pytest.mark.slow
def test_a_killed_and_stopped_run_comes_to_the_same_end_and_its_files_are_guarded(tmp_path):
    """`kill -9` and SIGTERM from outside while it trains; then bits, truncation, deletion."""
    chance = random.Random(1)
    killed, stopped, end = runs.kills_and_signals(tmp_path, chance, kills=1, stops=1)
    assert int(killed.figures["lost_most"]) <= 2 * runs.EVERY  # a save was under way
    assert stopped.figures["lost_most"] == 0
    assert float(stopped.figures["slowest_seconds"]) < 10
    assert "status 75" in stopped.outcome
    assert end.figures["same"] is True

    flipped, truncated, deleted, model, *others = files.damage(tmp_path / "straight", tmp_path, chance, flips=20)
    for row in (flipped, truncated, deleted):
        assert row.figures["noticed"] == row.times
    assert (int(model.figures["wrong"]), int(model.figures["error"])) == (0, pytest.approx(model.times, abs=2))
    assert sum(int(row.figures["wrong"]) for row in others) > 0  # or the manifest would be for nothing


def test_mutated_files_are_read_or_refused():
    """Any exception but a ValueError ends the test."""
    images, weights = mutations.mutations(random.Random(2), images=300, weights=30)
    for row in (images, weights):
        assert 0 < int(row.figures["refused"]) <= row.times
        assert int(row.figures["more_mib"]) < 300


@pytest.mark.parametrize("flags", [["--quick"], []])
def test_only_a_whole_run_is_kept_and_the_cpu_chosen(flags, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    def part(*args, **counts):
        yield runs.Row("a fault", 1234, jax.config.jax_platforms)  # pyright: ignore[reportAttributeAccessIssue]

    for name in ("kills_and_signals", "damage", "mutations", "full_disk", "disturbed", "several"):
        monkeypatch.setattr(command, name, part)
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["faults", *flags])
    monkeypatch.delenv("JAX_PLATFORMS")
    jax.config.update("jax_platforms", None)
    try:
        command.main()
    finally:
        jax.config.update("jax_platforms", "cpu")
    assert capsys.readouterr().out.count("| a fault | 1,234 | cpu |") == 6
    assert len(list(tmp_path.iterdir())) == (0 if flags else 1)
