"""The main command, as a user starts it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

import train
from vit_jax.training.errors import Stopped, TrainingError
from vit_jax.training.stop_signals import SIGNALS

ROOT = Path(__file__).parents[1]
SMALL = ["--model.embed_dim", "16", "--model.depth", "1", "--model.num_heads", "2", "--duration", "3 steps"]
SMALL += ["--schedule.warmup", "1 steps"]


@pytest.fixture(autouse=True)
def compilation_cache_of_the_tests(monkeypatch):
    monkeypatch.setattr(train.compilation_cache, "enable", lambda: None)


@pytest.fixture(autouse=True)
def handlers_of_the_tests():
    """The command sets its own."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_it_trains_reports_and_says_how_to_use_the_model(tmp_path, capsys):
    workdir = tmp_path / "run"
    assert train.main([*SMALL, "--workdir", str(workdir)]) == 0
    said = capsys.readouterr().out
    reported = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])["accuracy"]
    assert f"test accuracy {reported:.2%} on 359 images" in said
    assert f'vit_jax.load_pretrained("{workdir}")' in said.replace("\n", "")
    page = (workdir / "report.html").read_text()
    for part in (
        f"{reported:.2%}",
        "Balanced accuracy",
        "Calibration error",
        "digits of scikit-learn",
        "python train.py --model.embed_dim 16",
    ):
        assert part in page


def test_a_device_without_memory_is_told_with_what_takes_less(tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.\nA long list")

    monkeypatch.setattr("vit_jax.inspection.train_and_report.train", fail)
    assert train.main([*SMALL, "--workdir", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert (
        "memory of a device is full (RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.). What takes less" in said
    )
    assert "A long list" not in said


def test_other_errors_of_a_device_are_not_taken_for_that(tmp_path, monkeypatch):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr("vit_jax.inspection.train_and_report.train", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        train.main([*SMALL, "--workdir", str(tmp_path / "run")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.name", "digit"], "error: no data set 'digit'"),
        (["--model.name", "vit_small_patch4"], "unknown model 'vit_small_patch4' (did you mean vit_small_patch4_32"),
        (["--data.name", "folder:/does/not/exist"], "/does/not/exist"),
        (["--config", "configs/nothing.py"], "error: no config file configs/nothing.py"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_exit_with_2(arguments, message, tmp_path, capsys):
    assert train.main([*arguments, "--workdir", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def ends_with(error):
    """What a step of the program is replaced by, to end there."""

    def end(*_):
        raise error

    return end


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (TrainingError("no checkpoint is whole"), 1, "error: no checkpoint is whole"),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device"),
        (Stopped(7, "SIGTERM"), 75, "stopped by SIGTERM at step 7 and saved; the same command goes on from there: "),
        (KeyboardInterrupt(), 75, "stopped; the same command goes on: "),
    ],
)
def test_the_exit_status_says_whether_the_same_command_may_go_on(error, status, message, monkeypatch, capsys):
    """Of what ended the training: schedulers and scripts start a run again that ends with 75, and no other."""
    monkeypatch.setattr(train, "prepare", lambda config, workdir: SimpleNamespace(total_steps=10))
    monkeypatch.setattr(train, "train_and_report", ends_with(error))
    assert train.main(["--seed", "1"]) == status
    told = capsys.readouterr()
    assert message in (told.err if status == 1 else told.out)
    assert ("python train.py --seed 1" in told.out) == (status == 75)


def test_an_interrupt_before_the_training_is_no_mistake(monkeypatch, capsys):
    monkeypatch.setattr(train, "prepare", ends_with(KeyboardInterrupt()))
    assert train.main([]) == 75
    assert "stopped; the same command goes on:  python train.py" in capsys.readouterr().out


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_program_starts_ends_it_to_be_started_again(number, monkeypatch):
    """Any of them, while data and weights are read: there is nothing to save yet."""

    def prepare(*_):
        signal.raise_signal(number)
        raise AssertionError("it went on")

    signal.signal(number, signal.SIG_IGN)
    monkeypatch.setattr(train, "prepare", prepare)
    assert train.main([]) == 75


def test_it_starts_from_a_bare_shell_and_imports_no_tensorflow(tmp_path):
    """In a process of its own, without the tests' environment; a TensorFlow import would fail."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('tensorflow must not be imported')\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XLA_", "PYTEST"))}
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, "--workdir", "run"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").exists()
    assert "tensorflow" not in done.stderr


def test_starting_up_does_not_wait_for_what_is_not_used():
    """These take from 0.2 to 1 s each to import."""
    slow = ("sklearn", "tensorflow_datasets", "scipy.interpolate", "scipy.stats", "jinja2", "matplotlib", "torch")
    code = f"import sys, train; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
