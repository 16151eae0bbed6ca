"""What is saved in another program's format is what is loaded; what the format cannot hold is refused."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors import safe_open

import vit_jax
from tests.models.cases import random_images, random_params
from tests.pretrained.save_cases import (
    BEIT,
    DINOV2,
    SAVE_CASES,
    SAVED,
    SMALL,
    SWIN,
    VIT,
    loaded_case,
    save_case,
)  # fmt: skip
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.cnn import ConvNet
from vit_jax.models.dino import DinoVisionTransformer
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.resizing import Resizing
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.load import open_stored, read
from vit_jax.pretrained.to_timm import its_name


@pytest.mark.parametrize(("name", "format"), SAVED)
def test_a_round_trip_is_bit_exact(name: str, format: Any, tmp_path: Path):
    """Module, preprocessing, names of classes and parameters, but for what has another form in the format."""
    model = save_case(name)
    params = random_params(model, 0)
    names = tuple(f"class {i}" for i in range(model.num_classes))
    vit_jax.save_pretrained(tmp_path, model, params, names, format)
    loaded = read(open_stored(tmp_path))
    assert loaded.model == loaded_case(name, format)
    assert loaded.class_names == names
    if {"pos_embed", "no_embed_class"} & set(SAVE_CASES[name].other_form):
        images = jax.numpy.asarray(random_images(model, 1))
        ours, theirs = (
            network.features(images)
            for network in (model.bind({"params": params}), loaded.model.bind({"params": loaded.params}))
        )
        np.testing.assert_allclose(theirs.tokens, ours.tokens, atol=1e-5)
    else:
        jax.tree.map(np.testing.assert_array_equal, loaded.params, params)


def test_rates_of_dropout_are_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    model = save_case("vit")
    params = random_params(model, 0)
    vit_jax.save_pretrained(tmp_path, model.clone(drop_path_rate=0.1), params, format="timm")
    assert vit_jax.load_pretrained(tmp_path)[0] == model
    assert "left out: drop_path_rate=0.1" in caplog.text


@pytest.mark.parametrize("format", ["timm", "huggingface"])
def test_without_class_names_there_are_none(format: Any, tmp_path: Path):
    model = save_case("vit")
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), format=format)
    assert open_stored(tmp_path).class_names == ()


def test_published_names_are_kept(tmp_path: Path):
    """Weights of one architecture may differ in classes, not in size; of two alike, preprocessing tells."""
    for name in ("swin_tiny_patch4_window7_224", "swinv2_base_window12to16_192to256", "deit_base_patch16_384"):
        assert its_name(vit_jax.create_model(name, num_classes=3, drop_path_rate=0.1), "other") == name
    assert its_name(vit_jax.create_model("deit3_base_patch16_224"), "other") == "deit3_base_patch16_224"
    assert its_name(vit_jax.create_model("vit_base_patch16_224", depth=11), "other") == "other"
    assert its_name(vit_jax.create_model("vit_tiny_patch4_32"), "other") == "other"


TALL = {**SWIN, "image_size": (24, 12), "version": 2, "preprocessing": Preprocessing(squash=True)}
REFUSED: list[tuple[str, type[Network], dict[str, Any], str]] = [
    ("timm", VisionTransformer, dict(**VIT, norm_eps=1e-12), "norm_eps=1e-12: timm's is 1e-6"),
    ("timm", VisionTransformer, dict(**VIT, pre_norm=True), "norm_eps=1e-06: timm's is 1e-5"),
    ("timm", VisionTransformer, dict(**VIT, pre_norm=True, norm_eps=1e-5, swiglu=True), "pre_norm=True"),
    ("timm", VisionTransformer, dict(**VIT, pre_norm=True, norm_eps=1e-5, distilled=True), "pre_norm=True"),
    ("timm", VisionTransformer, dict(**BEIT, pre_norm=True, norm_eps=1e-5), "pre_norm=True"),
    ("huggingface", VisionTransformer, dict(**VIT, pre_norm=True), "pre_norm=True"),
    ("timm", VisionTransformer, dict(**VIT, pool="token_avg"), "pool='token_avg'"),
    ("timm", VisionTransformer, dict(**VIT, pool="map", swiglu=True), "beside SwiGLU"),
    ("timm", VisionTransformer, dict(**VIT, representation_size=8), "representation_size=8"),
    ("timm", VisionTransformer, dict(**VIT, mask_token=True), "mask_token=True"),
    ("timm", VisionTransformer, dict(**VIT, distilled=True, num_registers=2), "num_registers=2"),
    ("timm", VisionTransformer, dict(**VIT, distilled=True, swiglu=True), "swiglu=True"),
    ("timm", VisionTransformer, dict(**VIT, distilled=True, answer="class"), "answer='class'"),
    ("timm", VisionTransformer, dict(**BEIT, gelu="tanh"), "gelu='tanh'"),
    ("timm", VisionTransformer, {**BEIT, "key_bias": True}, "key_bias=True"),
    ("timm", VisionTransformer, {**BEIT, "image_size": (8, 56)}, "that of a square image"),
    ("timm", SwinTransformer, dict(**SWIN, norm_eps=1e-6), "norm_eps=1e-06: timm's Swin has 1e-5"),
    ("timm", SwinTransformer, {**SWIN, "image_size": 36}, "window_rule='microsoft': timm pads or shifts"),
    ("timm", MaskedAutoencoder, dict(**SMALL, decoder_depth=1), "load_pretrained(source, num_classes=0) gives its enc"),
    ("timm", ConvNet, dict(image_size=32, stride=1), "no such network"),
    ("huggingface", VisionTransformer, dict(**VIT, pool="avg", fc_norm=True), "pool='avg'"),
    (
        "huggingface",
        VisionTransformer,
        dict(**VIT, num_registers=4),
        "num_registers=4: it has registers in DINOv2",
    ),
    ("huggingface", VisionTransformer, dict(**VIT, qk_norm=True), "qk_norm=True"),
    ("huggingface", VisionTransformer, dict(**VIT, pos_embed="none"), "pos_embed='none'"),
    ("huggingface", VisionTransformer, dict(**VIT, swiglu=True), "swiglu=True"),
    ("huggingface", VisionTransformer, dict(**VIT, distilled=True, answer="distillation"), "answer='distillation'"),
    ("huggingface", VisionTransformer, dict(**VIT, layer_scale=0.1), "whose classifier reads class token and mean"),
    ("huggingface", VisionTransformer, dict(**DINOV2, mlp_ratio=2.5), "mlp_ratio=2.5"),
    ("huggingface", VisionTransformer, dict(**DINOV2, num_registers=2), "no_embed_class=False: its registers have no"),
    ("huggingface", VisionTransformer, {**DINOV2, "image_size": (8, 16)}, "image_size=(8, 16)"),
    ("huggingface", VisionTransformer, {**BEIT, "image_size": (8, 16)}, "mixes up the biases"),
    ("huggingface", VisionTransformer, {**BEIT, "fc_norm": False}, "pool='avg'"),
    (
        "huggingface",
        VisionTransformer,
        {**VIT, "key_bias": False},
        "layer_scale=None",
    ),
    ("huggingface", BeitPretraining, {**SMALL, "image_size": (8, 16)}, "image_size=(8, 16)"),
    ("huggingface", SwinTransformer, dict(**SWIN, norm_eps=1e-6), "norm_eps=1e-06"),
    ("huggingface", SwinTransformer, {**SWIN, "window_size": (4, 8)}, "window_size=(4, 8)"),
    ("huggingface", SwinTransformer, {**SWIN, "window_size": 32}, "no map smaller than a window"),
    ("huggingface", SwinTransformer, {**SWIN, "image_size": 36, "window_rule": "timm"}, "window_rule='timm'"),
    # Its second version looks at the height alone.
    ("huggingface", SwinTransformer, {**TALL, "window_rule": "microsoft"}, "window_rule='microsoft'"),
    ("huggingface", SwinTransformer, {**TALL, "depths": (2, 2), "window_rule": "torchvision"}, "window_rule='torch"),
    ("huggingface", VisionTransformer, {**VIT, "image_size": (8, 16)}, "squash=True fits any image"),
    ("huggingface", ConvNet, dict(image_size=32, stride=1), "no network such as ConvNet"),
    ("huggingface", DinoVisionTransformer, SMALL, "load_pretrained(source, num_classes=0) gives its encoder"),
]


@pytest.mark.parametrize(("format", "module", "fields", "reason"), REFUSED)
def test_what_a_format_cannot_hold_is_refused_before_anything_is_written(
    format: Any, module: type[Network], fields: dict[str, Any], reason: str, tmp_path: Path
):
    with pytest.raises(ValueError, match="nothing was written") as error:
        vit_jax.save_pretrained(tmp_path / "new", module(**fields), {}, format=format)
    assert reason in str(error.value)
    assert not (tmp_path / "new").exists()


def test_every_reason_is_told_at_once(tmp_path: Path):
    model = VisionTransformer(**VIT, norm_eps=1e-5, representation_size=3)
    with pytest.raises(ValueError, match=r"norm_eps=1e-05(.|\n)*representation_size=3"):
        vit_jax.save_pretrained(tmp_path, model, {}, format="timm")


@pytest.mark.parametrize("format", ["vit_jax", "timm", "huggingface"])
def test_parameters_and_names_of_another_network_are_refused(format: Any, tmp_path: Path):
    model = save_case("vit")
    params = random_params(model.clone(num_classes=4), 0)
    params["surplus"] = params.pop("cls_token")
    with pytest.raises(ValueError, match="no parameters of this VisionTransformer") as error:
        vit_jax.save_pretrained(tmp_path / "new", model, params, format=format)
    for problem in ("missing: cls_token", "unexpected: surplus", "misshapen: head/bias is [4], not [5]"):
        assert problem in str(error.value)
    with pytest.raises(ValueError, match="has 5 classes, but names for 4"):
        vit_jax.save_pretrained(tmp_path / "new", model, params, tuple("abcd"), format)
    assert not (tmp_path / "new").exists()


def test_an_unknown_format_is_answered_with_those_there_are(tmp_path: Path):
    with pytest.raises(ValueError, match="unknown format 'onnx'; it must be one of vit_jax, timm, huggingface"):
        vit_jax.save_pretrained(tmp_path, save_case("vit"), {}, format="onnx")  # pyright: ignore[reportArgumentType]


def test_hugging_face_s_names_are_version_4_s(tmp_path: Path):
    """What is on the hub, and what both versions read."""
    model = save_case("dinov2_swiglu")
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), format="huggingface")
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        assert file.metadata()["format"] == "pt"
        assert {
            "dinov2.embeddings.cls_token",
            "dinov2.encoder.layer.0.attention.attention.query.weight",
            "dinov2.encoder.layer.0.mlp.weights_in.weight",
            "classifier.weight",
        } <= set(file.keys())


WAYS = Resizing("bicubic_offset", "geometric_cubic", "own")


def test_the_publisher_s_way_to_resize_is_carried_along(tmp_path: Path):
    """DINO's weights, saved here and loaded at another size, give what DINO's file gives there."""
    model = VisionTransformer(**{**SMALL, "num_classes": 0, "preprocessing": Preprocessing()})
    params = random_params(model, 0)
    vit_jax.save_pretrained(tmp_path / "timm", model, params, format="timm")
    file = tmp_path / "timm" / "model.safetensors"

    dino, dino_params = vit_jax.load_pretrained(file, publisher="dino", model=model)
    assert dino.resizing == Resizing("bicubic_offset", "bicubic", "pretrained")
    assert dino == model
    vit_jax.save_pretrained(tmp_path / "dino", dino, dino_params)
    _, expected = vit_jax.load_pretrained(file, publisher="dino", model=model, image_size=24)
    _, resized = vit_jax.load_pretrained(tmp_path / "dino", image_size=24)
    np.testing.assert_array_equal(resized["pos_embed"], expected["pos_embed"])
    _, as_timm = vit_jax.load_pretrained(tmp_path / "timm", image_size=24)
    assert np.abs(as_timm["pos_embed"] - expected["pos_embed"]).max() > 1e-3

    vit_jax.save_pretrained(tmp_path / "all", model.clone(resizing=WAYS), params)
    assert vit_jax.load_pretrained(tmp_path / "all")[0].resizing == WAYS


@pytest.mark.parametrize(("format", "rounding"), [("timm", "down"), ("huggingface", "even")])
def test_another_crop_there_is_told(format: Any, rounding: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    model = save_case("vit").clone(preprocessing=Preprocessing(crop_rounding=rounding))
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), format=format)
    assert f"crop_rounding='{rounding}' is " in caplog.text
    caplog.clear()
    other: Any = {"down": "even", "even": "down"}[rounding]
    model = model.clone(preprocessing=Preprocessing(crop_rounding=other))
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), format=format)
    assert "crop_rounding" not in caplog.text


def test_a_failed_write_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = save_case("vit")
    params = random_params(model, 0)
    vit_jax.save_pretrained(tmp_path, model, params, format="huggingface")

    def fail(arrays: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("vit_jax.pretrained.safetensors_file.save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        vit_jax.save_pretrained(tmp_path, model, params, format="timm")
    assert vit_jax.load_pretrained(tmp_path)[0] == model
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json", "model.safetensors", "preprocessor_config.json",
    }  # fmt: skip


@pytest.mark.parametrize("format", ["vit_jax", "timm", "huggingface"])
def test_a_save_that_was_stopped_among_its_files_leaves_nothing_that_loads(
    format: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Four heads' weights of the same shapes under the old config would be computed with two."""
    model = save_case("vit")
    params = random_params(model, 0)
    vit_jax.save_pretrained(tmp_path, model, params, format=format)

    def fail(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vit_jax.pretrained.write.replace_text", fail)
    with pytest.raises(KeyboardInterrupt):
        vit_jax.save_pretrained(tmp_path, model.clone(num_heads=4), params, format=format)
    with pytest.raises(FileNotFoundError, match="no model at"):
        vit_jax.load_pretrained(tmp_path)


def test_a_model_takes_the_place_of_one_with_a_damaged_config(tmp_path: Path):
    model = save_case("vit")
    params = random_params(model, 0)
    vit_jax.save_pretrained(tmp_path, model, params)
    (tmp_path / "config.json").write_bytes(b"\xff")
    vit_jax.save_pretrained(tmp_path, model, params)
    assert vit_jax.load_pretrained(tmp_path)[0] == model


def test_what_json_cannot_hold_leaves_the_old_model(tmp_path: Path):
    model = save_case("vit")
    params = random_params(model, 0)
    vit_jax.save_pretrained(tmp_path, model, params)
    with pytest.raises(TypeError, match="Fraction is not JSON serializable"):
        vit_jax.save_pretrained(tmp_path, model.clone(drop_rate=Fraction(1, 3)), random_params(model, 1))
    loaded, loaded_params = vit_jax.load_pretrained(tmp_path)
    assert loaded == model
    jax.tree.map(np.testing.assert_array_equal, loaded_params, params)


@pytest.mark.parametrize("format", ["vit_jax", "timm"])
def test_the_workdir_of_a_run_and_a_file_are_no_place_for_a_model(format: Any, tmp_path: Path):
    """The run could not go on without its config, and its own model would be loaded from there."""
    model = save_case("vit")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="run is the workdir of a run, whose model is in its model/: name another"):
        vit_jax.save_pretrained(tmp_path / "run", model, random_params(model, 0), format=format)
    assert (tmp_path / "run" / "config.json").read_text() == "{}"
    with pytest.raises(FileExistsError, match=r"config\.json is a file; a model is a folder"):
        vit_jax.save_pretrained(tmp_path / "run" / "config.json", model, random_params(model, 0), format=format)


@pytest.mark.parametrize("name", ["mine.safetensors", "mine.pth", "mine.npz"])
def test_a_folder_is_not_made_of_the_name_of_a_file(name: str, tmp_path: Path):
    model = save_case("vit")
    with pytest.raises(ValueError, match=f"{name} is a name of a file; a model is a folder: name one"):
        vit_jax.save_pretrained(tmp_path / name, model, random_params(model, 0))
    assert not (tmp_path / name).exists()


def test_names_of_classes_are_strings(tmp_path: Path):
    model = save_case("vit")
    with pytest.raises(ValueError, match="class_names must be strings, one a class"):
        vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), class_names=(1, 2, 3, 4, 5))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("names", ["abcde", set("abcde"), {name: 4 - i for i, name in enumerate("abcde")}, None, 5])
def test_names_of_classes_are_in_the_order_of_the_outputs(names: Any, tmp_path: Path):
    """A dict such as torchvision's class_to_idx or Hugging Face's label2id has an order of its own, a set none."""
    model = save_case("vit")
    with pytest.raises(ValueError, match=r"class_names must be names in the order of the outputs, e\.g\. a list, not "):
        vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), class_names=names)


@pytest.mark.parametrize("kind", [list, iter, np.array])
def test_names_of_classes_may_be_in_any_sequence(kind: Any, tmp_path: Path):
    model = save_case("vit")
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), class_names=kind(list("abcde")))
    assert vit_jax.class_names(tmp_path) == tuple("abcde")


def test_neither_saving_nor_loading_imports_torch(tmp_path: Path):
    code = f"""
import sys
from tests.models.cases import random_params
from tests.pretrained.save_cases import save_case
import vit_jax
model = save_case("vit")
for format in ("timm", "huggingface"):
    vit_jax.save_pretrained({str(tmp_path)!r}, model, random_params(model, 0), format=format)
    vit_jax.load_pretrained({str(tmp_path)!r})
assert not {{"torch", "timm", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_home_is_found_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A notebook has no shell that expands the ~: a folder of that name would be made here."""
    monkeypatch.setenv("HOME", str(tmp_path))
    model = vit_jax.create_model("vit_digits_patch2_8", embed_dim=8, depth=1, num_heads=2)
    vit_jax.save_pretrained("~/mine", model, random_params(model, 0))
    assert (tmp_path / "mine" / "config.json").is_file()
    assert vit_jax.load_pretrained("~/mine")[0] == model
