"""`vit-jax evaluate --how knn|probe|few-shot`: any network, judged by its features."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vit_jax
from tests.models.cases import random_params
from vit_jax import cli
from vit_jax.data.dataset import ArraySource, DataConfig
from vit_jax.data.folder import FolderSource
from vit_jax.data.sources import load_dataset
from vit_jax.data.splits import some_of
from vit_jax.evaluation import judge
from vit_jax.evaluation.few_shot import draw_few, few_shot
from vit_jax.evaluation.nearest_neighbours import nearest_neighbour_votes
from vit_jax.inference import evaluate_features
from vit_jax.inference.evaluation_data import load_evaluation_data


def as_json(capsys, *args):
    assert cli.main(["evaluate", *map(str, args), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module", params=["mae_cifar_patch2_32", "vit_digits_patch2_8"])
def saved(request, tmp_path_factory):
    """A pre-training network and a classifier, of random parameters."""
    fields = dict(
        image_size=8, embed_dim=16, depth=1, num_heads=2, in_channels=1, preprocessing=vit_jax.Preprocessing()
    )
    if request.param.startswith("mae"):
        fields |= dict(decoder_embed_dim=8, decoder_depth=1, decoder_num_heads=2)
    model = vit_jax.create_model(request.param, **fields)
    folder = tmp_path_factory.mktemp("model")
    vit_jax.save_pretrained(folder, model, random_params(model, 0))
    return folder


def by_hand(saved):
    """The features and labels of digits: those to learn from, and those to judge."""
    dataset = load_dataset(DataConfig("digits"))
    model, params = vit_jax.load_pretrained(saved)
    preprocess = vit_jax.preprocessing(model)

    def features_of(source):
        images, labels = source.as_arrays()
        return np.asarray(vit_jax.features(model, params, np.stack([preprocess(x) for x in images])).pooled), labels

    return features_of(dataset.train), features_of(dataset.test)


def test_neighbours_are_those_of_the_features(saved, capsys):
    score = as_json(capsys, saved, "--data", "digits", "--how", "knn", "--batch-size", 100)
    (known, labels), (judged, expected) = by_hand(saved)
    votes = nearest_neighbour_votes(known, labels, judged, 10)
    assert score["accuracy"] == pytest.approx(np.mean(votes.argmax(1) == expected), abs=0.006)  # two images of 359
    assert score["split"] == "test"
    assert (score["examples"], score["learned_from"], score["k"]) == (len(expected), len(labels), 20)
    assert score["accuracy"] > 0.3  # random features of digits tell something


def test_probe_and_few_shot(saved, capsys):
    probe = as_json(capsys, saved, "--data", "digits", "--how", "probe")
    few = as_json(capsys, saved, "--data", "digits", "--how", "few-shot")
    assert probe["accuracy"] > 0.5
    assert probe["strength"] in [strength for strength, _ in probe["validation"]]
    assert 0.2 < few["accuracy"] < probe["accuracy"]
    assert few["shots"] == 10


def test_few_shot_reads_no_more_than_it_draws(saved, capsys, monkeypatch):
    """And the figures are those of draws from all."""
    read, get = [], ArraySource.__getitem__
    monkeypatch.setattr(ArraySource, "__getitem__", lambda self, index: read.append(index) or get(self, index))
    few = as_json(capsys, saved, "--data", "digits", "--how", "few-shot", "--batch-size", 50)
    known, judged = by_hand(saved)
    drawn = draw_few(known[1], shots=10)
    assert few["learned_from"] == len(np.unique(drawn)) < 5 * 10 * 10
    assert len(read) < few["learned_from"] + 50 + few["examples"] + 50  # the last batches are filled up
    assert few["accuracies"] == pytest.approx(few_shot(*known, *judged, drawn), abs=0.006)


def test_few_shot_draws_anew_where_images_have_vanished(classifier, save, tmp_path, monkeypatch, capsys):
    """From those that it can read, and that it had drawn before."""
    random = np.random.default_rng(0)
    for split, count in (("train", 80), ("test", 2)):
        for name in ("ant", "bee"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for i in range(count):
                picture = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
                picture.save(tmp_path / "set" / split / name / f"{i:02}.png")
    only_drawn = evaluate_features.only_drawn

    def vanishing(training):
        few, drawn = only_drawn(training)
        (source,) = few.sources
        assert isinstance(source, FolderSource)
        Path(source.files[0]).unlink()
        return few, drawn

    monkeypatch.setattr(evaluate_features, "only_drawn", vanishing)
    args = [save(classifier), "--data", f"folder:{tmp_path / 'set'}", "--how", "few-shot", "--skip-unreadable"]
    assert cli.main(["evaluate", *args, "--format", "json"]) == 0
    out, err = capsys.readouterr()
    score = json.loads(out)
    assert "left out, as skip_unreadable says" in err
    assert 20 < score["learned_from"] < 100
    assert len(score["accuracies"]) == 5


@pytest.mark.parametrize("how", ["knn", "probe", "few-shot"])
def test_fewer_training_images_are_drawn_before_they_are_read(how, saved, capsys, monkeypatch):
    embedded, features_of = [], evaluate_features.features_of
    monkeypatch.setattr(evaluate_features, "features_of", lambda *args: embedded.append(args[2]) or features_of(*args))
    score = as_json(capsys, saved, "--data", "digits", "--how", how, "--examples", 300)
    drawn = some_of(load_dataset(DataConfig("digits")).train, 300)
    taken = drawn.labels if how != "few-shot" else drawn.labels[np.unique(draw_few(drawn.labels, shots=10))]
    np.testing.assert_array_equal(embedded[0].sources[0].labels, taken)
    assert score["learned_from"] == len(taken)
    assert "300 of the 1,438 training images are there to learn from, drawn at random" in score["notes"]


def test_more_examples_than_there_are_are_all(saved, capsys):
    score = as_json(capsys, saved, "--data", "digits", "--how", "knn", "--examples", 9999)
    assert score["learned_from"] == 1438
    assert not any("to learn from" in note for note in score["notes"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--how", "knn", "--examples", "0"], "--examples must be at least 1, not 0"),
        (["--examples", "5"], "--examples are training images to learn from, and go with --how knn, probe or few-shot"),
    ],
)
def test_examples_that_mean_nothing_are_refused(args, message, saved, capsys):
    assert cli.main(["evaluate", str(saved), "--data", "digits", *args]) == 2
    assert message in capsys.readouterr().err


def test_a_class_with_too_few_images_is_refused_before_any_is_embedded(saved, capsys, monkeypatch):
    monkeypatch.setattr(evaluate_features, "features_of", lambda *_: pytest.fail("embedded"))
    monkeypatch.setitem(judge.NEEDED, "few-shot", 10_000)
    assert cli.main(["evaluate", str(saved), "--data", "digits", "--how", "few-shot"]) == 2
    assert "few-shot needs 10000 images of each class" in capsys.readouterr().err


def test_the_table_says_how(saved, capsys):
    assert cli.main(["evaluate", str(saved), "--data", "digits", "--how", "knn"]) == 0
    shown = capsys.readouterr().out
    assert "the 20 nearest of 1,438 training images" in shown
    assert "accuracy" in shown


def test_training_images_are_not_judged(saved, capsys):
    assert cli.main(["evaluate", str(saved), "--data", "digits", "--how", "knn", "--split", "train"]) == 2
    assert "learns from the training images" in capsys.readouterr().err


def test_features_that_are_not_finite_are_not_judged(diverged, save, capsys):
    assert cli.main(["evaluate", save(diverged), "--data", "digits", "--how", "knn"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "the outputs for 128 of 128 images are not finite" in err  # at the first batch


class WideFeatures:
    """Stands for a compiled network whose features are wide: each is the sum of an image's pixels."""

    batch_size, width = 100, 5_000

    def __call__(self, batch):
        sums = batch["image"].sum((1, 2, 3)).astype(np.float32)
        return {"feature": np.repeat(sums[:, None], self.width, axis=1)}


def test_features_are_in_memory_once(saved, monkeypatch):
    """Of a million images they are gigabytes."""
    monkeypatch.setattr(evaluate_features, "compile_for_rows", lambda *_: WideFeatures())
    model, params = vit_jax.load_pretrained(saved)
    data = load_evaluation_data("nothing", model, "digits", "train", None, False)
    tracemalloc.start()
    try:
        features, labels = evaluate_features.features_of(model, params, data, 100, "")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    images, expected = load_dataset(DataConfig("digits")).train.as_arrays()
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(features[:, -1], images.sum((1, 2, 3)))
    assert features.shape == (1438, WideFeatures.width)
    assert peak < 1.3 * features.nbytes
