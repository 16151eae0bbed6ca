"""The quick part of `python -m benchmarks.faults`: processes that are killed, files that rot."""

import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import jax
import pytest

from benchmarks import measure
from benchmarks.faults import __main__ as command
from benchmarks.faults import files, mutations, reading, runs

SMALL = {"cudnn": "matmul", "128": "16"}
FLASH = replace(runs.FLASH, arguments=tuple(SMALL.get(word, word) for word in runs.FLASH.arguments), steps=60)
"""As on a GPU, but for the program of attention and the width."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [runs.VIT, runs.SWIN, FLASH], ids=["vit", "swin", "flash"])
def test_a_killed_and_stopped_run_comes_to_the_same_end(kind, tmp_path):
    """`kill -9`, SIGTERM and SIGTERM twice, from outside while it trains."""
    killed, stopped, twice, end = runs.kills_and_signals(tmp_path, random.Random(1), kind, kills=1, stops=1)
    for row in (killed, twice):
        assert int(row.figures["lost_most"]) <= 2 * runs.EVERY  # a save was under way
    assert stopped.figures["lost_most"] == 0
    for row in (stopped, twice):
        assert float(row.figures["slowest_seconds"]) < 10
        assert "status 75" in row.outcome
    assert end.figures["same"] is True


@pytest.mark.slow
def test_damage_to_a_checkpoint_is_noticed(tmp_path):
    """Bits, truncation, deletion; and other formats notice less, or the manifest would be for nothing."""
    flipped, truncated, deleted, model, *others = files.damage(tmp_path, random.Random(1), flips=20)
    for row in (flipped, truncated, deleted):
        assert row.figures["noticed"] == row.times
    assert (int(model.figures["wrong"]), int(model.figures["error"])) == (0, pytest.approx(model.times, abs=2))
    assert sum(int(row.figures["wrong"]) for row in others) > 0


def test_a_checkpoint_that_is_not_whole_says_that_it_was_being_saved(tmp_path):
    assert not runs.is_unfinished(tmp_path / "none")
    (tmp_path / "20.orbax-checkpoint-tmp").mkdir()
    assert runs.is_unfinished(tmp_path)
    (tmp_path / "20.orbax-checkpoint-tmp").rename(tmp_path / "20")
    assert runs.is_unfinished(tmp_path)  # it has no manifest
    (tmp_path / "20").rename(tmp_path / "other")
    assert not runs.is_unfinished(tmp_path)


def test_mutated_files_are_read_or_refused():
    images, weights = mutations.mutations(2, images=300, weights=30)
    assert (images.times, weights.times) == (300, 30)
    for row in (images, weights):
        assert 0 < int(row.figures["refused"]) <= row.times
        assert row.figures["refused"] + row.figures["read"] == row.times  # pyright: ignore[reportOperatorIssue]
        assert int(row.figures["more_mib"]) <= mutations.MEMORY_BOUND
        assert "within 1,640 MiB" in row.outcome


def fragile() -> reading.Read:
    """Reads in every way that there is, by the number that is drawn first."""

    def read(chance: random.Random) -> None:
        kind = int(5 * chance.random())
        if kind == 0:
            raise ValueError("refused")
        if kind == 1:
            raise KeyError("unexpected")
        if kind == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == 3:
            time.sleep(60)

    return read


def test_crashes_hangs_and_unexpected_errors_are_counted(capsys):
    """After each the next file is read, by a new process if need be."""
    drawn = [int(5 * random.Random(f"1/{number}").random()) for number in range(5)]
    assert set(drawn) == set(range(5))
    outcomes = reading.watched(fragile, 5, seed=1, patience=5).outcomes
    names = ("refused", "unexpected error", "crashed", "hung", "read")
    assert outcomes == {name: drawn.count(kind) for kind, name in enumerate(names)}
    assert "unexpected: file" in capsys.readouterr().err


def broken() -> reading.Read:
    """Cannot be made."""
    raise ImportError("no such reader")


def test_a_reader_that_cannot_be_made_is_an_error():
    with pytest.raises(RuntimeError, match="ended before its first file"):
        reading.watched(broken, 1, seed=0)


def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: str, *flags: str) -> list[str]:
    """Runs the command on a device of this kind, its parts being rows of their name; returns the files kept."""

    def part(name, scratch, seed, quick):
        yield runs.Row(f"{name}, {seed}", 1234, jax.config.jax_platforms)  # pyright: ignore[reportAttributeAccessIssue]

    monkeypatch.setattr(command, "part", part)
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["faults", *flags])
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    jax.config.update("jax_platforms", None)
    try:
        command.main()
    finally:
        jax.config.update("jax_platforms", "cpu")
    return [path.stem for path in tmp_path.iterdir()]


@pytest.mark.parametrize(("flags", "backend", "parts"), [(["--quick"], "cpu", 7), ([], "cpu", 7), ([], "gpu", 8)])
def test_a_quick_run_is_not_kept_and_the_cpu_chosen(
    flags, backend, parts, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys
):
    """A GPU is used only if JAX_PLATFORMS names it; flash attention is interrupted there, too."""
    kept = pretend(monkeypatch, tmp_path, backend, *flags)
    printed = capsys.readouterr().out
    assert printed.count("| 1,234 | cpu |") == parts
    assert printed.count("| flash, 0 |") == parts - 7
    assert len(kept) == (0 if flags else 1)


def test_parts_that_are_named_are_kept_beside_the_whole(tmp_path, monkeypatch: pytest.MonkeyPatch):
    (whole,) = pretend(monkeypatch, tmp_path, "gpu")
    (parts,) = set(pretend(monkeypatch, tmp_path, "gpu", "--parts", "flash", "disk")) - {whole}
    assert parts == whole.replace("faults", "faults_flash_disk")
    assert [row["fault"] for row in measure.kept(parts)] == ["flash, 0", "disk, 0"]
    assert [row["fault"] for row in measure.kept(whole)] == [f"{name}, 0" for name in command.PARTS]


def test_flash_attention_is_not_tried_without_a_gpu(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Nor may another program take its place on one: the run would pass, and say nothing of cuDNN's."""
    with pytest.raises(SystemExit):
        pretend(monkeypatch, tmp_path, "cpu", "--parts", "vit", "flash")
    assert "flash takes a GPU, and JAX_PLATFORMS=cuda" in capsys.readouterr().err
    flags = dict(zip(runs.FLASH.arguments[::2], runs.FLASH.arguments[1::2], strict=True))
    assert flags["--model.attention"] == "cudnn"
    assert int(flags["--model.embed_dim"]) // int(flags["--model.num_heads"]) == 64
    env = runs.Training(tmp_path / "run", 1, kind=runs.FLASH).env
    assert env["XLA_FLAGS"] == "--xla_gpu_deterministic_ops=true"


@pytest.mark.parametrize("name", command.PARTS)
def test_each_part_is_something(name, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """With a tenth of the repetitions where it is to be quick; at least one."""
    asked = []
    for function in ("kills_and_signals", "damage", "mutations", "full_disk", "disturbed", "several"):
        monkeypatch.setattr(command, function, lambda *args, f=function, **counts: asked.append((f, args, counts)))
    for quick in (False, True):
        command.part(name, tmp_path, 3, quick)
    (function, args, many), (_, _, few) = asked
    kinds = {"vit": runs.VIT, "swin": runs.SWIN, "flash": runs.FLASH}
    assert function == ("kills_and_signals" if name in kinds else {"disk": "full_disk"}.get(name, name))
    assert name not in kinds or args[2] is kinds[name]
    assert all(few[what] == max(2 if what == "times" else 1, many[what] // 10) for what in many)
