"""The score is the model's: training's own figure on its own set, and counted by hand on another."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import vit_jax
from tests.inference.conftest import random_params
from vit_jax import cli
from vit_jax.data.dataset import DataConfig
from vit_jax.evaluation.accuracy import expected_calibration_error
from vit_jax.inference.evaluate import write_table
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.loop import train
from vit_jax.training.optimizer import ScheduleConfig
from vit_jax.training.progress import Display
from vit_jax.training.run import prepare


def as_json(capsys, *args):
    assert cli.main(["evaluate", *map(str, args), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a few steps on digits, divided in its own way, at another size than theirs; and what it reported."""
    fields = dict(
        embed_dim=16, depth=1, num_heads=2, image_size=10, preprocessing=vit_jax.Preprocessing((0.3,), (0.2,), 0.9)
    )
    data = DataConfig("digits", validation_fraction=0.2, test_fraction=0.3, split_seed=5)
    schedule = ScheduleConfig(warmup="1 steps")
    config = Config(
        ModelConfig("vit_digits_patch2_8", fields),
        data,
        schedule=schedule,
        duration="4 steps",
        batch_size=64,
        ema_decay=0.9,
    )
    run = prepare(config, tmp_path_factory.mktemp("run"))
    with open("/dev/null", "w") as nowhere:
        result = train(run, Display(Console(file=nowhere), run.total_steps))
    return run, result


def test_a_run_is_scored_as_it_reported(trained, capsys):
    run, result = trained
    score = as_json(capsys, run.workdir, "--data", "digits", "--batch-size", 64)
    reported = result.rows[-1]
    assert (reported["kind"], reported["final"]) == ("test", True)
    assert score["top1"] == reported["accuracy"]
    assert score["examples"] == reported["examples"] == len(run.dataset.test)
    assert score["loss"] == pytest.approx(reported["loss"], rel=1e-5)
    assert score["top1"] < score["top5"] < 1
    validation = as_json(capsys, run.workdir, "--data", "digits", "--split", "validation", "--batch-size", 200)
    reported = [row for row in result.rows if row["kind"] == "validation"][-1]
    assert (validation["top1"], validation["examples"]) == (reported["accuracy"], reported["examples"])
    assert validation["loss"] == pytest.approx(reported["loss"], rel=1e-5)  # of the moving average, as it is kept


@pytest.fixture
def folder(tmp_path, classifier):
    """Five images of each of the classifier's classes, in the order of their names."""
    random = np.random.default_rng(0)
    for name in classifier.class_names:
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(5):
            pixels = random.integers(0, 256, (10, 10, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{i}.png")
    return tmp_path / "set"


def by_hand(classifier, folder, names):
    """Top-1, top-5 and loss over the folder for outputs that mean `names`, image by image."""
    preprocess = vit_jax.preprocessing(classifier.model)
    files = sorted(folder.glob("*/*.png"))
    images = np.stack([preprocess(Image.open(file)) for file in files])
    logits = np.asarray(classifier.model.apply({"params": classifier.params}, images), np.float64)
    labels = np.array([names.index(file.parent.name) for file in files])
    of_label = logits[np.arange(len(labels)), labels]
    better = (logits > of_label[:, None]).sum(-1)
    loss = np.log(np.exp(logits).sum(-1)) - of_label
    return (better == 0).mean(), (better < 5).mean(), loss.mean()


@pytest.mark.parametrize("batch_size", [8, 128])  # 35 images: some batches are filled up
def test_a_score_is_what_counting_gives(classifier, save, folder, capsys, batch_size):
    score = as_json(
        capsys, save(classifier), "--data", f"folder:{folder}", "--split", "all", "--batch-size", batch_size
    )
    top1, top5, loss = by_hand(classifier, folder, list(classifier.class_names))
    assert (score["examples"], score["top1"], score["top5"]) == (35, pytest.approx(top1), pytest.approx(top5))
    assert score["loss"] == pytest.approx(loss, rel=1e-5)
    assert "the same" in score["classes"]


def test_a_network_without_finite_outputs_has_no_score(diverged, save, folder, capsys):
    assert cli.main(["evaluate", save(diverged), "--data", f"folder:{folder}", "--format", "json"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "the outputs for 35 of 35 images are not finite" in err


def test_classes_in_another_order_are_matched_by_name(classifier, save, folder, capsys):
    names = ("gnu", "ant", "fox", "bee", "elk", "cat", "dog")
    score = as_json(capsys, save(classifier, names), "--data", f"folder:{folder}", "--split", "all")
    top1, _, loss = by_hand(classifier, folder, names)
    assert (score["top1"], score["loss"]) == (pytest.approx(top1), pytest.approx(loss, rel=1e-5))
    assert loss != pytest.approx(by_hand(classifier, folder, classifier.class_names)[2], rel=1e-3)
    assert "matched by name" in score["classes"]


def test_other_classes_are_refused(classifier, save, folder, capsys):
    names = ("ant", "bee", "cat", "dog", "elk", "fox", "yak")
    assert cli.main(["evaluate", save(classifier, names), "--data", f"folder:{folder}"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "only the model's: 'yak'" in err
    assert "--classes number" in err


def test_classes_of_other_names_are_taken_in_their_order_where_that_is_asked_for(classifier, save, folder, capsys):
    args = ["--data", f"folder:{folder}"]
    score = as_json(capsys, save(classifier, tuple("ABCDEFG")), *args, "--classes", "number")
    assert score["top1"] == pytest.approx(by_hand(classifier, folder, list(classifier.class_names))[0])
    assert "by number, whatever the model calls them: 'ant' is its 'A'" in score["classes"]
    assert cli.main(["evaluate", save(classifier), *args, "--how", "knn", "--classes", "number"]) == 2
    assert "--classes number goes with the model's own answers, not with --how knn" in capsys.readouterr().err


def test_a_set_with_some_of_the_classes_is_scored_among_all(classifier, save, folder, capsys):
    for name in ("ant", "dog", "elk"):
        shutil.rmtree(folder / name)
    score = as_json(capsys, save(classifier), "--data", f"folder:{folder}")
    top1, top5, _ = by_hand(classifier, folder, list(classifier.class_names))
    assert (score["examples"], score["top1"], score["top5"]) == (20, pytest.approx(top1), pytest.approx(top5))
    assert "the set has 4 of the model's 7" in score["classes"]


def test_the_table_says_what_was_scored_and_how(classifier, save, folder, capsys):
    assert cli.main(["evaluate", save(classifier, ()), "--data", f"folder:{folder}", "--split", "all"]) == 0
    out = capsys.readouterr().out
    accuracies = "top-1 accuracy", "balanced accuracy", "top-5 accuracy"
    assert all(part in out for part in ("images", "35", *accuracies, "calibration error", "mean loss", "images/s"))
    assert "by number only" in out


def test_a_new_folder_is_scored_whole_and_the_table_says_so(classifier, save, folder, capsys):
    assert cli.main(["evaluate", save(classifier), "--data", f"folder:{folder}"]) == 0
    out = capsys.readouterr().out
    assert " all) " in " ".join(out.split())
    assert f"every image of {folder}, which is not divided" in out
    assert as_json(capsys, save(classifier), "--data", f"folder:{folder}")["split"] == "all"


@pytest.mark.parametrize("how", ["classes", "knn"])
def test_flags_about_the_data_reach_them(how, classifier, save, folder, tmp_path, capsys):
    (folder / "ant" / "broken.png").touch()
    ways = [save(classifier), "--split", "test", "--how", how]
    assert cli.main(["evaluate", *ways, "--data", f"folder:{folder}"]) == 2
    assert "broken.png" in capsys.readouterr().err
    score = as_json(capsys, *ways, "--data", f"folder:{folder}", "--skip-unreadable")
    assert score["examples"] == 7
    assert any("broken.png" in note for note in score["notes"])
    assert cli.main(["evaluate", *ways, "--data", "tfds:nothing", "--data-dir", str(tmp_path / "sets")]) == 2
    assert f"tfds:nothing is not prepared in {tmp_path / 'sets'}" in capsys.readouterr().err


def test_a_folder_s_name_is_shown_as_it_is(capsys):
    write_table({"images": "3 (folder:pictures [new]/[/c], test)"}, [])
    assert "folder:pictures [new]/[/c], test" in capsys.readouterr().out


def test_a_frequent_class_counts_no_more_in_the_balanced_accuracy(classifier, save, folder, capsys):
    for name in classifier.class_names[1:]:
        (folder / name / "0.png").unlink()
    score = as_json(capsys, save(classifier), "--data", f"folder:{folder}", "--split", "all")
    preprocess = vit_jax.preprocessing(classifier.model)
    of_classes = []
    for label, name in enumerate(classifier.class_names):
        images = np.stack([preprocess(Image.open(file)) for file in (folder / name).iterdir()])
        logits = np.asarray(classifier.model.apply({"params": classifier.params}, images))
        of_classes.append(np.mean(logits.argmax(-1) == label))
    assert score["balanced_accuracy"] == pytest.approx(np.mean(of_classes))
    assert score["balanced_accuracy"] != pytest.approx(score["top1"], abs=1e-4)


def test_the_calibration_error_is_that_of_the_most_probable_classes(classifier, save, folder, capsys):
    score = as_json(capsys, save(classifier), "--data", f"folder:{folder}")
    preprocess, files = vit_jax.preprocessing(classifier.model), sorted(folder.glob("*/*.png"))
    images = np.stack([preprocess(Image.open(file)) for file in files])
    logits = np.asarray(classifier.model.apply({"params": classifier.params}, images), np.float64)
    confidence = 1 / np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)
    right = np.array([classifier.class_names[i] for i in logits.argmax(-1)]) == [file.parent.name for file in files]
    assert score["calibration_error"] == pytest.approx(expected_calibration_error(confidence, right), abs=1e-5)
    assert score["calibration_error"] > 0.1


def test_five_classes_have_no_top_5(capsys, tmp_path):
    """And a model of grey images takes coloured ones."""
    model = vit_jax.create_model("vit_digits_patch2_8", embed_dim=8, depth=1, num_heads=1, num_classes=2)
    vit_jax.save_pretrained(tmp_path / "model", model, random_params(model), ("a", "b"))
    for name in "aabb":
        path = tmp_path / "set" / name
        path.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(path / f"{len(list(path.iterdir()))}.png")
    score = as_json(capsys, tmp_path / "model", "--data", f"folder:{tmp_path / 'set'}", "--split", "all")
    assert score["top5"] is None
    assert score["top1"] == 0.5
