"""Configs of strangers: whatever a value in them is, a network is loaded, or a ValueError says whose file it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vit_jax
from tests.pretrained.publisher_cases import CASES, draw, golden_shapes, write
from vit_jax.pretrained.load import open_stored
from vit_jax.pretrained.stored_network import StoredNetwork

VALUES: list[Any] = [None, True, -1, 1.5, 10**30, float("nan"), "x", [], ["x"], [1, 2, 3], {}, {"height": "x"}]
PROCESSOR = {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}, "do_center_crop": True}
FIELDS: dict[tuple[str, str], str] = {
    ("timm", "config.json"): "architecture model_args pretrained_cfg label_names global_pool",
    ("timm", "model_args"): "img_size num_heads act_layer init_values global_pool num_classes",
    ("timm", "pretrained_cfg"): "mean std crop_pct interpolation crop_mode input_size labels",
    (
        "huggingface_vit",
        "config.json",
    ): "num_attention_heads image_size layer_norm_eps hidden_act id2label architectures",
    ("huggingface_vit", "preprocessor_config.json"): "size crop_size image_mean image_std resample crop_pct",
    ("huggingface_beit", "config.json"): "image_size layer_scale_init_value",
}


def write_changed(path: Path, case: str, place: str, field: str, value: Any) -> None:
    """Writes a case's JSON with another value of a field; it is of a file, or of a dictionary in `config.json`."""
    config = json.loads(json.dumps(CASES[case].config))
    files: dict[str, Any] = {"config.json": config, "preprocessor_config.json": dict(PROCESSOR)}
    (files | config)[place][field] = value
    for name in ("config.json", place) if place in files else ("config.json",):
        (path / name).write_text(json.dumps(files[name]))


@pytest.mark.parametrize(
    ("case", "place", "field"), [(*place, field) for place, fields in FIELDS.items() for field in fields.split()]
)
def test_a_value_of_any_kind_is_read_or_refused(case: str, place: str, field: str, tmp_path: Path):
    path = write(CASES[case], draw(golden_shapes()[case], 0), tmp_path)
    publisher, pixels = case.partition("_")[0], np.zeros((1, 1, 3), np.uint8)
    for value in VALUES:
        write_changed(path, case, place, field, value)
        found = outcome(path)
        if isinstance(found, ValueError):
            assert str(path / "model.safetensors") in str(found)
            assert f"({publisher})" in str(found) or "does not fit" in str(found)
        else:
            assert all(isinstance(name, str) for name in found.class_names)
            assert np.isfinite(found.model.preprocessing.normalise(pixels)).all()


def outcome(path: Path) -> StoredNetwork | ValueError:
    """The network in a folder, or why there is none."""
    try:
        return open_stored(path)
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("case", "place", "field", "value", "told"),
    [
        ("timm", "pretrained_cfg", "mean", 1.5, "mean and std need one value a channel"),
        ("timm", "pretrained_cfg", "std", 0, "std positive"),
        ("timm", "pretrained_cfg", "std", "x", "must be finite numbers, one a channel"),
        ("timm", "config.json", "architecture", {"name": "vit"}, "TypeError"),
        ("huggingface_vit", "config.json", "image_size", "x", "TypeError"),
        ("huggingface_vit", "config.json", "image_size", {}, "height is missing"),
        ("huggingface_vit", "config.json", "hidden_act", "relu", "hidden_act 'relu' is not supported"),
        ("huggingface_vit", "preprocessor_config.json", "image_mean", None, "must be finite numbers, one a channel"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_file_and_whose_it_is_taken_for(
    case: str, place: str, field: str, value: Any, told: str, tmp_path: Path
):
    arrays = draw(golden_shapes()[case], 0) | {"surplus": np.zeros(2, np.float32)}
    path = write(CASES[case], arrays, tmp_path)
    write_changed(path, case, place, field, value)
    with pytest.raises(ValueError, match=rf"model\.safetensors \({case.partition('_')[0]}\): .*({told})") as error:
        vit_jax.load_pretrained(path)
    assert str(error.value).endswith("\n  unexpected: surplus [2]"), "with what else is wrong there"


def test_a_processor_that_crops_to_no_size_is_refused_with_a_module_too(tmp_path: Path):
    path = write(CASES["huggingface_vit"], draw(golden_shapes()["huggingface_vit"], 0), tmp_path)
    model, _ = vit_jax.load_pretrained(path)
    write_changed(path, "huggingface_vit", "preprocessor_config.json", "crop_size", ["x"])
    with pytest.raises(ValueError, match=r"model\.safetensors \(huggingface\): .*AttributeError"):
        vit_jax.load_pretrained(path, model=model)
