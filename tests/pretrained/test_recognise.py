"""Whose weights a file holds: told by names, whatever wraps them, or refused with what it holds instead."""

import json
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import vit_jax
from tests.pretrained.pretraining_cases import PRETRAINING_CASES, write_authors
from tests.pretrained.publisher_cases import CASES, VIT, draw, golden_shapes, write
from vit_jax.models.preprocessing import IMAGENET_MEAN
from vit_jax.pretrained.recognise import recognise
from vit_jax.pretrained.weight_files import open_weights


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """A small network by timm's names."""
    return draw(golden_shapes()["timm"], seed=0)


def saved(arrays: dict[str, np.ndarray], path: Path) -> Path:
    """A file without a config."""
    return write(CASES["timm_without_config"], arrays, path)


PREFIXES = (
    *("module.", "_orig_mod.", "module._orig_mod.", "backbone.", "net.", "base_encoder.", "wrapped.net."),
    *("state_dict/model.", "state_dict/model._orig_mod.", "state_dict/model.net."),
)


@pytest.mark.parametrize(
    ("case", "prefix"),
    [
        *(("timm_without_config", prefix) for prefix in PREFIXES),
        ("swin", "wrapped.net."),
        ("huggingface_vit", "net."),
        ("huggingface_vit_bare", "vit."),
    ],
)
def test_what_all_names_begin_with_is_taken_off(case: str, prefix: str, tmp_path: Path):
    """Of training's wrappers, or of another module that the network was part of."""
    plain: dict[str, Any] = draw(golden_shapes()[case], 0)
    expected, params = vit_jax.load_pretrained(write(CASES[case], plain, tmp_path / "plain"), **CASES[case].options)
    path = write(CASES[case], {prefix + name: x for name, x in plain.items()}, tmp_path / "wrapped")
    model, loaded = vit_jax.load_pretrained(path, **CASES[case].options)
    assert model == expected
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


@pytest.mark.parametrize("case", ["dinov2", "dinov2_swiglu", "dinov2_registers"])
@pytest.mark.parametrize("publisher", [None, "dinov2"])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_teacher_of_dinov2_s_training_is_its_backbone(case: str, publisher, chunked: bool, tmp_path: Path):
    """Chunks are numbered, and the blocks in them on through all chunks (`BlockChunk`)."""
    plain: dict[str, Any] = draw(golden_shapes()[case], 0)
    expected, params = vit_jax.load_pretrained(write(CASES[case], plain, tmp_path / "plain"), **CASES[case].options)
    block = r"blocks.\1.\1." if chunked else r"blocks.\1."
    teacher = {"teacher/backbone." + re.sub(r"^blocks\.(\d+)\.", block, name): x for name, x in plain.items()}
    heads = ("dino_head.mlp.0.weight", "dino_head.last_layer.weight_g", "ibot_head.mlp.0.weight")
    teacher |= {f"teacher/{name}": np.ones((2, 2), np.float32) for name in heads}
    path = write(CASES[case], teacher, tmp_path / "training")
    model, loaded = vit_jax.load_pretrained(path, publisher=publisher, **CASES[case].options)
    assert model == expected
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_torchvision_s_published_names_are_read(tmp_path: Path):
    """Its files have names from before its MLP was a sequence: "mlp.linear_1" for "mlp.0", "mlp.linear_2" for
    "mlp.3"."""
    plain = draw(golden_shapes()["torchvision"], 0)
    layers = {".mlp.0.": ".mlp.linear_1.", ".mlp.3.": ".mlp.linear_2."}
    published = {re.sub(r"\.mlp\.[03]\.", lambda found: layers[found[0]], name): x for name, x in plain.items()}
    expected, params = vit_jax.load_pretrained(write(CASES["torchvision"], plain, tmp_path / "new"), model=VIT)
    model, loaded = vit_jax.load_pretrained(write(CASES["torchvision"], published, tmp_path / "published"), model=VIT)
    assert len(published.keys() - plain.keys()) == 8  # weights and biases of two blocks
    assert model == expected
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


@pytest.mark.parametrize("publisher", [None, "beitv2"])
def test_beit_v2_s_pretraining_is_told_by_its_layers_for_the_class_token(publisher, tmp_path: Path, caplog):
    """They are left out, and that is said; the rest is BEiT's, but for the mean of the images."""
    case = PRETRAINING_CASES["beit"]
    plain = write_authors("beit", tmp_path, 0)
    arrays = load_file(plain)
    layers = {name.replace("blocks.0.", "cls_pt_layers.0."): x for name, x in arrays.items() if "blocks.0." in name}
    save_file(arrays | layers, tmp_path / "beitv2.safetensors")
    format = recognise(open_weights(tmp_path / "beitv2.safetensors"), None, publisher).format
    assert (format.publisher, format.pixels(case.model).mean) == ("beitv2", IMAGENET_MEAN)
    _, expected = vit_jax.load_pretrained(plain, model=case.model, num_classes=10)
    with caplog.at_level("INFO"):
        _, loaded = vit_jax.load_pretrained(
            tmp_path / "beitv2.safetensors", publisher=publisher, model=case.model, num_classes=10
        )
    jax.tree.map(np.testing.assert_array_equal, loaded, expected)
    assert f"{len(layers)} arrays are left out: layers of its pre-training" in caplog.text


def test_a_guess_of_the_publisher_is_said_where_it_counts(
    arrays: dict[str, np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """timm, DeiT and DINO write the same names, but resize positions each in its way."""
    path = saved(arrays, tmp_path)
    vit_jax.load_pretrained(path, model=VIT)
    vit_jax.load_pretrained(path, model=VIT, publisher="deit", image_size=24)
    assert not caplog.text
    vit_jax.load_pretrained(path, model=VIT, image_size=24)
    assert (
        "resized as timm does; dino and deit write the same names and resize otherwise: say publisher=" in caplog.text
    )


def test_an_unknown_publisher_or_file_is_refused(arrays: dict[str, np.ndarray], tmp_path: Path):
    with pytest.raises(ValueError, match="unknown publisher 'tim'; it must be one of google"):
        vit_jax.load_pretrained(saved(arrays, tmp_path), publisher="tim")
    with pytest.raises(ValueError, match="holds no weights of torchvision: its names are blocks"):
        vit_jax.load_pretrained(saved(arrays, tmp_path), publisher="torchvision")
    save_file({"conv1.weight": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(
        ValueError, match=r"other.safetensors holds no weights of a known .*: its names are conv1.weight, "
    ):
        vit_jax.load_pretrained(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architecture": "resnet50"}, "Its config says that they are of resnet50. "),
        ({"architectures": ["RegNetForImageClassification"], "model_type": "regnet"}, "of RegNetForImageClass"),
        ({"model_type": "resnet"}, "of resnet. "),
        (None, "...\nNetworks here, "),
    ],
)
def test_a_network_that_is_not_here_is_named_beside_those_that_are(config, said: str, tmp_path: Path):
    save_file({"conv1.weight": np.ones((8, 3, 7, 7), np.float32)}, tmp_path / "model.safetensors")
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="holds no weights of") as error:
        vit_jax.load_pretrained(tmp_path if config is not None else tmp_path / "model.safetensors")
    assert said in str(error.value)
    assert "ViT, DeiT, DINO, DINOv2, BEiT, MAE, Swin and Swin V2" in str(error.value)
