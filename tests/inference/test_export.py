"""An exported file computes what the model does, on every batch size; one that does not is not left behind."""

import json
import math
import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export
from PIL import Image

import vit_jax
from tests.inference.conftest import random_params
from vit_jax import cli
from vit_jax.inference import export as exporting
from vit_jax.inference.export import serialize
from vit_jax.inference.exported import load_exported
from vit_jax.inference.model_source import ModelSource
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.pretrained.load import Pretrained

NETWORKS = {
    "vit": ("vit_digits_patch2_8", dict(embed_dim=16, depth=1, num_heads=2, pool="map", num_registers=2)),
    "swin": (
        "swin_tiny_patch4_window7_224",
        dict(embed_dim=16, depths=(2, 1), num_heads=(1, 2), image_size=(24, 20), window_size=4),
    ),
    "swinv2": (
        "swinv2_tiny_window8_256",
        dict(embed_dim=16, depths=(1,), num_heads=(1,), image_size=16, window_size=4),
    ),
    "cnn": ("cnn_small_32", {}),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_is_exported_for_all_platforms_and_batch_sizes(network):
    """Parameters are inside; where a computation depends on the platform, each has its own."""
    name, fields = NETWORKS[network]
    model = vit_jax.create_model(name, **fields)
    params = random_params(model)
    program = jax_export.deserialize(bytearray(serialize(model, params, None)))
    assert program.platforms == ("cpu", "cuda", "tpu")
    images = np.random.default_rng(1).normal(size=(3, *model.input_shape)).astype(np.float32)
    expected = np.asarray(jax.jit(model.apply)({"params": params}, images))
    difference = np.abs(np.asarray(program.call(images)) - expected).max()
    assert difference <= 1e-5 * np.abs(expected).max()


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    """An exported model."""
    directory = tmp_path_factory.mktemp("exported")
    vit_jax.save_pretrained(directory / "model", *classifier)
    assert cli.main(["export", str(directory / "model"), str(directory / "out")]) == 0
    return directory / "out"


@pytest.fixture
def out(exported, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(exported, tmp_path / "out")


def test_the_command_writes_two_files_and_says_what_it_checked(classifier, save, tmp_path, capsys):
    assert cli.main(["export", save(classifier), str(tmp_path / "deep" / "out")]) == 0
    said = capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == [
        "model.stablehlo",
        "preprocessing.json",
    ]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert "checked batch 1" in said
    assert "checked batch 3" in said
    assert "jax.jit(program.call)(images)" in said


def test_the_description_is_enough_to_prepare_an_image(classifier, out):
    about = json.loads((out / "preprocessing.json").read_text())
    assert about["input"] == {"shape": ["b", 8, 8, 3], "dtype": "float32", "layout": "NHWC"}
    assert about["output"] == {"shape": ["b", 7], "dtype": "float32", "meaning": "logits"}
    assert about["class_names"] == list(classifier.class_names)
    assert about["versions"]["jax"] == jax.__version__
    steps = about["preprocessing"]
    transparent = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8))
    picture = Image.alpha_composite(Image.new("RGBA", (30, 20), "white"), transparent).convert("RGB")
    side = math.floor(8 / steps["crop_fraction"])
    resample = Image.Resampling[steps["interpolation"].upper()]
    resized = picture.resize((30 * side // 20, side), resample)
    assert steps["crop_rounding"] == "even"
    left, top = round((resized.width - 8) / 2), round((resized.height - 8) / 2)
    pixels = np.asarray(resized.crop((left, top, left + 8, top + 8)), np.float32) / 255
    expected = vit_jax.preprocessing(classifier.model)(transparent)
    np.testing.assert_allclose((pixels - steps["mean"]) / steps["std"], expected, atol=1e-5)
    assert steps["steps"][0] == "make the image RGB, 8 bits a channel, upright, on white where it is transparent"
    assert f"to cover {side} x {side} (bilinear" in steps["steps"][1]
    assert not steps["squash"]


def test_the_description_says_that_an_image_is_squashed():
    model = vit_jax.create_model(
        "vit_digits_patch2_8", embed_dim=16, depth=1, num_heads=2, preprocessing=Preprocessing(squash=True)
    )
    steps = exporting.describe(Pretrained(model, random_params(model), ()), b"", 4)["preprocessing"]
    assert steps["squash"]
    assert steps["steps"][1] == "scale it, whatever its shape, to 8 x 8 (bicubic, antialiased)"


def test_a_model_without_a_head_gives_features():
    model = vit_jax.create_model("vit_digits_patch2_8", embed_dim=16, depth=1, num_heads=2, num_classes=0)
    about = exporting.describe(Pretrained(model, random_params(model), ()), b"", 4)
    assert about["output"] == {"shape": [4, 16], "dtype": "float32", "meaning": "pooled features"}


@pytest.mark.parametrize("name", ["dino_pretraining_vit_cifar_patch4_32", "mae_cifar_patch4_32"])
def test_a_network_for_pre_training_gives_its_features(name):
    model = vit_jax.create_model(name, image_size=8, embed_dim=16, depth=1, num_heads=2)
    params = random_params(model)
    assert exporting.describe(Pretrained(model, params, ()), b"", 4)["output"]["shape"] == [4, 16]
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    program = jax_export.deserialize(bytearray(serialize(model, params, None)))
    expected = vit_jax.features(model, params, jnp.asarray(images)).pooled
    np.testing.assert_allclose(program.call(images), expected, rtol=1e-5, atol=1e-5)


def test_the_loaded_model_gives_the_model_s_logits(classifier, out):
    loaded = load_exported(out)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    expected = classifier.model.apply({"params": classifier.params}, images)
    np.testing.assert_allclose(loaded(images), expected, rtol=1e-5, atol=1e-5)
    assert loaded.description["class_names"] == list(classifier.class_names)


def test_the_usage_note_works_as_it_stands(classifier, out, monkeypatch):
    monkeypatch.chdir(out)
    usage = "\n".join(json.loads((out / "preprocessing.json").read_text())["usage"])
    names = {"given": np.ones((2, 8, 8, 3), np.float32)}
    exec(usage.replace("images = ...", "images = given"), names)
    expected = classifier.model.apply({"params": classifier.params}, names["given"])
    np.testing.assert_allclose(np.asarray(names["logits"]), expected, rtol=1e-5, atol=1e-5)


def test_a_fixed_batch_size_is_the_only_one(classifier, save, tmp_path, capsys):
    assert cli.main(["export", save(classifier), str(tmp_path / "out"), "--batch-size", "2"]) == 0
    assert "checked batch 2" in capsys.readouterr().out
    loaded = load_exported(tmp_path / "out")
    assert loaded.description["input"]["shape"] == [2, 8, 8, 3]
    assert loaded(jnp.zeros((2, 8, 8, 3))).shape == (2, 7)
    with pytest.raises(ValueError, match="shape"):
        loaded(jnp.zeros((3, 8, 8, 3)))


@pytest.mark.parametrize(("earlier", "wrong"), [(False, np.nan), (True, 1e-3)])
def test_a_file_that_computes_something_else_is_not_left_behind(
    classifier, exported, save, tmp_path, monkeypatch, capsys, earlier, wrong
):
    model = save(classifier)
    if earlier:
        shutil.copytree(exported, tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("out/*")}

    def changed(model, params, batch_size):
        params = {**params, "head": {**params["head"], "bias": params["head"]["bias"] + wrong}}
        return serialize(model, params, batch_size)

    monkeypatch.setattr(exporting, "serialize", changed)
    assert cli.main(["export", model, str(tmp_path / "out")]) == 2
    assert "does not compute what the model does" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("out/*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"][: 1 + earlier]


def test_the_directory_may_be_a_disk_of_its_own(classifier, save, tmp_path, monkeypatch):
    """As a mounted one, or a link to another: nothing is written beside it, from where it could not be moved there."""
    model, replaced, replace = ModelSource(save(classifier)), [], os.replace
    monkeypatch.setattr(exporting.os, "replace", lambda old, new: replaced.append((old, new)) or replace(old, new))
    (tmp_path / "out").mkdir()
    exporting.export(model, tmp_path / "out", None)
    assert len(replaced) == 2
    assert all(tmp_path / "out" in Path(old).parents for old, _ in replaced)


def test_a_full_disk_names_the_directory_and_leaves_nothing(classifier, save, tmp_path, monkeypatch, capsys):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    source = save(classifier)
    monkeypatch.setattr(Path, "write_bytes", no_space)
    assert cli.main(["export", source, str(tmp_path / "out")]) == 2
    assert f"No space left on device: '{tmp_path / 'out'}'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_flatbuffers_it_says_what_to_install(classifier, save, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    assert cli.main(["export", save(classifier), str(tmp_path / "out")]) == 2
    assert "pip install flatbuffers" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError, match="pip install flatbuffers"):
        load_exported(tmp_path / "out")


def test_a_damaged_or_missing_file_is_named(out):
    program = out / "model.stablehlo"
    whole = program.read_bytes()
    for damaged in (whole[:-1], b"", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        program.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.stablehlo is damaged"):
            load_exported(out)
    program.unlink()
    with pytest.raises(FileNotFoundError, match=r"has no model\.stablehlo"):
        load_exported(out)
    program.write_bytes(whole)
    (out / "preprocessing.json").write_text("{")
    with pytest.raises(ValueError, match=r"preprocessing\.json is damaged"):
        load_exported(out)
    (out / "preprocessing.json").write_text("{}")
    with pytest.raises(ValueError, match="does not describe a model"):
        load_exported(out)


def test_what_cannot_be_written_is_refused_before_any_work(classifier, save, tmp_path, monkeypatch, capsys):
    assert cli.main(["export", save(classifier), str(tmp_path / "out"), "--batch-size", "0"]) == 2
    monkeypatch.setattr(exporting, "LARGEST", 1000)
    assert cli.main(["export", save(classifier), str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert "--batch-size must be at least 1" in err
    assert "less than 2 GiB" in err
