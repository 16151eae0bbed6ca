"""Pre-training on a folder of images without labels: nothing is measured by classes, all else is as with them."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import vit_jax
from tests.training.pretraining_steps import MAE
from vit_jax.comparison.decide import check_measurable
from vit_jax.data.dataset import DataConfig
from vit_jax.inspection.run_report import strips, summarise, summary, write_run_report
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding
from vit_jax.training.config import ModelConfig
from vit_jax.training.description import describe
from vit_jax.training.run import prepare


@pytest.fixture(scope="module")
def config(small_config, tmp_path_factory):
    photos = tmp_path_factory.mktemp("photos")
    (photos / "2025" / "summer").mkdir(parents=True)
    for i in range(60):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(photos / ("2025/summer", "2025", ".")[i % 3] / f"{i}.png")
    return dataclasses.replace(
        small_config,
        model=ModelConfig("mae_cifar_patch2_32", MAE),
        data=DataConfig(f"folder:{photos}", labels=False, load_size=8, test_fraction=0.1),
        augment=(),
        objective=MaskedAutoencoding(),
        batch_size=16,
        duration="12 steps",
        evaluate_every="4 steps",
        log_every="4 steps",
        checkpoint_every="8 steps",
    )


@pytest.fixture(scope="module")
def trained(config, run_to_end, tmp_path_factory):
    return run_to_end(config, tmp_path_factory.mktemp("unlabelled"))


def test_it_learns_from_all_images_and_judges_by_no_class(trained):
    run, result, lines = trained
    assert (len(run.dataset.train), len(run.dataset.test), run.dataset.class_names) == (54, 6, ())
    assert result.test is None
    rows = [json.loads(line) for line in (run.workdir / "metrics.jsonl").read_text().splitlines()]
    assert [(row["kind"], row["step"]) for row in rows] == [("train", 4), ("train", 8), ("train", 12), ("end", 12)]
    assert rows[-1]["final"]
    assert rows[-1]["peak_memory"] > 0
    assert not any("accuracy" in line for line in lines)
    assert any("54 training, 6 test images of 8x8x3, without labels" in line for line in describe(run))


def test_its_updates_may_be_accumulated(config, run_to_end, tmp_path):
    """Labels of no classes are split, too."""
    _, result, _ = run_to_end(dataclasses.replace(config, accumulate_steps=2), tmp_path)
    assert result.rows[-1]["step"] == 12
    assert np.isfinite(result.rows[0]["loss"])


def test_its_report_shows_held_out_images_and_no_matrix(trained):
    run, result, _ = trained
    shown = strips(run, result)
    assert shown is not None
    held_out = [run.dataset.test[i][0] for i in range(len(run.dataset.test))]
    assert all(any(np.array_equal(image, one) for one in held_out) for image, *_ in shown.images)
    path = write_run_report(run, result, "python train.py")
    page = path.read_text()
    assert [f'<section id="{title}">' in page for title in ("reconstructions", "attention")] == [True, True]
    assert "Confusion" not in page
    assert "Training loss" in page
    assert "trained without labels on 54 images" in summarise(run, result, path)[1]


def test_its_report_is_written_whatever_was_skipped(trained):
    """A row of skipped updates alone has no loss."""
    run, result, _ = trained
    rows = [dict(row, loss=None) if row["step"] == 12 and row["kind"] == "train" else row for row in result.rows]
    figures = summary(run, dataclasses.replace(result, rows=rows))
    assert figures["Training loss"] == f"{result.rows[1]['loss']:.4f}"
    assert summary(run, dataclasses.replace(result, rows=rows[-1:]))["Training loss"] == "none"


def test_its_model_is_loaded_and_goes_on(trained, config, small_config, tmp_path):
    run, result, _ = trained
    model, params = vit_jax.load_pretrained(run.workdir)
    assert isinstance(model, MaskedAutoencoder)
    np.testing.assert_array_equal(params["decoder"]["mask_token"], result.params["decoder"]["mask_token"])
    assert "the images are those of the run's beginning" in prepare(config, run.workdir).dataset.notes[-1]


def test_killed_it_comes_to_the_same(config, run_to_end, cut_off, trained, tmp_path):
    _, expected, _ = trained
    cut_off(config, tmp_path, 9)
    _, result, _ = run_to_end(config, tmp_path)
    np.testing.assert_array_equal(result.params["decoder"]["mask_token"], expected.params["decoder"]["mask_token"])
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert kinds == ["train", "train", "train", "end"]


def test_what_needs_labels_is_refused(trained, config, small_config, tmp_path):
    run, _, _ = trained
    with pytest.raises(ValueError, match=r"read without labels \(data.labels False\): there are no classes to learn"):
        prepare(dataclasses.replace(small_config, data=config.data), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match=r"has no labels .*nothing to compare by"):
        check_measurable(run)
    with pytest.raises(ValueError, match=r"judge_features needs classes; .* is read without labels"):
        prepare(dataclasses.replace(config, judge_features=("probe",)), tmp_path / "run")
