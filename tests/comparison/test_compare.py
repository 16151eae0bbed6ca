"""A whole comparison, as a user starts it, but in this process: it goes on where it stopped and loses nothing."""

import json
import pickle
import shlex

import jax
import pytest
from PIL import Image

from tests.comparison.conftest import ENTRY, write_run
from vit_jax import cli
from vit_jax.comparison import compare as comparing
from vit_jax.training.errors import Stopped, TrainingError

CONFIG = """
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig

def get_config():
    return Config(
        ModelConfig("vit_digits_patch2_8", dict(embed_dim=16, depth=1, num_heads=2, pool="avg")),
        optimizer=OptimizerConfig(b1={b1}),
        schedule=ScheduleConfig(warmup="1 steps"),
        duration="5 steps",
        batch_size=64,
    )
"""


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Each process of its own would take seconds to start."""
    monkeypatch.setattr(comparing, "in_own_process", lambda work, *args: work(*args))
    monkeypatch.setattr(comparing.compilation_cache, "enable", lambda: None)


@pytest.fixture
def command(tmp_path):
    for name, b1 in (("slow", 0.9), ("fast", 0.5)):
        (tmp_path / f"{name}.py").write_text(CONFIG.format(b1=b1))
    configs = [str(tmp_path / "slow.py"), str(tmp_path / "fast.py")]
    return ["compare", *configs, "--seeds", "1", "--workdir", str(tmp_path / "out")]


def test_configs_are_tried_on_the_disk_of_the_workdir(command, tmp_path, monkeypatch):
    """/tmp may be small: the directory nearest to the workdir to come is taken."""
    scratches = []
    monkeypatch.setattr(comparing, "decide", lambda request, path, scratch: scratches.append(scratch) or ENTRY)
    monkeypatch.setattr(comparing, "train_one", lambda request, path, plan, seed, workdir: None)
    cli.main(command)
    assert scratches == [tmp_path, tmp_path]


def test_a_comparison_that_fails_goes_on_where_it_stopped(command, tmp_path, monkeypatch, capsys):
    out, trained, original = tmp_path / "out", [], comparing.train_one

    def train_one(request, path, *rest):
        trained.append(path.stem)
        if path.stem == "slow" and len(trained) == 1:
            raise MemoryError("no room left")
        if path.stem == "slow":
            original(request, path, *rest)
        else:  # one real training is enough
            write_run(out / "fast-seed0", 1, accuracy=0.5, speed=100.0)

    monkeypatch.setattr(comparing, "train_one", train_one)
    typed = ["vit-jax", *command]
    monkeypatch.setattr("sys.argv", typed)
    assert cli.main() == 1
    told = capsys.readouterr()
    assert "slow-seed0 failed: MemoryError: no room left" in told.err
    assert trained == ["slow", "fast"]  # the other is not lost
    assert "slow-seed0" in (out / "comparison.html").read_text()

    assert cli.main(command) == 0
    assert trained == ["slow", "fast", "slow"]  # what was done is not done again
    told = capsys.readouterr()
    assert "[2/2] fast-seed0: done before" in told.out
    assert "failed" not in told.err
    assert [line.split(",")[0] for line in (out / "comparison.csv").read_text().splitlines()] == [
        "config", "slow", "fast"
    ]  # fmt: skip
    assert "Not finished" not in (out / "comparison.html").read_text()
    for page in (out / "slow-seed0" / "report.html", out / "comparison.html"):
        assert f"<code>{shlex.join(typed)}</code>" in page.read_text()
    assert json.loads((out / "slow-seed0" / "config.json").read_text())["evaluate_every"] == "1 steps"

    assert cli.main([*command, "--seeds", "2"]) == 2
    assert "seeds: 1 -> 2" in capsys.readouterr().err


def test_a_signal_to_a_run_ends_the_whole_comparison(command, monkeypatch, capsys):
    """It is meant for all of it: no further run begins."""
    trained = []

    def train_one(request, path, *_):
        trained.append(path.stem)
        raise pickle.loads(pickle.dumps(Stopped(3, "SIGTERM")))  # as it comes from another process

    monkeypatch.setattr(comparing, "decide_one", lambda *_: ENTRY)
    monkeypatch.setattr(comparing, "train_one", train_one)
    assert cli.main(command) == 75
    assert trained == ["slow"]
    assert "failed" not in capsys.readouterr().err


def test_all_that_computes_does_so_in_processes_of_their_own(command, monkeypatch, tmp_path):
    """This one would keep the accelerators from the runs, and the memory that one run needed from the next."""
    works = []

    def in_own_process(work, *arguments):
        works.append(work.__name__)
        if work is comparing.train_one:
            _, path, *_ = arguments
            write_run(tmp_path / "out" / f"{path.stem}-seed0", 1, accuracy=0.5, speed=100.0)
        return {comparing.decide_one: ENTRY, comparing.train_one: None, comparing.write_results: []}[work]

    monkeypatch.setattr(comparing, "in_own_process", in_own_process)
    for elsewhere in ("decide", "prepare", "train_and_report", "read_results"):
        monkeypatch.setattr(comparing, elsewhere, lambda *_: pytest.fail("computed here"))
    assert cli.main(command) == 0
    assert works == ["decide_one", "decide_one", "train_one", "train_one", "write_results"]


def test_a_process_that_is_killed_while_it_measures_is_told_with_its_config(command, monkeypatch, capsys):
    def in_own_process(work, *arguments):
        raise TrainingError("its process was ended from outside")

    monkeypatch.setattr(comparing, "in_own_process", in_own_process)
    assert cli.main(command) == 1
    assert "slow: its process was ended from outside" in capsys.readouterr().err


def test_a_full_memory_while_it_measures_is_explained(command, monkeypatch, capsys):
    def decide(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(comparing, "decide", decide)
    assert cli.main(command) == 1
    assert "slow: the memory of a device is full" in capsys.readouterr().err


def test_a_config_file_changed_on_the_way_is_not_mixed_in(command, tmp_path, monkeypatch, capsys):
    original = comparing.train_one

    def train_one(request, path, *rest):
        path.write_text(path.read_text().replace("batch_size=64", "batch_size=32"))
        original(request, path, *rest)

    monkeypatch.setattr(comparing, "train_one", train_one)
    assert cli.main(command) == 1
    assert "fast.py has changed since the comparison began:\n  batch_size: 64 -> 32" in capsys.readouterr().err
    assert not (tmp_path / "out" / "comparison.html").exists()


def test_images_that_have_changed_on_the_way_are_not_mixed_in(command, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "pets"
    for path in (folder / name / f"{number}.png" for name in ("cat", "dog") for number in range(40)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    data = f'data=DataConfig("folder:{folder}", load_size=8), batch_size=64'
    for name in ("slow", "fast"):
        text = (tmp_path / f"{name}.py").read_text().replace("batch_size=64", data)
        (tmp_path / f"{name}.py").write_text("from vit_jax.data.dataset import DataConfig\n" + text)
    trained = []
    monkeypatch.setattr(comparing, "train_and_report", lambda run, *_: trained.append(run.workdir.name))
    cli.main([*command, "--seeds", "2"])
    assert trained == ["slow-seed0", "fast-seed0", "slow-seed1", "fast-seed1"]

    extra = folder / "cat" / "new.png"
    Image.new("RGB", (8, 8)).save(extra)
    assert cli.main([*command, "--seeds", "2"]) == 1
    assert len(trained) == 4
    assert f"images of folder:{folder} are not those that the comparison began with" in capsys.readouterr().err
    extra.unlink()
    cli.main([*command, "--seeds", "2"])
    assert len(trained) == 8


def test_seeds_differ_between_runs_and_not_between_configs(command, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        comparing, "train_one", lambda request, path, plan, seed, _: seen.append(
            (path.stem, comparing.config_of(request, path, plan, seed).seed)
        )
    )  # fmt: skip
    cli.main([*command, "--seeds", "2"])
    assert seen == [("slow", 0), ("fast", 0), ("slow", 1), ("fast", 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "5"], "a budget is written like"),
        (["--workdir", "out/a[x]b"], "checkpoints cannot be kept in"),
        (["--data-name", "digit"], "slow: no data set 'digit'"),
        (["--data-name", "folder:/does/not/exist"], "/does/not/exist"),
    ],
)
def test_mistakes_are_answered_before_anything_is_trained(arguments, message, command, tmp_path, capsys):
    assert cli.main([*command, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
