"""The steps for a GPU: their commands are understood; stand-ins for them are run, recorded and ended on the CPU."""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

import vit_jax
from benchmarks import measure, on_gpu
from benchmarks.on_gpu import Step
from benchmarks.throughput.__main__ import PEERS_ASKED, refuse_to_lose
from vit_jax.durations import to_steps
from vit_jax.training.command_line import parse

RESULT = "import pathlib, os; pathlib.Path({path!r}).write_text(os.environ['JAX_PLATFORMS'])"


def python(code: str) -> str:
    """The arguments of python that run this."""
    return f'-c "{code}"'


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory in the place of benchmarks/results, and one for runs beside it."""
    for name in ("results", "runs"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(on_gpu, name.upper(), tmp_path / name)
    return tmp_path / "results"


def ran(monkeypatch: pytest.MonkeyPatch, out: Path, steps: list[Step], *flags: str) -> int:
    """The exit status of the command with these steps."""
    monkeypatch.setattr(on_gpu, "STEPS", tuple(steps))
    monkeypatch.setattr(sys, "argv", ["on_gpu", "--out", str(out), *flags])
    return on_gpu.main()


def test_a_step_that_fails_does_not_stop_the_others(results, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    """What the others wrote is there, and what was there before is not."""
    (results / "throughput_old.json").touch()
    time.sleep(0.05)
    writes = python(RESULT.format(path=str(results / "throughput_nvidia.json")))
    steps = [Step("wrong", python("print(6 * 7); raise SystemExit(3)"), 30), Step("right", writes, 30)]
    assert ran(monkeypatch, tmp_path / "out", steps) == 1
    log = (tmp_path / "out" / "on_gpu.log").read_text()
    assert "\n42\n== wrong: exit status 3, " in log
    assert "== right: exit status 0, " in log
    assert (tmp_path / "out" / "throughput_nvidia.json").read_text() == "cuda"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"on_gpu.log", "throughput_nvidia.json"}
    printed = capsys.readouterr().out
    assert "\n42\n" in printed
    assert printed.endswith("failed: wrong; left: nothing\n")
    assert ran(monkeypatch, tmp_path / "out", steps, "--from", "right") == 0


def test_results_are_there_as_soon_as_their_step_is_done(results, tmp_path, monkeypatch: pytest.MonkeyPatch):
    writes = python(RESULT.format(path=str(results / "first.json")))
    looks = python(f"import os; assert 'first.json' in os.listdir({str(tmp_path / 'out')!r})")
    assert ran(monkeypatch, tmp_path / "out", [Step("writes", writes, 30), Step("looks", looks, 30)]) == 0


def test_what_no_longer_fits_is_left(results, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    """One goes on from there."""
    steps = [Step("short", python("pass"), 5), Step("long", python("pass"), 50), Step("last", python("pass"), 5)]
    assert ran(monkeypatch, tmp_path / "out", steps, "--seconds", "40") == 0
    assert capsys.readouterr().out.endswith("failed: nothing; left: long last\n")
    assert ran(monkeypatch, tmp_path / "out", steps, "--seconds", "40", "--from", "last") == 0
    assert "== last: exit status 0" in (tmp_path / "out" / "on_gpu.log").read_text()


def test_a_step_that_hangs_is_ended_with_what_it_has_started(results, tmp_path, monkeypatch: pytest.MonkeyPatch):
    heart = tmp_path / "heart"
    monkeypatch.setattr(sys, "executable", "/bin/sh")  # python may take seconds to start
    hangs = f"-c '(while :; do touch {heart}; sleep 0.01; done) & wait'"
    assert ran(monkeypatch, tmp_path / "out", [Step("hangs", hangs, 2)], "--seconds", "3") == 1
    assert "== hangs: not done in time, " in (tmp_path / "out" / "on_gpu.log").read_text()
    last = heart.stat().st_mtime_ns
    time.sleep(0.3)
    assert heart.stat().st_mtime_ns == last


def test_trainings_take_a_folder_and_leave_their_metrics(results, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    written = tmp_path / "runs" / "some_run" / "metrics.jsonl"
    written.parent.mkdir()
    given = python(f"import pathlib, sys; pathlib.Path({str(written)!r}).write_text(sys.argv[1])") + " 'in {cifar10}'"
    steps = [Step("train", given, 30)]
    with pytest.raises(FileNotFoundError):
        ran(monkeypatch, tmp_path / "out", steps, "--cifar10", str(tmp_path / "none"))
    (tmp_path / "the images").mkdir()
    assert ran(monkeypatch, tmp_path / "out", steps, "--cifar10", str(tmp_path / "the images")) == 0
    assert (tmp_path / "out" / "some_run.jsonl").read_text() == f"in {tmp_path / 'the images'}"
    assert ran(monkeypatch, tmp_path / "out", [Step("first", python("pass"), 30), *steps]) == 0
    assert "train" not in capsys.readouterr().out.splitlines()[-1]
    with pytest.raises(SystemExit):
        ran(monkeypatch, tmp_path / "out", steps, "--from", "train")
    assert "train trains: it needs --cifar10" in capsys.readouterr().err


class UnderstoodError(Exception):
    """The command line is one that the program takes."""


@pytest.mark.parametrize("step", on_gpu.STEPS, ids=[step.name for step in on_gpu.STEPS])
def test_the_commands_are_understood(step: Step, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """What they name is there, and no earlier result beside another peer would be lost."""
    program, *flags = on_gpu.arguments(step, tmp_path)
    if program == "train.py":
        config, workdir = parse(flags, Path("none"))
        assert (config.data.name, config.data.load_size) == (f"folder:{tmp_path}", 32)
        assert workdir == on_gpu.RUNS / step.name
        assert to_steps(config.schedule.warmup, 50_000, 128) < to_steps(config.duration, 50_000, 128)
        return

    def parsed(self: argparse.ArgumentParser) -> None:
        raise UnderstoodError(parse_args(self))

    parse_args = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    monkeypatch.setattr(sys, "argv", [program, *flags[1:]])
    module = import_module(flags[0])
    with pytest.raises(UnderstoodError) as understood:
        (module if hasattr(module, "main") else import_module(f"{flags[0]}.__main__")).main()
    for model in getattr(understood.value.args[0], "models", ()) if flags[0] == "benchmarks.throughput" else ():
        vit_jax.create_model(model)
        implementations = [form for peer in understood.value.args[0].peers for form in PEERS_ASKED[peer]]
        refuse_to_lose(measure.kept("throughput_nvidia_h200"), model, implementations)
