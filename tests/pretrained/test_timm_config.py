"""What timm's config says, and what the name of the network in it says: heads, the form of GELU, other blocks."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from tests.pretrained.publisher_cases import CASES, draw, golden_shapes, timm_config, write
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.load import open_stored, read
from vit_jax.pretrained.publishers import timm
from vit_jax.pretrained.publishers.timm_config import (
    timm_class_names,
    timm_heads,
    timm_preprocessing,
    timm_swin,
    timm_vit,
)
from vit_jax.pretrained.rules import find_theirs


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """A small network by timm's names."""
    return draw(golden_shapes()["timm"], seed=0)


def folder(path: Path, arrays: dict[str, np.ndarray], config: dict[str, Any]) -> Path:
    """A folder of timm's with another config than the case's."""
    write(CASES["timm"], arrays, path)
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_the_name_of_the_network_tells_the_heads(arrays, tmp_path: Path):
    """timm's own configs say no number. Neither the shapes nor a published size of this width would."""
    model = open_stored(folder(tmp_path, arrays, timm_config("vit_tiny_patch16_224"))).model
    assert isinstance(model, VisionTransformer)
    assert model.num_heads == 3
    with pytest.raises(ValueError, match=r"a config\.json beside it tell its num_heads; give model=, a network made"):
        open_stored(folder(tmp_path, arrays, timm_config("vit_unheard_of")))


def test_a_margin_that_patches_leave_over_is_left_and_said_to_be(arrays, tmp_path: Path, caplog):
    """As of SigLIP's network of 384 px in patches of 14."""
    config = timm_config("vit_tiny_patch16_224", img_size=[19, 16])
    model = open_stored(folder(tmp_path, arrays, config)).model
    assert model.image_size == 16
    assert "images are of 16 x 16 px, whole patches: of its own 19 x 16 px" in caplog.text


@pytest.mark.parity("torch", "timm", "torchvision", "transformers")
def test_a_margin_is_not_seen_by_timm(arrays, tmp_path: Path):
    from tests.pretrained.publisher_reference import REFERENCES

    images = np.random.RandomState(0).standard_normal((2, 18, 18, 3)).astype(np.float32)
    expected = REFERENCES["timm"].logits(arrays, images)
    loaded = read(open_stored(folder(tmp_path, arrays, timm_config("vit_tiny_patch16_224", img_size=18))))
    with jax.default_matmul_precision("highest"):
        logits = np.asarray(loaded.model.apply({"params": loaded.params}, images[:, :16, :16]))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("architecture", "heads"),
    [
        ("vit_so400m_patch14_siglip_384", 16),
        ("vit_giantopt_patch16_siglip_256", 16),
        ("vit_giant_patch14_reg4_dinov2", 24),
        ("vit_giant_patch14_224", 16),
        ("vit_base_patch16_gap_224", 16),
        ("vit_base_patch16_reg4_gap_256", 12),
        ("vit_base_patch32_plus_256", 14),
        ("deit3_medium_patch16_224", 8),
        ("test_vit4", 3),
        ("resnet50", None),
        ("", None),
    ],
)
def test_the_heads_of_a_name(architecture: str, heads: int | None):
    assert timm_heads(architecture) == heads


@pytest.mark.parametrize(
    ("architecture", "epsilon"),
    [("vit_base_patch16_clip_224", 1e-5), ("eva_giant_patch14_clip_224", 1e-6), ("vit_base_patch16_224", 1e-6)],
)
def test_the_epsilon_of_a_name(architecture: str, epsilon: float):
    """OpenAI's 1e-5 is that of the Vision Transformers called CLIP's, not of EVA's."""
    assert timm_vit({"architecture": architecture})["norm_eps"] == epsilon


@pytest.mark.parity("torch", "timm")
def test_heads_epsilon_and_gelu_are_timm_s_of_every_network_that_loads():
    from tests.pretrained.timm_folder import timm_networks

    networks = {name: network for name, network in timm_networks() if loads(network)}
    theirs = {name: numerics(x.blocks[0]) for name, x in networks.items() if not computes_something_else(x)}
    assert len(theirs) > 100
    ours = {name: timm_vit({"architecture": name}) for name in theirs}
    fields = {name: (x["num_heads"], x["norm_eps"], x["gelu"]) for name, x in ours.items()}
    assert fields == theirs
    for name in networks.keys() - theirs.keys():
        with pytest.raises(ValueError, match="which a VisionTransformer here has not"):
            timm_vit({"architecture": name})


def computes_something_else(network: Any) -> bool:
    """Whether one of timm's networks has rotary positions, norms after the branches, or pools registers, too."""
    norms_after = "Post" in type(network.blocks[0]).__name__
    return getattr(network, "rope", None) is not None or norms_after or getattr(network, "pool_include_prefix", False)


def numerics(block: Any) -> tuple[int, float, str]:
    """Heads, epsilon and form of GELU of one of timm's blocks; SwiGLU has none, and here the default."""
    forms = {"GELU": "erf", "GELUTanh": "tanh", "QuickGELU": "quick", "SiLU": "erf"}
    return block.attn.num_heads, block.norm1.eps, forms[type(block.mlp.act).__name__]


def loads(network: Any) -> bool:
    """Whether the table has a network's names, and the network the biases of its norms."""
    names = network.state_dict().keys()
    norms = any("blocks.0.norm1.bias" in names and norm in names for norm in ("norm.bias", "fc_norm.bias"))
    return norms and all(find_theirs(name, timm.VIT) for name in names)


def test_preprocessing_and_class_names_travel_with_timm_s_folder(arrays: dict[str, np.ndarray], tmp_path: Path):
    case = CASES["timm"]
    path = write(case, arrays, tmp_path)
    settings = {"input_size": [3, 16, 16], "mean": [0.3] * 3, "std": [0.4] * 3, "crop_pct": 0.95, "crop_mode": "squash"}
    config = {
        **(case.config or {}),
        "pretrained_cfg": {**settings, "interpolation": "bilinear"},
        "label_names": list("abcde"),
    }
    (path / "config.json").write_text(json.dumps(config))
    loaded = open_stored(path)
    assert loaded.class_names == tuple("abcde")
    assert loaded.model.preprocessing == Preprocessing((0.3,) * 3, (0.4,) * 3, 0.95, "bilinear", squash=True)


def test_a_flat_config_is_read_like_a_nested_one(arrays, tmp_path: Path):
    """As timm wrote them before 0.9: settings of the weights beside the architecture, class names as `labels`."""
    settings = {"input_size": [3, 16, 16], "mean": [0.3] * 3, "std": [0.4] * 3, "crop_pct": 0.95}
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 5, **settings, "labels": list("abcde")}
    loaded = open_stored(folder(tmp_path, arrays, config))
    assert loaded.class_names == tuple("abcde")
    assert loaded.model.preprocessing == Preprocessing((0.3,) * 3, (0.4,) * 3, 0.95)


@pytest.mark.parity("torch", "timm")
def test_a_flat_config_is_timm_s():
    from tests.pretrained.timm_folder import timm_settings

    flat = {"architecture": "vit_tiny_patch16_224", "mean": [0.3], "std": [0.4], "crop_pct": 0.95, "labels": ["a"]}
    nested = {"architecture": flat["architecture"], "pretrained_cfg": timm_settings(flat)}
    default = Preprocessing()
    assert timm_preprocessing(flat, default) == timm_preprocessing(nested, default)
    assert timm_class_names(flat) == timm_class_names(nested) == ("a",)


def test_a_config_without_a_mean_is_a_warning(arrays, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    preprocessing = open_stored(folder(tmp_path, arrays, timm_config("vit_tiny_patch16_224"))).model.preprocessing
    assert f"says no mean and standard deviation, so images are prepared as {preprocessing}" in caplog.text


@pytest.mark.parametrize(
    ("architecture", "arguments", "what"),
    [
        ("vit_base_patch16_dinov3", {}, "vit_base_patch16_dinov3 has rotary positions"),
        ("vit_small_patch16_rope_224", {}, "rotary positions"),
        ("vit_pe_core_base_patch16_224", {}, "rotary positions"),
        ("eva02_tiny_patch14_224", {}, "rotary positions"),
        ("vit_base_patch16_rpn_224", {}, "norms after the branches"),
        ("eva02_enormous_patch14_clip_224", {}, "norms after the branches"),
        ("test_vit3", {}, "test_vit3 has registers among what it pools, which"),
        ("vit_tiny_patch16_224", {"rope_type": "dinov3"}, "rope_type"),
        ("vit_tiny_patch16_224", {"act_layer": "relu"}, "act_layer relu"),
        ("vit_tiny_patch16_224", {"global_pool": "avgmax"}, "global_pool 'avgmax'"),
        ("vit_tiny_patch16_224", {"global_pool": ""}, "global_pool ''"),
        ("vit_tiny_patch16_224", {"global_pool": "", "num_classes": 5}, "global_pool ''"),
        ("vit_tiny_patch16_224", {"pool_include_prefix": True}, "pool_include_prefix"),
        ("vit_tiny_patch16_224", {"dynamic_img_pad": True}, "dynamic_img_pad"),
        ("eva_giant_patch14_224", {"use_post_norm": True}, "use_post_norm"),
        ("eva_giant_patch14_224", {"global_pool": "map"}, "global_pool 'map'"),
        ("vit_giant_patch14_dinov2", {"act_layer": "gelu"}, "act_layer gelu"),
        ("deit_base_distilled_patch16_224", {"fc_norm": True}, "fc_norm beside a distillation token"),
        ("deit_base_distilled_patch16_224", {"num_classes": 0}, "has no heads, and gives the mean of its two tokens"),
    ],
)
def test_timm_s_other_networks_of_the_same_names_are_refused(arrays, tmp_path: Path, architecture, arguments, what):
    """They would load, and compute something else."""
    path = write(CASES["timm"], arrays, tmp_path)
    config = timm_config(architecture, num_heads=3, **arguments)
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=what):
        open_stored(path)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"global_pool": "max"}, "global_pool 'max'"),
        ({"global_pool": ""}, "global_pool ''"),
        ({"act_layer": "relu"}, "act_layer relu"),
        ({"always_partition": True}, "always_partition"),
    ],
)
def test_timm_s_other_swins_of_the_same_names_are_refused(arguments, what):
    with pytest.raises(ValueError, match=f"has {what}, which a SwinTransformer here has not"):
        timm_swin(timm_config("swinv2_tiny_window8_256", **arguments))
    for pool in ("avg", "fast"):  # two ways to compute the same
        timm_swin(timm_config("swinv2_tiny_window8_256", global_pool=pool, act_layer="gelu"))
    timm_swin(timm_config("swin_tiny_patch4_window7_224", global_pool="", num_classes=0))


@pytest.mark.parametrize("place", ["model_args", "config", "pretrained_cfg"])
def test_without_classes_a_network_need_not_pool(place: str):
    """timm gives all tokens then, which are `vit_jax.features(...).tokens`."""
    places = {"model_args": {"global_pool": ""}, "config": {}, "pretrained_cfg": {"input_size": [3, 16, 16]}}
    places[place]["num_classes"] = 0
    config = {"architecture": "vit_tiny_patch16_224", **places.pop("config"), **places}
    assert "pool" not in timm_vit(config)


@pytest.mark.parametrize(
    ("architecture", "gelu"),
    [
        ("vit_base_patch16_siglip_224", "erf"),
        ("vit_so400m_patch14_siglip_gap_384", "erf"),
        ("vit_large_patch16_siglip_gap_512", "tanh"),
        ("vit_base_patch32_siglip_256", "tanh"),
        ("vit_giantopt_patch16_siglip_gap_384", "tanh"),
    ],
)
def test_the_gelu_of_a_siglip_is_that_of_timm_s_network(arrays, tmp_path: Path, architecture, gelu):
    path = write(CASES["timm"], arrays, tmp_path)
    (path / "config.json").write_text(json.dumps(timm_config(architecture, num_heads=3)))
    assert open_stored(path).model.gelu == gelu
    (path / "config.json").write_text(json.dumps(timm_config(architecture, num_heads=3, act_layer="gelu")))
    assert open_stored(path).model.gelu == "erf"


@pytest.mark.parametrize("complete", [True, False])
def test_timm_s_class_names_by_number(arrays, tmp_path: Path, complete: bool):
    path = write(CASES["timm"], arrays, tmp_path)
    names = dict(zip("10234" if complete else "10239", "bacde", strict=True))
    (path / "config.json").write_text(json.dumps({**(CASES["timm"].config or {}), "label_names": names}))
    assert open_stored(path).class_names == (tuple("abcde") if complete else ())
