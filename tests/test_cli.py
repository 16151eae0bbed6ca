"""The command `vit-jax`."""

import errno
import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import vit_jax
from tests.models.cases import random_params, small_model
from vit_jax import cli
from vit_jax.comparison import compare as comparing
from vit_jax.comparison import reproduce as reproducing
from vit_jax.comparison.request import Request
from vit_jax.data import prepare as preparing
from vit_jax.inspection.attention_picture import SIDE
from vit_jax.training.stop_signals import SIGNALS

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    """The command changes what signals do in their process, here the tests'."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(monkeypatch: pytest.MonkeyPatch, *args: str, result: Any = None) -> tuple[int, list[tuple[Any, ...]]]:
    """The exit status, and what `prepare` was called with; it returns or raises `result`."""
    calls = []

    def prepare(*arguments: Any) -> Any:
        calls.append(arguments)
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(preparing, "prepare", prepare)
    return cli.main(args), calls


@pytest.mark.parametrize("anew", [True, False])
def test_prepare_says_what_was_done_and_where(
    anew: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    result = preparing.Prepared(Path("/sets/cifar10"), "CIFAR-10 from the published archive", anew)
    assert run(monkeypatch, "prepare", "cifar10", result=result) == (0, [("cifar10", None, False, None)])
    done = "prepared" if anew else "was prepared before"
    assert capsys.readouterr().out == f"{done}: CIFAR-10 from the published archive\nin /sets/cifar10\n"


def test_prepare_takes_an_archive_and_a_directory(monkeypatch: pytest.MonkeyPatch):
    result = preparing.Prepared(Path("d"), "", True)
    args = ("prepare", "cifar100", "--archive", "a.tar.gz", "--unverified", "--data-dir", "sets")
    assert run(monkeypatch, *args, result=result)[1] == [("cifar100", Path("a.tar.gz"), True, "sets")]


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError, ConnectionError, ModuleNotFoundError])
def test_a_user_s_mistake_is_told_without_a_traceback(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert run(monkeypatch, "prepare", "cifar10", result=error("what was wrong"))[0] == 2
    assert capsys.readouterr() == ("", "vit-jax: what was wrong\n")


def test_an_error_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(TypeError):
        run(monkeypatch, "prepare", "cifar10", result=TypeError("a bug"))


def test_an_interruption_ends_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert run(monkeypatch, "prepare", "cifar10", result=KeyboardInterrupt())[0] == 130
    assert capsys.readouterr().err == "vit-jax: interrupted\n"


@pytest.mark.parametrize("command", ["compare", "reproduce"])
def test_a_training_that_a_signal_ended_has_the_status_to_be_resumed(command: str, monkeypatch, capsys):
    def terminated(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparing, "compare", terminated)
    monkeypatch.setattr(reproducing, "reproduce", terminated)
    arguments = {"compare": ["a.py"], "reproduce": ["vit_digits", "--configs", str(ROOT / "configs")]}
    monkeypatch.setattr(reproducing, "listed_as", lambda *_: None)
    assert cli.main([command, *arguments[command]]) == 75
    assert capsys.readouterr().err == "vit-jax: stopped; the same command goes on\n"


def test_home_is_found_in_paths(monkeypatch: pytest.MonkeyPatch):
    result = preparing.Prepared(Path("d"), "", True)
    calls = run(monkeypatch, "prepare", "cifar10", "--archive=~/cifar.tar.gz", result=result)[1]
    assert calls[0][1] == Path.home() / "cifar.tar.gz"


def test_a_full_memory_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
    assert run(monkeypatch, "prepare", "cifar10", result=full)[0] == 1
    assert "the memory of a device is full" in (told := capsys.readouterr().err)
    assert "a smaller batch or image" in told


def test_compare_takes_configs_a_budget_seeds_and_data(monkeypatch: pytest.MonkeyPatch):
    """And the command as it was typed."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(comparing, "compare", lambda *arguments: calls.append(arguments) or len(calls) == 1)
    flags = ["--budget", "300 seconds", "--seeds", "2", "--workdir", "out", "--data-name", "folder:pets"]
    typed = ["vit-jax", "compare", "a.py", "b.py", *flags, "--data-dir", "sets", "--skip-unreadable"]
    monkeypatch.setattr("sys.argv", typed)
    assert cli.main() == 0
    data = (("name", "folder:pets"), ("data_dir", "sets"), ("skip_unreadable", True))
    request, workdir, command = calls[0]
    assert (request, workdir) == (Request((Path("a.py"), Path("b.py")), "300 seconds", 2, data), Path("out"))
    assert shlex.split(command) == typed
    assert cli.main(["compare", "a.py"]) == 1  # some run failed
    assert calls[1][:2] == (Request((Path("a.py"),), None, 3, ()), Path("runs/compare"))


def fill_the_disk(image: Image.Image, path: Path, format: str) -> None:
    path.write_bytes(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_attention_writes_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Of a photograph that lies on its side, as its EXIF orientation says; the one there stays if it cannot."""
    model = small_model()
    vit_jax.save_pretrained(tmp_path / "model", model, random_params(model, 0))
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise: the bright half is then below
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    args = [str(tmp_path / name) for name in ("model", "photo.png", "out.png")]
    assert cli.main(["attention", *args, "--layer", "0", "--head", "1"]) == 0
    assert "out.png" in capsys.readouterr().out
    seen = np.asarray(Image.open(tmp_path / "out.png"))[:, :SIDE]
    assert seen[: SIDE // 2 - 20].max() < 20
    assert seen[SIDE // 2 + 20 :].min() > 235

    drawn = (tmp_path / "out.png").read_bytes()
    with monkeypatch.context() as full:
        full.setattr(Image.Image, "save", fill_the_disk)
        assert cli.main(["attention", *args, "--layer", "1"]) == 2
    assert "out.png" in capsys.readouterr().err
    assert (tmp_path / "out.png").read_bytes() == drawn

    assert cli.main(["attention", *args, "--layer", "2"]) == 2
    assert "there is no layer 2: layers are 0 to 1" in capsys.readouterr().err
    assert cli.main(["attention", args[0], str(tmp_path / "nowhere.png"), args[2]]) == 2
    assert "nowhere.png" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    args = ["prepare", "cifar10", "--archive", str(tmp_path / "nowhere.tar.gz"), "--data-dir", str(tmp_path)]
    assert cli.main(args) == 2
    assert "nowhere.tar.gz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("mine.png", "is the image itself"),
        ("folder.png", "is a folder: name a file in it"),
        ("mine.txt", "does not end as a picture's name does: .png"),
        ("nowhere/out.png", "there is no folder .*nowhere to write out.png into"),
    ],
)
def test_where_a_picture_of_attention_goes_is_checked_first(out: str, message: str, tmp_path: Path, capsys):
    """No network is looked for before; and a photograph is not written over."""
    Image.new("RGB", (8, 8)).save(tmp_path / "mine.png")
    (tmp_path / "folder.png").mkdir()
    before = (tmp_path / "mine.png").read_bytes()
    assert cli.main(["attention", str(tmp_path / "no_model"), str(tmp_path / "mine.png"), str(tmp_path / out)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert (tmp_path / "mine.png").read_bytes() == before


def test_an_export_does_not_load_the_model_where_it_cannot_be_written(tmp_path: Path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["export", str(tmp_path / "no_model"), str(tmp_path / "file")]) == 2
    assert "is a file: name a directory" in capsys.readouterr().err


def test_an_interrupted_command_leaves_at_once(monkeypatch: pytest.MonkeyPatch):
    """XLA, which may still be computing, would crash at Python's orderly end, with the status of a crash."""
    left = []
    monkeypatch.setattr("os._exit", left.append)
    monkeypatch.setattr(cli, "main", lambda: cli.INTERRUPTED)
    with pytest.raises(SystemExit):  # which a process that has left does not reach
        cli.command()
    assert left == [130]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_lets_a_command_clean_up_or_save(number: signal.Signals, monkeypatch: pytest.MonkeyPatch):
    """SIGTERM and SIGUSR1, too: without a handler they would leave half-written files, and a run that is not saved."""
    told = []

    def main() -> int:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            told.append("cleaned up")
        return 0

    monkeypatch.setattr(cli, "main", main)
    signal.signal(number, signal.SIG_IGN)  # if the command does not catch it, it must not end the tests
    with pytest.raises(SystemExit):
        cli.command()
    assert told == ["cleaned up"]


@pytest.mark.parametrize("args", [[], ["prepar"], ["prepare"], ["prepare", "cifar10", "--archiv", "x"]])
def test_wrong_usage_exits_with_2(args: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_:
        cli.main(args)
    assert exit_.value.code == 2


def test_help_names_the_subcommands_and_their_flags(capsys: pytest.CaptureFixture[str]):
    for args, expected in (
        (["--help"], ["prepare", "compare", "predict", "evaluate", "export", "attention"]),
        (["attention", "--help"], ["SOURCE", "IMAGE", "OUT", "--layer", "rollout", "--head"]),
        (["compare", "--help"], ["CONFIG", "--budget", "--seeds", "--data-name"]),
        (["predict", "--help"], ["SOURCE", "IMAGE", "--top", "--format", "--batch-size", "--dtype", "--revision"]),
        (["evaluate", "--help"], ["SOURCE", "--data", "--split", "--data-dir", "--skip-unreadable", "--format"]),
        (["export", "--help"], ["SOURCE", "OUT", "--batch-size"]),
        (["prepare", "--help"], ["--archive", "--unverified", "tfds:NAME"]),
    ):
        with pytest.raises(SystemExit) as exit_:
            cli.main(args)
        assert exit_.value.code == 0
        told = capsys.readouterr().out
        assert all(word in told for word in expected)
