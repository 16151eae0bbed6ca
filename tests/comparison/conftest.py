"""A comparison that is finished, without the training: two configs, two seeds, known figures."""

import json
from pathlib import Path

import pytest

from vit_jax.comparison.plan import Entry, Plan, run_workdir, write_plan
from vit_jax.models.registry import create_model
from vit_jax.pretrained.native import save_native
from vit_jax.training.config import Config, ModelConfig, to_json

FIELDS = dict(embed_dim=16, num_heads=2, pool="avg")
ENTRY = Entry(
    changes={"duration": "40 steps"},
    steps=40,
    seconds_per_step=None,
    notes=["pictures <of> digits"],
    images={"class_names": list("0123456789"), "test": {"examples": 200}},
    machine={"Machine": "1 x cpu, 2 processor cores", "Versions": "Python 3, jax 0"},
)
ACCURACIES = {"one_digits": (0.5, 0.6), "two_digits": (0.8, 0.9)}


def write_run(workdir: Path, depth: int, accuracy: float, speed: float, dtype: str = "float32") -> None:
    """What a run of 40 steps of 50 images leaves: its first row is of the compiled dispatch alone, without a speed."""
    workdir.mkdir(parents=True)
    config = {"model": {"name": "vit_digits_patch2_8", "fields": {**FIELDS, "depth": depth}}}
    (workdir / "config.json").write_text(json.dumps({**config, "batch_size": 50, "dtype": dtype}))
    train = dict(kind="train", accuracy=0.1, learning_rate=1e-3)
    test = dict(kind="test", loss=1.0, examples=200)
    rows = [
        dict(**train, step=10, epoch=0.5, loss=2.0, images_per_second=None, seconds=9.0),
        dict(**train, step=20, epoch=1.0, loss=1.5, images_per_second=speed, seconds=19.0),
        dict(**test, step=20, epoch=1.0, accuracy=accuracy / 2, seconds=20.0),
        dict(**train, step=40, epoch=2.0, loss=1.0, images_per_second=speed / 2, seconds=40.0),
        dict(**test, step=40, epoch=2.0, accuracy=accuracy, seconds=50.0, final=True, peak_memory=int(speed) * 10**6),
    ]
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    save_native(workdir / "model", create_model("vit_digits_patch2_8", depth=depth, **FIELDS), {})
    (workdir / "report.html").write_text("")


@pytest.fixture
def finished(tmp_path):
    """The workdir and the plan."""
    configs = dict.fromkeys(ACCURACIES, to_json(Config(ModelConfig("vit_digits_patch2_8"))))
    plan = Plan(
        asked={"budget": "2 epochs", "seeds": 2, "configs": configs},
        command="vit-jax compare one_digits.py two_digits.py",
        date="2026-01-02",
        entries=dict.fromkeys(ACCURACIES, ENTRY),
    )
    write_plan(tmp_path, plan)
    for depth, (name, accuracies) in enumerate(ACCURACIES.items(), 1):
        for seed, accuracy in enumerate(accuracies):
            write_run(run_workdir(tmp_path, name, seed), depth, accuracy, speed=100.0 * (1 + seed))
    return tmp_path, plan
