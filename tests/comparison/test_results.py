"""Protects the table: every figure is read from the runs, in the unit that its column names."""

import csv
import json
import statistics

import numpy as np
import pytest

from tests.comparison.conftest import FIELDS
from vit_jax.comparison.plan import run_workdir
from vit_jax.comparison.results import read_results, training_clock, write_csv
from vit_jax.inspection.cost import cost
from vit_jax.models.registry import create_model


def test_figures_of_the_runs_and_their_configs(finished):
    one, two = read_results(*finished)
    assert (one.name, two.name) == ("one_digits", "two_digits")
    assert one.cost == cost(create_model("vit_digits_patch2_8", depth=1, **FIELDS))
    assert two.cost.parameters > one.cost.parameters
    assert [(run.seed, run.accuracy) for run in two.runs] == [(0, 0.8), (1, 0.9)]
    first = one.runs[0]
    assert (first.steps, first.epochs, first.wall_seconds, first.peak_memory) == (40, 2.0, 50.0, 100 * 10**6)
    # 500 images at the median of 100 and 50 a second, then 500 at 100, then 1000 at 50
    assert first.training_seconds == pytest.approx(500 / 75 + 5 + 20)
    assert first.seconds_per_epoch == pytest.approx(first.training_seconds / 2)
    assert first.images_per_second == pytest.approx(2000 / first.training_seconds)
    assert one.mean("peak_memory") == 150 * 10**6


def test_the_spread_is_the_samples(finished):
    one, _ = read_results(*finished)
    assert one.accuracy_text == f"55.00 ± {statistics.stdev([50, 60]):.2f}%" == "55.00 ± 7.07%"


def test_one_seed_has_no_spread(finished):
    workdir, plan = finished
    (run_workdir(workdir, "one_digits", 1) / "metrics.jsonl").write_text('{"kind": "train", "step": 1, "loss": 2}\n')
    one, two = read_results(workdir, plan)
    assert one.accuracy_text == "50.00%"
    assert len(two.runs) == 2


def test_a_config_without_a_finished_run_is_left_out(finished):
    workdir, plan = finished
    for seed in (0, 1):
        (run_workdir(workdir, "one_digits", seed) / "metrics.jsonl").unlink()
    assert [result.name for result in read_results(workdir, plan)] == ["two_digits"]


def test_memory_is_that_of_the_precision_trained_with(finished):
    """A model on disk has no precision, and is float32 where nothing else is said."""
    workdir, plan = finished
    before = read_results(workdir, plan)[0].cost
    path = run_workdir(workdir, "one_digits", 0) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dtype": "bfloat16"}))
    after = read_results(workdir, plan)[0].cost
    assert after.activation_bytes < 0.8 * before.activation_bytes
    assert after.multiply_adds == before.multiply_adds


def test_a_run_too_short_for_a_measured_speed_has_none():
    rows = [{"kind": "train", "step": 3, "images_per_second": None}]
    clock = training_clock(rows, batch_size=2)
    assert clock[0].tolist() == [0, 3]
    assert np.isnan(clock[1, -1])


def test_the_csv_has_a_row_of_plain_numbers_for_each_run(finished, tmp_path):
    write_csv(tmp_path / "comparison.csv", read_results(*finished))
    rows = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert [(row["config"], row["seed"]) for row in rows] == [
        ("one_digits", "0"), ("one_digits", "1"), ("two_digits", "0"), ("two_digits", "1")
    ]  # fmt: skip
    assert [float(row["test_accuracy_percent"]) for row in rows] == [50, 60, 80, 90]
    for row in rows:
        assert all(float(value) >= 0 for name, value in row.items() if name not in ("config", "model"))
    assert rows[0]["peak_memory_bytes"] == "100000000"
    assert float(rows[0]["seconds_per_epoch"]) == pytest.approx(float(rows[0]["training_seconds"]) / 2, abs=1e-3)


def test_a_fine_tuned_network_is_called_by_its_source(finished):
    workdir, plan = finished
    path = run_workdir(workdir, "one_digits", 0) / "config.json"
    model = {"name": "", "fields": {}, "pretrained": "facebook/deit-tiny-patch16-224"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": model}))
    assert [result.model for result in read_results(workdir, plan)] == [
        "deit-tiny-patch16-224, fine-tuned",
        "vit_digits_patch2_8",
    ]
