"""`vit-jax convert`: what it writes and tells, and what it does not overwrite."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import vit_jax
from tests.models.cases import random_params
from tests.pretrained.save_cases import save_case
from vit_jax import cli
from vit_jax.models.network import Network


@pytest.fixture
def params() -> dict[str, Any]:
    return random_params(save_case("vit"), 0)


@pytest.fixture
def source(tmp_path: Path, params: dict[str, Any]) -> Path:
    """A folder of Hugging Face's with an array that is no parameter of a classifier."""
    model: Network = save_case("vit")
    vit_jax.save_pretrained(tmp_path / "source", model, params, tuple("abcde"), format="huggingface")
    file = tmp_path / "source" / "model.safetensors"
    save_file(load_file(file) | {"vit.pooler.dense.bias": np.zeros(16, np.float32)}, file, {"format": "pt"})
    return tmp_path / "source"


def test_what_is_written_and_left_out_is_told(
    source: Path, params: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    target = tmp_path / "target"
    assert cli.main(["convert", str(source), str(target), "--to", "timm"]) == 0
    told = capsys.readouterr().out
    assert f"in {target}: config.json, model.safetensors, conversion.json" in told
    assert "left out: pooler.dense.bias, Hugging Face's pooler" in told
    assert f"{sum(x.size for x in jax.tree.leaves(params)):,} parameters from {source}" in told
    model, loaded = vit_jax.load_pretrained(target)
    assert model == save_case("vit")
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_an_epsilon_that_the_format_cannot_hold_is_replaced_where_that_is_asked_for(
    params: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """As of every run that was fine-tuned from Hugging Face's weights."""
    vit_jax.save_pretrained(tmp_path / "run", save_case("vit").clone(norm_eps=1e-12), params)
    command = ["convert", str(tmp_path / "run"), str(tmp_path / "target"), "--to", "timm"]
    assert cli.main(command) == 2
    assert "norm_eps=1e-12: timm's is 1e-6. model.clone(norm_eps=...), or vit-jax convert --norm-eps, takes it" in (
        capsys.readouterr().err
    )
    assert cli.main([*command, "--norm-eps", "1e-6"]) == 0
    assert f"norm_eps is 1e-06 there, as asked for, and 1e-12 in {tmp_path / 'run'}" in capsys.readouterr().out
    model, loaded = vit_jax.load_pretrained(tmp_path / "target")
    assert model == save_case("vit")
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    assert cli.main([*command, "--norm-eps", "2"]) == 2
    assert "--norm-eps must be between 0 and 1, not 2" in capsys.readouterr().err


def test_an_epsilon_is_nothing_that_a_cnn_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = vit_jax.create_model("resnet9_32", width=4)
    vit_jax.save_pretrained(tmp_path / "cnn", model, random_params(model, 0))
    command = ["convert", str(tmp_path / "cnn"), str(tmp_path / "target"), "--to", "vit_jax", "--norm-eps", "1e-6"]
    assert cli.main(command) == 2
    assert "--norm-eps is for networks with LayerNorm, and this is a ResNet9" in capsys.readouterr().err


def test_an_earlier_conversion_is_replaced_and_nothing_else(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    target = tmp_path / "target"
    for format, names in (
        ("huggingface", {"config.json", "model.safetensors", "preprocessor_config.json", "conversion.json"}),
        ("timm", {"config.json", "model.safetensors", "conversion.json"}),
        ("vit_jax", {"config.json", "model.safetensors", "conversion.json"}),
    ):
        if target.exists():
            (target / ".model.safetensors.4242").write_text("left by a conversion that was killed")
        assert cli.main(["convert", str(source), str(target), "--to", format]) == 0
        assert {path.name for path in target.iterdir()} == names
        assert vit_jax.load_pretrained(target)[0] == save_case("vit")

    before = (source / "config.json").read_bytes()
    assert cli.main(["convert", str(target), str(source), "--to", "timm"]) == 2  # no conversion, though of such files
    assert "holds something else (config.json, model.safetensors" in capsys.readouterr().err
    assert (source / "config.json").read_bytes() == before

    (target / "notes.txt").write_text("mine")
    assert cli.main(["convert", str(source), str(target), "--to", "timm"]) == 2
    assert "holds something else (notes.txt)" in capsys.readouterr().err
    assert cli.main(["convert", str(source), str(target / "notes.txt"), "--to", "timm"]) == 2
    assert "is a file" in capsys.readouterr().err
    assert cli.main(["convert", str(source), str(tmp_path / "weights.safetensors"), "--to", "timm"]) == 2
    assert "is a name of a file; a model is a folder" in capsys.readouterr().err
    assert not (tmp_path / "weights.safetensors").exists()


def test_what_the_format_cannot_hold_is_told_and_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = save_case("dinov2")
    vit_jax.save_pretrained(tmp_path / "source", model, random_params(model, 0))
    assert cli.main(["convert", str(tmp_path / "source"), str(tmp_path / "target"), "--to", "timm"]) == 2
    assert "timm cannot hold this VisionTransformer" in capsys.readouterr().err
    assert not (tmp_path / "target").exists()
