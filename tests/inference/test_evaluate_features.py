"""`vit-jax evaluate --how knn|probe|few-shot`: any network, judged by its features."""

import json

import numpy as np
import pytest

import vit_jax
from tests.models.cases import random_params
from vit_jax import cli
from vit_jax.data.dataset import DataConfig
from vit_jax.data.sources import load_dataset
from vit_jax.evaluation.nearest_neighbours import nearest_neighbour_votes


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


def test_neighbours_are_those_of_the_features(saved, capsys):
    score = as_json(capsys, saved, "--data", "digits", "--how", "knn", "--batch-size", 100)
    dataset = load_dataset(DataConfig("digits"))
    model, params = vit_jax.load_pretrained(saved)
    preprocess = vit_jax.preprocessing(model)

    def features_of(source):
        images, labels = source.as_arrays()
        return np.asarray(vit_jax.features(model, params, np.stack([preprocess(x) for x in images])).pooled), labels

    (known, labels), (judged, expected) = features_of(dataset.train), features_of(dataset.test)
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
    assert (few["shots"], len(few["accuracies"])) == (10, 5)


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
    assert "the outputs for 1,438 of 1,438 images are not finite" in err
