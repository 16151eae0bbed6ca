"""Commands use a network at the size that is asked for, as `vit_jax.load_pretrained` resizes it."""

import json

import numpy as np
import pytest
from PIL import Image

import vit_jax
from vit_jax import cli
from vit_jax.inspection.attention_picture import GAP

SIZE = ["--image-size", "12", "16"]


@pytest.fixture
def photo(tmp_path):
    """Of class "ant", in a set with another of class "bee"."""
    random = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8)).save(tmp_path / "set" / name / "photo.png")
    return tmp_path / "set" / "ant" / "photo.png"


def logits(source, photo):
    """By hand, [7]."""
    model, params = vit_jax.load_pretrained(source, image_size=(12, 16))
    return np.asarray(model.apply({"params": params}, vit_jax.preprocessing(model)(Image.open(photo))[None]))[0]


def test_predict_takes_a_size(classifier, save, photo, capsys):
    source = save(classifier)
    assert cli.main(["predict", source, str(photo), "--top", "7", "--format", "json", *SIZE]) == 0
    found = {one["index"]: one["probability"] for one in json.loads(capsys.readouterr().out)[0]["classes"]}
    expected = np.exp(logits(source, photo)) / np.exp(logits(source, photo)).sum()
    np.testing.assert_allclose([found[index] for index in range(7)], expected, atol=1e-5)


def test_evaluate_takes_a_size(classifier, save, photo, capsys):
    source, folder = save(classifier), photo.parents[1]
    assert cli.main(["evaluate", source, "--data", f"folder:{folder}", "--format", "json", *SIZE]) == 0
    of_each = [logits(source, folder / name / "photo.png") for name in ("ant", "bee")]
    loss = np.mean([np.log(np.exp(one).sum()) - one[label] for label, one in enumerate(of_each)])
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(loss, rel=1e-4)


def test_export_takes_a_size(classifier, save, tmp_path, capsys):
    pytest.importorskip("flatbuffers")
    assert cli.main(["export", save(classifier), str(tmp_path / "out"), "--batch-size", "1", *SIZE]) == 0
    description = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert description["input"]["shape"] == [1, 12, 16, 3]


def test_attention_takes_a_size(classifier, save, photo, tmp_path, capsys):
    assert cli.main(["attention", save(classifier), str(photo), str(tmp_path / "out.png"), *SIZE]) == 0
    picture = Image.open(tmp_path / "out.png")
    assert (picture.width - GAP) / 2 / picture.height == pytest.approx(16 / 12)


def test_publisher_and_revision_reach_the_weights(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def open_stored(*args, **named):
        asked.append((args, named))
        raise ValueError("not there")

    monkeypatch.setattr("vit_jax.pretrained.load.open_stored", open_stored)
    options = ["--publisher", "dino", "--revision", "main", "--image-size", "96"]
    assert cli.main(["evaluate", "somebody/vit", "--data", "digits", *options]) == 2
    assert asked == [(("somebody/vit",), {"publisher": "dino", "revision": "main", "image_size": 96})]
