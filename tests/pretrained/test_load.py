"""What loading promises besides numbers: all of a file or an error that lists everything, and nothing in silence."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file

import vit_jax
from tests.models.cases import random_params
from tests.models.swin_cases import small_swin
from tests.pretrained.publisher_cases import CASES, SWIN, VIT, draw, golden_shapes, write
from vit_jax.models.parameters import parameter_shapes, shapes_by_path
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import MODELS, create_model
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.architecture import swin_fields, vit_fields
from vit_jax.pretrained.load import open_stored, read


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """A small network by timm's names."""
    return draw(golden_shapes()["timm"], seed=0)


def saved(arrays: dict[str, np.ndarray], path: Path) -> Path:
    """A file without a config."""
    return write(CASES["timm_without_config"], arrays, path)


@pytest.mark.parametrize("names", [("a", "b"), ()])
def test_a_directory_gives_model_parameters_and_names(tmp_path: Path, names: tuple[str, ...]):
    model = create_model("vit_digits_patch2_8", embed_dim=8, depth=1, num_heads=1, num_classes=2)
    params = jax.tree.map(lambda p: jnp.ones(p.shape), parameter_shapes(model))
    vit_jax.save_pretrained(tmp_path, model, params, names)
    loaded = read(open_stored(tmp_path))
    assert loaded.model == model
    assert loaded.class_names == names
    jax.tree.map(np.testing.assert_array_equal, loaded.params, params)
    with pytest.raises(ValueError, match=r"a revision \(main\) is for repositories"):
        open_stored(tmp_path, revision="main")


def test_everything_that_does_not_fit_is_listed_at_once(arrays: dict[str, np.ndarray], tmp_path: Path):
    arrays = dict(arrays)
    arrays["surplus.weight"] = np.zeros((2, 3), np.float32)
    del arrays["blocks.1.norm1.weight"]
    arrays["head.bias"] = np.zeros(3, np.float32)
    arrays["norm.bias"] = np.zeros(24, np.int32)
    arrays["blocks.0.mlp.fc2.weight"] = np.zeros(5, np.float32)
    with pytest.raises(ValueError, match="does not fit a VisionTransformer") as error:
        vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT)
    for line in (
        "unexpected: surplus.weight [2, 3]",
        "missing: blocks_1/norm1/scale (blocks.1.norm1.weight)",
        "misshapen: head/bias (head.bias) is [3], not [5]",
        "not floating point: norm.bias is int32",
        "misshapen: blocks.0.mlp.fc2.weight is [5]",
    ):
        assert f"\n  {line}" in str(error.value)
    assert str(error.value).count("\n") == 5, "nothing is said twice"


POSITIONS, REGISTERS, TABLE = "pos_embed", "reg_token", "blocks.1.attn.relative_position_bias_table"


@pytest.mark.parametrize(
    ("case", "name", "shape", "options"),
    [
        ("timm_registers", POSITIONS, (24,), {}),
        ("timm_without_config", POSITIONS, (24,), dict(model=VIT)),
        ("timm_registers", REGISTERS, (24,), {}),
        ("timm_without_config", POSITIONS, (17, 24), dict(model=VIT, image_size=64)),
        ("timm_without_config", POSITIONS, (2, 17, 24), dict(model=VIT, image_size=64)),
        ("timm_beit", TABLE, (52,), dict(image_size=64)),
        ("timm_beit", TABLE, (48, 3), dict(image_size=64)),
    ],
)
def test_what_is_misshapen_is_listed_where_shapes_tell_the_network_or_are_resized(
    case: str, name: str, shape: tuple[int, ...], options: dict[str, Any], tmp_path: Path
):
    stored = draw(golden_shapes()[case], seed=0) | {name: np.zeros(shape, np.float32)}
    norm = next(name for name in ("norm.weight", "fc_norm.weight") if name in stored)
    stored[norm] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="does not fit a VisionTransformer") as error:
        vit_jax.load_pretrained(write(CASES[case], stored, tmp_path), **options)
    for misshapen in (name, norm):
        shown = re.escape(str(list(stored[misshapen].shape)))
        assert re.search(rf"\n  misshapen: .*{misshapen}.* is {shown}, not", str(error.value))


def test_positions_of_another_kind_of_network_are_listed(arrays: dict[str, np.ndarray], tmp_path: Path):
    """A Swin has no grid of patches that they could be resized for."""
    with pytest.raises(ValueError, match=r"does not fit a SwinTransformer:(.|\n)*unexpected: pos_embed"):
        vit_jax.load_pretrained(saved(arrays, tmp_path), model=SWIN, image_size=64)


def test_parts_of_a_parameter_that_are_missing_are_named_as_the_file_names_them(tmp_path: Path):
    arrays = draw(golden_shapes()["huggingface_vit"], seed=0)
    del arrays["vit.encoder.layer.1.attention.attention.key.weight"]
    with pytest.raises(ValueError, match=r"\n  missing: encoder.layer.1.attention.attention.key.weight$"):
        vit_jax.load_pretrained(write(CASES["huggingface_vit"], arrays, tmp_path))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_become_float32_with_the_values_they_have(
    dtype: type, arrays: dict[str, np.ndarray], tmp_path: Path
):
    stored = {name: x.astype(dtype) for name, x in arrays.items()}
    _, params = vit_jax.load_pretrained(saved(stored, tmp_path), model=VIT)
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(params["norm"]["bias"], stored["norm.bias"].astype(np.float32))


def test_a_new_head_is_zeros_and_said_to_be(
    arrays: dict[str, np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        model, params = vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT, num_classes=7)
    assert model.num_classes == 7
    assert not params["head"]["kernel"].any()
    assert params["head"]["kernel"].shape == (24, 7)
    assert "head/bias, head/kernel: new, of zeros, for 7 classes" in caplog.text.replace(
        "head/kernel, head/bias", "head/bias, head/kernel"
    )
    assert "the stored head of 5 classes is left out" in caplog.text


def test_a_head_of_as_many_classes_is_new_too(arrays: dict[str, np.ndarray], tmp_path: Path):
    """Five classes of one's own are not the five of the file."""
    _, params = vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT, num_classes=5)
    assert not params["head"]["kernel"].any()


def test_no_head_is_no_head(arrays: dict[str, np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture):
    model, params = vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT, num_classes=0)
    assert "head" not in params
    assert model.num_classes == 0
    assert not caplog.text


def test_without_being_asked_no_head_is_new(arrays: dict[str, np.ndarray], tmp_path: Path):
    stored = {name: x for name, x in arrays.items() if not name.startswith("head")}
    with pytest.raises(ValueError, match=r"missing: head/kernel \(head.weight\)"):
        vit_jax.load_pretrained(saved(stored, tmp_path), model=VIT)


def test_weights_of_another_model_are_refused(arrays: dict[str, np.ndarray], tmp_path: Path):
    for model in (SWIN, VIT.clone(depth=3), VIT.clone(embed_dim=48), VIT.clone(patch_size=8)):
        with pytest.raises(ValueError, match="does not fit"):
            vit_jax.load_pretrained(saved(arrays, tmp_path), model=model)


def test_a_swin_is_no_vision_transformer(tmp_path: Path):
    """Both what the network lacks and what the file has besides is told; nothing of it passes for an encoder."""
    path = write(CASES["timm_swin"], draw(golden_shapes()["timm_swin"], 0), tmp_path)
    with pytest.raises(ValueError, match="does not fit a VisionTransformer") as error:
        vit_jax.load_pretrained(path, model=VIT)
    assert "missing: pos_embed" in str(error.value)
    assert "unexpected: layers_1/" in str(error.value)


def test_heads_that_the_file_contradicts_are_refused(tmp_path: Path):
    """Their number changes no shape: it would be wrong in silence."""
    path = write(CASES["huggingface_vit"], draw(golden_shapes()["huggingface_vit"], 0), tmp_path)
    with pytest.raises(ValueError, match="is for 3 attention heads; model= has 4"):
        vit_jax.load_pretrained(path, model=VIT.clone(num_heads=4))


def test_heads_that_nothing_tells_are_asked_for(arrays: dict[str, np.ndarray], tmp_path: Path):
    with pytest.raises(ValueError, match=r"neither its shapes nor a config.json beside it tell its num_heads; give"):
        vit_jax.load_pretrained(saved(arrays, tmp_path))


def test_parts_that_are_not_known_are_named_beside_what_is_asked_for(arrays: dict[str, np.ndarray], tmp_path: Path):
    """A network of other parts (BEiT-3, SAM) cannot be given as model=: what it has besides is said."""
    path = saved({**arrays, "blocks.0.attn.rel_pos_h": np.zeros((7, 8), np.float32)}, tmp_path)
    with pytest.raises(ValueError, match=r"its num_heads; (.|\n)*\n  unexpected: blocks.0.attn.rel_pos_h \[7, 8\]$"):
        vit_jax.load_pretrained(path)


def test_the_publisher_decides_epsilon_and_gelu_of_the_caller_s_module(tmp_path: Path):
    path = write(CASES["google"], draw(golden_shapes()["google"], 0), tmp_path)
    model, _ = vit_jax.load_pretrained(path, model=VIT.clone(norm_eps=0.5))
    assert isinstance(model, VisionTransformer)
    assert (model.gelu, model.norm_eps) == ("tanh", 1e-6)


def test_windows_are_for_swin(arrays: dict[str, np.ndarray], tmp_path: Path):
    with pytest.raises(ValueError, match="window_size is for Swin"):
        vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT, window_size=3)


def test_an_image_that_patches_do_not_divide_is_refused(arrays: dict[str, np.ndarray], tmp_path: Path):
    with pytest.raises(ValueError, match="not a whole number of patches"):
        vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT, image_size=18)


@pytest.mark.parametrize("size", ["24", (24, 24, 3)])
def test_an_image_size_that_is_none_is_refused(size: Any, arrays: dict[str, np.ndarray], tmp_path: Path):
    with pytest.raises(ValueError, match="image_size must be a whole number or a pair"):
        vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT, image_size=size)


@pytest.mark.parametrize("name", [name for name, (module, _) in MODELS.items() if module is VisionTransformer])
def test_the_shapes_of_a_published_vision_transformer_tell_its_fields(name: str):
    """But for what no shape shows: the final norm's place, preprocessing, initial values."""
    model = create_model(name, depth=2)
    found = vit_fields(shapes_by_path(model), num_heads=model.num_heads)
    shown = set(found) - {"layer_scale", "mlp_ratio"}
    assert {field: getattr(model, field) for field in shown} == {field: found[field] for field in shown}
    assert shapes_by_path(VisionTransformer(**found)) == shapes_by_path(model)


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large", "huge"])
def test_published_sizes_tell_their_heads(size: str):
    name = next(name for name in MODELS if name.startswith(f"vit_{size}_patch"))
    model = create_model(name)
    assert vit_fields(shapes_by_path(model))["num_heads"] == model.num_heads


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swin_base_patch4_window12_384"])
def test_the_shapes_of_a_published_swin_tell_its_fields(name: str):
    model = create_model(name)
    found = swin_fields(shapes_by_path(model))
    assert {field: getattr(model, field) for field in found} == found
    assert shapes_by_path(SwinTransformer(**found)) == shapes_by_path(model)


def test_class_names_and_preprocessing_travel_with_hugging_face_s_folder(tmp_path: Path):
    case = CASES["huggingface_vit"]
    path = write(case, draw(golden_shapes()["huggingface_vit"], 0), tmp_path)
    config = dict(case.config or {}) | {"id2label": {str(i): f"class {i}" for i in (3, 0, 4, 1, 2)}}
    (path / "config.json").write_text(json.dumps(config))
    processor = {"size": {"height": 16, "width": 16}, "resample": 2, "image_mean": [0.1] * 3, "image_std": [0.2] * 3}
    (path / "preprocessor_config.json").write_text(json.dumps(processor))
    loaded = open_stored(path)
    assert loaded.class_names == tuple(f"class {i}" for i in range(5))
    assert loaded.model.preprocessing == Preprocessing((0.1,) * 3, (0.2,) * 3, 1.0, "bilinear", True, "down")
    (path / "preprocessor_config.json").write_text(json.dumps({**processor, "do_normalize": False}))
    assert open_stored(path).model.preprocessing == Preprocessing((0.0,), (1.0,), 1.0, "bilinear", True, "down")


def test_without_a_preprocessor_config_it_is_said_how_images_are_prepared(tmp_path: Path, caplog):
    path = write(CASES["huggingface_vit"], draw(golden_shapes()["huggingface_vit"], 0), tmp_path)
    preprocessing = open_stored(path).model.preprocessing
    assert (preprocessing.mean, preprocessing.crop_rounding) == ((0.5,), "down")
    assert f"no preprocessor_config.json beside it, so images are prepared as {preprocessing}" in caplog.text
    caplog.clear()
    (path / "preprocessor_config.json").write_text("{}")
    open_stored(path)
    assert not caplog.text


@pytest.mark.parametrize("name", ["timm", "huggingface_vit"])
def test_a_file_that_is_named_comes_with_what_stands_beside_it(name: str, tmp_path: Path):
    """Epsilon, heads and preprocessing are as of its folder; beside other weights, unless it has a usual name, not."""
    path = write(CASES[name], draw(golden_shapes()[name], 0), tmp_path)
    settings = {"input_size": [3, 16, 16], "mean": [0.3] * 3, "std": [0.4] * 3}
    (path / "config.json").write_text(json.dumps({**(CASES[name].config or {}), "pretrained_cfg": settings}))
    (path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.3] * 3, "image_std": [0.4] * 3}))
    whole = open_stored(path).model
    assert whole.preprocessing.mean == (0.3,) * 3
    assert open_stored(path / "model.safetensors").model == whole
    (path / "model.safetensors").rename(path / "mine.safetensors")
    assert open_stored(path / "mine.safetensors").model == whole


@pytest.mark.parametrize(("name", "warned"), [("timm_beit", True), ("huggingface_beit", True), ("beit", False)])
def test_what_is_taken_where_a_config_should_be_is_a_warning(name: str, warned: bool, tmp_path: Path, caplog):
    """timm and Hugging Face write one, for their networks were trained with other means each."""
    path = write(CASES[name], draw(golden_shapes()[name], 0), tmp_path)
    (tmp_path / "config.json").unlink(missing_ok=True)
    open_stored(path)
    assert ("does not say how images are prepared" in caplog.text) == warned


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("timm_clip_quick", True),
        ("timm_siglip", True),
        ("timm", False),
        ("timm_beit", False),
        ("google_map_head", False),
    ],
)
def test_a_form_of_gelu_that_nothing_tells_is_said_to_be_assumed(name: str, warned: bool, tmp_path: Path, caplog):
    """OpenAI's CLIP and the newer SigLIP have other ones than timm's other networks; a config or a module tells."""
    arrays = draw(golden_shapes()[name], 0)
    if name != "google_map_head":  # queries' norms tell the heads
        norms = [f"blocks.{i}.attn.{x}_norm.{part}" for i in (0, 1) for x in "qk" for part in ("weight", "bias")]
        arrays |= {norm: np.ones(8, np.float32) for norm in norms}
    path = write(CASES[name], arrays, tmp_path)
    model, _ = vit_jax.load_pretrained(path)
    if name != "google_map_head":
        assert "GELU" not in caplog.text
        (path / "config.json").unlink()
        vit_jax.load_pretrained(path, model=model)
        assert "GELU" not in caplog.text
        vit_jax.load_pretrained(path)
    assert ("erf GELU is assumed" in caplog.text) == warned


def test_a_centre_crop_of_the_shorter_edge_is_a_margin(tmp_path: Path):
    path = write(CASES["huggingface_dinov2"], draw(golden_shapes()["huggingface_dinov2"], 0), tmp_path)
    processor = {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}, "do_center_crop": True}
    (path / "preprocessor_config.json").write_text(json.dumps({**processor, "resample": 3}))
    preprocessing = open_stored(path).model.preprocessing
    assert (preprocessing.crop_fraction, preprocessing.squash, preprocessing.interpolation) == (0.8, False, "bicubic")


def test_where_hugging_face_crops_to_another_size_than_the_network_s_it_is_said(tmp_path: Path, caplog):
    """As of DINOv2: its positions are of 518 px, its images of 224."""
    path = write(CASES["huggingface_dinov2"], draw(golden_shapes()["huggingface_dinov2"], 0), tmp_path)
    processor = {"size": {"shortest_edge": 10}, "crop_size": {"height": 8, "width": 8}, "do_center_crop": True}
    file = path / "preprocessor_config.json"
    file.write_text(json.dumps(processor))
    assert open_stored(path).model.image_size == 16
    assert "network's 16 x 16 px; Hugging Face crops them to 8 x 8, as image_size=8 does" in caplog.text
    caplog.clear()
    model = open_stored(path, image_size=8).model
    assert (model.image_size, model.preprocessing.crop_fraction) == (8, 0.8)
    assert vit_jax.load_pretrained(path, model=model)[0].image_size == 8
    for same in ({"crop_size": 16}, {"do_center_crop": False}, {"crop_size": None}):
        file.write_text(json.dumps(processor | same))
        vit_jax.load_pretrained(path)
    assert not caplog.text


def test_the_network_of_texts_in_a_file_of_two_is_left_out(tmp_path: Path):
    """As big_vision writes SigLIP."""
    stored = {
        name.replace("params/", "params/img/"): x for name, x in draw(golden_shapes()["google_map_head"], 0).items()
    }
    path = write(CASES["google_map_head"], stored, tmp_path)
    alone = read(open_stored(path))
    more = {"params/txt/Encoder_0/encoder_norm/scale": (24,), "params/t": (1,), "params/b": (1,)}
    written: dict[str, Any] = {**stored, **{name: np.ones(shape, np.float32) for name, shape in more.items()}}
    np.savez(path, **written)
    both = read(open_stored(path))
    assert both.model == alone.model
    jax.tree.map(np.testing.assert_array_equal, both.params, alone.params)


@pytest.mark.parametrize("model", [None, VIT, VIT.clone(pos_embed="sincos")])
def test_a_file_of_big_vision_s_with_fixed_positions_is_refused(tmp_path: Path, model: VisionTransformer | None):
    """Its formula is not MAE's, which a network here has: all else would fit."""
    stored = draw(golden_shapes()["google"], 0)
    del stored["Transformer/posembed_input/pos_embedding"]
    with pytest.raises(ValueError, match=r"weights\.npz \(google\): there are no position embeddings .*sincos2d"):
        vit_jax.load_pretrained(write(CASES["google"], stored, tmp_path), model=model)


def test_one_s_own_folder_decides_the_numerics_of_a_given_module(arrays: dict[str, np.ndarray], tmp_path: Path):
    _, params = vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT)
    vit_jax.save_pretrained(tmp_path / "own", VIT.clone(gelu="tanh", norm_eps=1e-3), params)
    model, _ = vit_jax.load_pretrained(tmp_path / "own", model=VIT)
    assert (model.gelu, model.norm_eps) == ("tanh", 1e-3)
    with pytest.raises(ValueError, match="is for 3 attention heads; model= has 2"):
        vit_jax.load_pretrained(tmp_path / "own", model=VIT.clone(num_heads=2))


@pytest.mark.parametrize(("name", "scale"), [("huggingface_swinv2", (4, 4)), ("timm_swinv2", ())])
def test_a_swin_v2_s_windows_are_the_stored_ones_with_a_module_too(tmp_path: Path, name: str, scale: tuple[int, ...]):
    """What its position biases are scaled by is in no shape. (timm's are scaled by the new window.)"""
    path = write(CASES[name], draw(golden_shapes()[name], 0), tmp_path)
    by_fields, _ = vit_jax.load_pretrained(path, image_size=64, window_size=8)
    assert isinstance(by_fields, SwinTransformer)
    assert by_fields.pretrained_window_sizes == scale
    by_module, _ = vit_jax.load_pretrained(path, model=by_fields.clone(pretrained_window_sizes=()))
    assert by_module == by_fields


def test_a_distilled_network_without_a_head_keeps_its_token(tmp_path: Path):
    path = write(CASES["timm_distilled"], draw(golden_shapes()["timm_distilled"], 0), tmp_path)
    model, params = vit_jax.load_pretrained(path)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 16, 3)), jnp.float32)
    expected = vit_jax.features(model, params, images).pooled
    for whole in (None, model.clone(answer="class")):
        bare, bare_params = vit_jax.load_pretrained(path, model=whole, num_classes=0)
        np.testing.assert_allclose(vit_jax.features(bare, bare_params, images).pooled, expected, atol=1e-6)
        assert bare.num_classes == 0


def test_a_network_without_a_head_has_no_class_names(tmp_path: Path):
    case = CASES["huggingface_vit_bare"]
    path = write(case, draw(golden_shapes()["huggingface_vit_bare"], 0), tmp_path)
    (path / "config.json").write_text(json.dumps({**(case.config or {}), "id2label": {"0": "cat", "1": "dog"}}))
    assert open_stored(path).class_names == ()


def test_a_larger_window_in_a_later_stage_is_told_by_its_table():
    model = SwinTransformer(image_size=64, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=(4, 8))
    assert swin_fields(shapes_by_path(model))["window_size"] == (4, 8)


def test_a_file_of_one_s_own_parameters_needs_its_module(arrays: dict[str, np.ndarray], tmp_path: Path):
    _, params = vit_jax.load_pretrained(saved(arrays, tmp_path), model=VIT)
    vit_jax.save_pretrained(tmp_path / "own", VIT, params)
    file = tmp_path / "own" / "model.safetensors"
    assert set(load_file(file)) == set(flatten_dict(params, sep="/"))
    assert open_stored(file).model == VIT
    (file.parent / "config.json").unlink()
    with pytest.raises(ValueError, match=r"no config\.json of theirs beside it was read: give model= .*or the folder"):
        vit_jax.load_pretrained(file)
    assert vit_jax.class_names(file) == ()
    model, again = vit_jax.load_pretrained(file, model=VIT)
    assert model == VIT
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_a_publisher_is_of_the_weights_of_others(tmp_path: Path):
    model = create_model("vit_digits_patch2_8", embed_dim=8, depth=1, num_heads=2)
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0))
    with pytest.raises(ValueError, match="is this package's: publisher='timm' is for weights of others"):
        vit_jax.load_pretrained(tmp_path, publisher="timm")


@pytest.mark.parametrize("size", [{}, {"image_size": 64}])
@pytest.mark.parametrize("name", ["swin_cifar_patch2_window4_32", "resnet9_narrow_32"])
def test_a_module_of_another_kind_than_is_stored_is_refused_with_all_that_does_not_fit(
    name: str, size: dict[str, Any], tmp_path: Path
):
    model = create_model("vit_digits_patch2_8", embed_dim=8, depth=1, num_heads=2, image_size=32, in_channels=3)
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0))
    wanted = create_model(name)
    with pytest.raises(ValueError, match=f"does not fit a {type(wanted).__name__}") as error:
        vit_jax.load_pretrained(tmp_path, model=wanted, **size)
    assert "unexpected: pos_embed" in str(error.value)
    assert "unexpected: blocks_0/attn/qkv/kernel" in str(error.value)


def test_a_swin_with_fewer_blocks_than_are_stored_is_refused_with_all_that_does_not_fit(tmp_path: Path):
    model = small_swin(image_size=20, depths=(2,), num_heads=(2,))
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0))
    with pytest.raises(ValueError, match="unexpected: layers_0/blocks_1/"):
        vit_jax.load_pretrained(tmp_path, model=model.clone(depths=(1,)), window_size=2)


def test_a_module_for_pre_training_is_heeded_where_a_head_is_asked_for(tmp_path: Path):
    sizes = dict(embed_dim=8, depth=1, num_heads=2)
    model = create_model("beit_pretraining_cifar_patch4_32", **sizes)
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0))
    larger, params = vit_jax.load_pretrained(tmp_path, model=model.clone(image_size=48), num_classes=3)
    assert (larger.image_size, larger.num_classes) == (48, 3)
    assert params["blocks_0"]["attn"]["relative_position_bias"]["table"].shape == (23 * 23 + 3, 2)
    other = create_model("dino_pretraining_vit_cifar_patch4_32", **sizes)
    with pytest.raises(ValueError, match="unexpected: blocks_0/attn/relative_position_bias/table"):
        vit_jax.load_pretrained(tmp_path, model=other, num_classes=3)
