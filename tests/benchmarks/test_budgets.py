"""Protects what is said of runs of several lengths: whose speed counts, and that the drawing shows every run."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex

from benchmarks.budgets import RUNS, by_length, draw, read_runs, read_speeds, table

RUN = [
    {"kind": "train", "epoch": 1.0, "accuracy": 0.4},
    {"kind": "test", "epoch": 1.0, "accuracy": 0.5},
    {"kind": "train", "epoch": 6.0, "accuracy": 0.7},
    {"kind": "test", "epoch": 6.0, "accuracy": 0.625, "final": True},
]


@pytest.fixture
def directory(tmp_path):
    """A run of 10 minutes, a second seed and one of 30."""

    def other(epochs, more):
        return [{**row, "epoch": epochs * row["epoch"], "accuracy": row["accuracy"] + more} for row in RUN]

    for name, rows in (("30_0", other(3, 0.1)), ("10_1", other(1, -0.01)), ("10_0", RUN)):
        (tmp_path / f"vit_small_{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return tmp_path


def test_minutes_are_counted_at_the_speed_that_a_comparison_found(directory, tmp_path):
    runs = read_runs(directory)
    assert [(run.config, run.budget, run.seed) for run in runs] == [
        ("vit_small", 10, 0), ("vit_small", 10, 1), ("vit_small", 30, 0),
    ]  # fmt: skip
    comparison = tmp_path / "comparison.csv"
    comparison.write_text("config,seed,images_per_second\nvit_small,0,500.0\n")
    assert table(runs, read_speeds(comparison)).splitlines()[2:] == [
        "| vit_small | 6.0 | 10.0 | 62.50%, 61.50% |",
        "| vit_small | 18.0 | 30.0 | 72.50% |",
    ]


def test_a_directory_without_runs_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no runs, CONFIG_MINUTES_SEED\.jsonl"):
        read_runs(tmp_path)


@pytest.mark.parametrize("which", ["made up", "kept"])
def test_every_run_is_drawn_and_the_same_ones_alike(which, directory, tmp_path):
    runs = read_runs(directory if which == "made up" else RUNS)
    speeds = {"vit_small": 500.0} | read_speeds()
    texts = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        draw(runs, speeds, tmp_path / name / "drawing.svg")
        texts.append((tmp_path / name / "drawing.svg").read_text())
    assert texts[0] == texts[1]
    ElementTree.fromstring(texts[0])
    lines = sum(texts[0].count(f"fill: none; stroke: {to_hex(f'C{place}')}") for place in range(10))
    assert lines == len(runs) + len({run.config for run in runs})  # and the legend's
    for alike in by_length(runs):
        assert f"{np.mean([run.tests[-1, 1] for run in alike]):.1%}" in texts[0]
