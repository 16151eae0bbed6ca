"""A listed result once more: what its spread is, and that a run is judged by it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_jax import cli
from vit_jax.comparison import reproduce as reproducing
from vit_jax.comparison.reproduce import Listed, listed_as, read_listed, reproduce
from vit_jax.comparison.results import final_row
from vit_jax.data.dataset import DataConfig
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.training import command_line
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.errors import Stopped, TrainingError
from vit_jax.training.optimizer import ScheduleConfig

ROOT = Path(__file__).parents[2]
HEADER = "config,model,seed,test_accuracy_percent,steps\n"


def test_95_of_100_further_runs_lie_in_the_spread():
    """By drawing: three runs give an interval, a fourth lies in it."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(2000):
        *listed, another = rng.normal(70, 2, 4)
        low, high = Listed(Path("t.csv"), "a", (0, 1, 2), tuple(listed), 10).spread
        inside += low <= another <= high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_one_run_has_no_spread():
    with pytest.raises(ValueError, match=r"t.csv lists one run of a, which says nothing"):
        _ = Listed(Path("t.csv"), "a", (0,), (70.0,), 10).spread


def test_the_tables_of_this_project_are_read():
    listed = read_listed(sorted((ROOT / "docs").rglob("*.csv")))["vit_cifar10_cpu"]
    assert (listed.seeds, listed.accuracies, listed.steps) == ((0, 1, 2), (66.13, 66.62, 66.16), 1954)
    assert listed.describe().startswith("vit_cifar10_cpu: 66.13%, 66.62%, 66.16% (seeds 0, 1, 2); 95% of further runs")


def test_what_is_not_listed_is_refused_with_what_is(tmp_path: Path):
    table = tmp_path / "t.csv"
    table.write_text(HEADER + "vit_a,m,0,70,10\nvit_a,m,1,71,10\n")
    with pytest.raises(
        ValueError, match=r"no result 'vit_b' is listed in .*t.csv \(did you mean vit_a\?\); there are vit_a"
    ):
        listed_as("vit_b", [table])
    with pytest.raises(ValueError, match="there is no table below docs/ here"):
        listed_as("vit_b", [])
    table.write_text("name,accuracy\na,1\n")
    with pytest.raises(ValueError, match="no table of results as vit-jax compare writes them"):
        listed_as("a", [table])


def test_a_config_in_two_tables_is_refused(tmp_path: Path):
    tables = [tmp_path / "t.csv", tmp_path / "u.csv"]
    for table in tables:
        table.write_text(HEADER + "vit_a,m,0,70,10\nvit_a,m,1,71,10\n")
    with pytest.raises(ValueError, match=r"vit_a is listed in both .*t.csv and .*u.csv"):
        read_listed(tables)


@pytest.fixture
def config() -> Config:
    fields = dict(embed_dim=16, depth=1, num_heads=2)
    return Config(
        ModelConfig("vit_digits_patch2_8", fields), schedule=ScheduleConfig(warmup="1 steps"), duration="6 steps"
    )


def test_a_run_is_judged_by_the_listed_ones(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The same run within one spread and outside another: its workdir has it already."""
    wide = Listed(Path("t.csv"), "small", (0, 1), (5.0, 60.0), 6)
    assert reproduce(wide, config, tmp_path / "run", "the command")
    said = capsys.readouterr().out
    assert said.startswith("listed   small: 5.00%, 60.00% (seeds 0, 1)")
    assert "\nwithin the spread: " in said
    final = final_row(tmp_path / "run")
    assert final is not None
    alike = (round(100 * final["accuracy"], 4),) * 2  # as a table has it
    assert reproduce(Listed(Path("t.csv"), "small", (0, 1), alike, 6), config, tmp_path / "run", "the command")
    narrow = Listed(Path("t.csv"), "small", (0, 1), (99.0, 99.1), 6)
    assert not reproduce(narrow, config, tmp_path / "run", "the command")
    assert "\nOUTSIDE the spread: " in capsys.readouterr().out
    assert "the command" in (tmp_path / "run" / "report.html").read_text()

    longer = Listed(Path("t.csv"), "small", (0, 1), (5.0, 60.0), 7)
    with pytest.raises(ValueError, match="small was trained for 7 steps when it was listed, now for 6"):
        reproduce(longer, config, tmp_path / "other", "the command")
    assert not (tmp_path / "other").exists()


def test_a_run_goes_on_with_the_images_that_it_began_with(config: Config, tmp_path: Path):
    """An image that came since would make it longer."""
    for i in range(40):
        path = tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, i, i)).save(path)
    fields = dict(config.model.fields) | {"preprocessing": Preprocessing()}
    config = dataclasses.replace(
        config,
        model=ModelConfig("vit_digits_patch2_8", fields),
        data=DataConfig(f"folder:{tmp_path / 'pictures'}", load_size=8),
        batch_size=8,
        duration="1 epochs",
    )
    listed = Listed(Path("t.csv"), "small", (0, 1), (0.0, 100.0), 4)
    assert reproduce(listed, config, tmp_path / "run", "the command")
    for i in range(40, 60):
        Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png")
    assert reproduce(listed, config, tmp_path / "run", "the command")


def test_the_command_runs_the_listed_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "small.py").write_text(
        "from vit_jax.training.config import Config, ModelConfig\n"
        "from vit_jax.training.optimizer import ScheduleConfig\n"
        "def get_config():\n"
        "    model = ModelConfig('vit_digits_patch2_8', dict(embed_dim=16, depth=1, num_heads=2))\n"
        "    return Config(model, schedule=ScheduleConfig(warmup='1 steps'), duration='4 steps')\n"
    )
    table = tmp_path / "t.csv"
    table.write_text(HEADER + "small,m,0,99.0,4\nsmall,m,1,99.1,4\n")
    arguments = ["reproduce", "small", "--seed", "5", "--tables", str(table), "--configs", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["/bin/vit-jax", *arguments, "--workdir", str(tmp_path / "run")])
    assert cli.main() == 1
    assert "OUTSIDE the spread" in capsys.readouterr().out
    typed = f"vit-jax reproduce small --seed 5 --tables {table} --configs {tmp_path} --workdir {tmp_path / 'run'}"
    assert f"<code>{typed}</code>" in (tmp_path / "run" / "report.html").read_text()
    assert '"seed": 5' in (tmp_path / "run" / "config.json").read_text()
    assert cli.main(["reproduce", "smal", *arguments[2:]]) == 2
    assert "did you mean small?" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "status"), [(Stopped(3, "SIGTERM"), 75), (TrainingError("not finite"), 1)])
def test_a_run_that_does_not_end_is_told(
    error: Exception, status: int, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(reproducing, "train_and_report", fail)
    monkeypatch.setattr(command_line, "load_config", lambda _: config)
    table = tmp_path / "t.csv"
    table.write_text(HEADER + "small,m,0,99.0,6\nsmall,m,1,99.1,6\n")
    arguments = ["reproduce", "small", "--tables", str(table), "--workdir", str(tmp_path / "run")]
    assert cli.main(arguments) == status
