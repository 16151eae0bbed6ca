"""Protects what a comparison is asked for: mistakes are answered, and every config gets the same data and budget."""

from pathlib import Path

import pytest

from vit_jax.comparison.request import Request, asked, parse_budget, read_configs

CONFIG = """
from vit_jax.data.dataset import DataConfig
from vit_jax.training.config import Config, ModelConfig

def get_config():
    return Config(ModelConfig("vit_digits_patch2_8"), DataConfig({data}), duration="7 epochs")
"""


def config_file(directory: Path, name: str, data: str = '"digits"') -> Path:
    path = directory / f"{name}.py"
    path.write_text(CONFIG.format(data=data))
    return path


@pytest.mark.parametrize(
    ("budget", "parsed"), [("5 epochs", (5, "epochs")), ("1 epoch", (1, "epochs")), ("0.5 seconds", (0.5, "seconds"))]
)
def test_a_budget_is_a_number_of_epochs_or_seconds(budget, parsed):
    assert parse_budget(budget) == parsed


@pytest.mark.parametrize(
    "budget", ["5", "5 steps", "0 epochs", "-1 seconds", "inf seconds", "nan epochs", "five epochs"]
)
def test_other_budgets_are_refused_with_what_is_right(budget):
    with pytest.raises(ValueError, match=r'like "5 epochs" or "300 seconds", not'):
        Request((Path("a.py"),), budget)


@pytest.mark.parametrize(
    ("paths", "seeds", "message"),
    [((), 1, "give the config files"), (("a.py",), 0, "at least 1, not 0"), (("x/a.py", "y/a.py"), 1, "called a")],
)
def test_requests_that_cannot_work_are_refused(paths, seeds, message):
    with pytest.raises(ValueError, match=message):
        Request(tuple(map(Path, paths)), seeds=seeds)


@pytest.mark.parametrize("file", ["config.json", "metrics.jsonl"])
def test_a_run_s_workdir_is_no_config_and_what_shows_it_is_said(tmp_path, file):
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / file).write_text("{}")
    with pytest.raises(ValueError, match="runs/a is the workdir of a run: a comparison takes config files") as error:
        read_configs(Request((config_file(tmp_path, "b"), run)))
    for part in (str(run / "report.html"), f"tensorboard --logdir {tmp_path / 'runs'} ", '".[tensorboard]"'):
        assert part in str(error.value)


def test_the_budget_is_the_duration_of_every_config(tmp_path):
    path = config_file(tmp_path, "a")
    assert Request((path,), "3 epochs").config(path).duration == "3 epochs"
    assert Request((path,), None).config(path).duration == "7 epochs"
    assert Request((path,), "3 seconds").config(path).duration == "7 epochs"  # until the speed is known


def test_data_is_replaced_in_every_config(tmp_path):
    paths = (config_file(tmp_path, "a"), config_file(tmp_path, "b", '"cifar10", test_fraction=0.2'))
    data = (("name", "folder:pets"), ("data_dir", "sets"), ("skip_unreadable", True))
    for config in read_configs(Request(paths, data=data)).values():
        assert (config.data.name, config.data.data_dir, config.data.skip_unreadable) == ("folder:pets", "sets", True)


def test_configs_tested_on_different_images_are_refused(tmp_path):
    paths = (config_file(tmp_path, "a"), config_file(tmp_path, "b", '"cifar10", split_seed=3, load_size=8'))
    with pytest.raises(
        ValueError, match=r"(?s)a and b .*data.name: 'digits' and 'cifar10'.*split_seed: 0 and 3"
    ) as error:
        read_configs(Request(paths))
    assert "load_size" not in str(error.value)  # how large they are seen is the config's own affair


def test_what_was_asked_holds_the_files_contents(tmp_path):
    path = config_file(tmp_path, "a")
    before = asked(Request((path,)), read_configs(Request((path,))))
    path.write_text(path.read_text().replace("7 epochs", "8 epochs"))
    after = asked(Request((path,)), read_configs(Request((path,))))
    assert before["configs"]["a"]["duration"] == "7 epochs"
    assert after["configs"]["a"]["duration"] == "8 epochs"
