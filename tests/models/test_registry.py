"""Every published network by its name, with the publisher's exact number of parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from vit_jax.models.other_names import ELSEWHERE
from vit_jax.models.parameters import parameter_count
from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from vit_jax.models.pretraining import encoder_of
from vit_jax.models.registry import MODELS, create_model, list_models

# Parameters as registered: 1000 classes, 10 for the 32 px models, no head for DINO. The numbers are those that timm
# 1.0.31 counts, except where "by hand" says that they are sums over the layers. With N patches of p x p x C pixels,
# width D and K classes:
#   ViT: patches (p p C + 1) D, class token and positions (N + 2) D (DeiT-III: (N + 1) D), each block 12 D^2 + 13 D
#     (DeiT-III: 2 D more), norm 2 D, head (D + 1) K.
#   mae_cifar: D = 192, fixed positions, MLPs of 2 D, so that a block has 8 D^2 + 11 D. Encoder (p p C + 1) D, class
#     token D, 9 blocks, norm 2 D; decoder (D + 1) D, mask token D, 2 blocks, norm 2 D, pixels (D + 1) p p C.
#   dino_pretraining: the backbone, and a head of (D + 1) h + (h + 1) h + (h + 1) 256 + 256 K. As published h = 2048 and
#     K = 65,536, each of which has a fixed norm that is counted there (22,352,128 with D = 384); for 32 px, 512 and
#     1,024.
PARAMETERS = {
    "vit_tiny_patch16_224": 5_717_416,
    "vit_tiny_patch16_384": 5_790_376,
    "vit_small_patch32_224": 22_878_952,
    "vit_small_patch32_384": 22_915_432,  # by hand
    "vit_small_patch16_224": 22_050_664,
    "vit_small_patch16_384": 22_196_584,
    "vit_base_patch32_224": 88_224_232,
    "vit_base_patch32_384": 88_297_192,
    "vit_base_patch16_224": 86_567_656,
    "vit_base_patch16_384": 86_859_496,
    "vit_base_patch8_224": 86_576_872,
    "vit_large_patch32_224": 306_535_400,
    "vit_large_patch32_384": 306_632_680,  # by hand
    "vit_large_patch16_224": 304_326_632,
    "vit_large_patch16_384": 304_715_752,
    "vit_large_patch14_224": 304_203_752,
    "vit_huge_patch14_224": 632_045_800,
    "vit_giant_patch14_224": 1_012_611_432,
    "vit_gigantic_patch14_224": 1_844_440_680,
    "vit_tiny_patch4_32": 5_362_762,
    "vit_tiny_patch2_32": 5_392_714,  # by hand
    "vit_small_patch4_32": 21_342_346,
    "vit_small_patch2_32": 21_402_250,  # by hand
    "vit_base_patch4_32": 85_152_010,
    "vit_cifar_patch4_32": 2_697_610,
    "vit_digits_patch2_8": 450_730,  # by hand
    "deit_tiny_patch16_224": 5_717_416,
    "deit_small_patch16_224": 22_050_664,
    "deit_base_patch16_224": 86_567_656,
    "deit_base_patch16_384": 86_859_496,
    "deit_tiny_distilled_patch16_224": 5_910_800,
    "deit_small_distilled_patch16_224": 22_436_432,
    "deit_base_distilled_patch16_224": 87_338_192,
    "deit_base_distilled_patch16_384": 87_630_032,
    "deit3_small_patch16_224": 22_059_496,
    "deit3_small_patch16_384": 22_205_416,  # by hand
    "deit3_base_patch16_224": 86_585_320,
    "deit3_base_patch16_384": 86_877_160,  # by hand
    "deit3_large_patch16_224": 304_374_760,
    "deit3_large_patch16_384": 304_763_880,  # by hand
    "deit3_huge_patch14_224": 632_126_440,
    "dino_small_patch16_224": 21_665_664,
    "dino_small_patch8_224": 21_670_272,
    "dino_base_patch16_224": 85_798_656,
    "dino_base_patch8_224": 85_807_872,
    "dinov2_small_patch14_518": 22_056_192,
    "dinov2_base_patch14_518": 86_579_712,
    "dinov2_large_patch14_518": 304_367_616,
    "dinov2_giant_patch14_518": 1_136_479_232,
    "dinov2_small_patch14_reg4_518": 22_057_344,
    "dinov2_base_patch14_reg4_518": 86_582_016,
    "dinov2_large_patch14_reg4_518": 304_370_688,
    "dinov2_giant_patch14_reg4_518": 1_136_483_840,
    "beit_base_patch16_224": 86_530_984,
    "beit_base_patch16_384": 86_744_104,
    "beit_large_patch16_224": 304_430_568,
    "beit_large_patch16_384": 304_998_888,
    "beit_large_patch16_512": 305_674_728,
    "beit_pretraining_base_patch16_224": 91_965_776,  # Hugging Face, as the next
    "beit_pretraining_large_patch16_224": 311_534_016,
    "beit_pretraining_cifar_patch4_32": 2_885_488,  # by hand, as the next
    "discrete_vae_patch4_32": 2_653_488,
    "discrete_vae_patch8_112": 12_726_976,
    "mae_base_patch16_224": 111_655_680,  # less than published by the positions: PARAMETERS_WITH
    "mae_large_patch16_224": 329_239_296,
    "mae_huge_patch14_224": 656_613_964,
    "mae_cifar_patch2_32": 3_310_284,  # by hand, as the next
    "mae_cifar_patch4_32": 3_324_144,
    "dino_pretraining_small_patch16_224": 43_952_256,  # by hand, as the next
    "dino_pretraining_small_patch8_224": 43_956_864,
    "dino_pretraining_base_patch16_224": 108_871_680,
    "dino_pretraining_base_patch8_224": 108_880_896,
    "dino_pretraining_vit_cifar_patch4_32": 3_450_624,
    "dino_pretraining_swin_cifar_patch2_window4_32": 7_898_010,
    "swin_tiny_patch4_window7_224": 28_288_354,
    "swin_small_patch4_window7_224": 49_606_258,
    "swin_base_patch4_window7_224": 87_768_224,
    "swin_base_patch4_window12_384": 87_903_584,
    "swin_large_patch4_window7_224": 196_532_476,
    "swin_large_patch4_window12_384": 196_735_516,
    "swin_cifar_patch2_window4_32": 7_048_612,
    "swin_tiny_patch2_window4_32": 27_505_108,
    "swin_tiny_patch1_window2_32": 27_500_644,
    "swinv2_tiny_window8_256": 28_347_154,
    "swinv2_tiny_window16_256": 28_347_154,
    "swinv2_small_window8_256": 49_728_418,
    "swinv2_small_window16_256": 49_728_418,
    "swinv2_base_window8_256": 87_918_816,
    "swinv2_base_window16_256": 87_918_816,
    "swinv2_base_window12_192": 109_280_841,
    "swinv2_base_window12to16_192to256": 87_918_816,
    "swinv2_base_window12to24_192to384": 87_918_816,
    "swinv2_large_window12_192": 228_772_549,
    "swinv2_large_window12to16_192to256": 196_739_932,
    "swinv2_large_window12to24_192to384": 196_739_932,
    "cnn_small_224": 97_810,  # by hand, as these three: tests/models/test_cnn.py
    "cnn_small_32": 156_186,
    "resnet9_32": 6_573_130,
    "resnet9_narrow_32": 103_954,
}

# With a head of 10 classes, and with none.
PARAMETERS_10_AND_0 = {
    "vit_tiny_patch16_224": (5_526_346, 5_524_416),
    "vit_tiny_patch16_384": (5_599_306, 5_597_376),
    "vit_small_patch32_224": (22_497_802, 22_493_952),
    "vit_small_patch16_224": (21_669_514, 21_665_664),
    "vit_small_patch16_384": (21_815_434, 21_811_584),
    "vit_base_patch32_224": (87_462_922, 87_455_232),
    "vit_base_patch32_384": (87_535_882, 87_528_192),
    "vit_base_patch16_224": (85_806_346, 85_798_656),
    "vit_base_patch16_384": (86_098_186, 86_090_496),
    "vit_base_patch8_224": (85_815_562, 85_807_872),
    "swin_tiny_patch4_window7_224": (27_527_044, 27_519_354),
    "swin_small_patch4_window7_224": (48_844_948, 48_837_258),
    "swin_base_patch4_window7_224": (86_753_474, 86_743_224),
    "swin_large_patch4_window7_224": (195_010_846, 194_995_476),
}

# With what the registered form has not: MAE's files have its fixed positions among the parameters, DINOv2's have the
# token of masked patches.
PARAMETERS_WITH = [
    ("mae_base_patch16_224", dict(pos_embed="learned"), 111_907_840),
    ("mae_large_patch16_224", dict(pos_embed="learned"), 329_541_888),
    ("mae_huge_patch14_224", dict(pos_embed="learned"), 657_074_508),
    ("dinov2_small_patch14_518", dict(mask_token=True), 22_056_576),
    ("dinov2_base_patch14_518", dict(mask_token=True), 86_580_480),
]


def count_parameters(name: str, **fields: Any) -> int:
    """Of a network of equal blocks, from two with one block and with two: a fraction of the time."""
    model = create_model(name, **fields)
    depth = getattr(model, "depth", None)
    if depth is None:
        return parameter_count(model)
    one, two = (parameter_count(model.clone(depth=blocks)) for blocks in (1, 2))
    return one + (depth - 1) * (two - one)


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_number_of_parameters_is_the_publishers(name: str, expected: int):
    assert count_parameters(name) == expected


@pytest.mark.parametrize("name", PARAMETERS_10_AND_0)
def test_number_of_parameters_with_ten_classes_and_without_head(name: str):
    assert (count_parameters(name, num_classes=10), count_parameters(name, num_classes=0)) == PARAMETERS_10_AND_0[name]


@pytest.mark.parametrize(("name", "fields", "expected"), PARAMETERS_WITH)
def test_number_of_parameters_of_the_published_files(name: str, fields: dict[str, Any], expected: int):
    assert count_parameters(name, **fields) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        *(("vit_*", "xavier_uniform"), ("deit*", "normal"), ("dino_[sb]*", "normal"), ("dinov2_*", "normal")),
        *(("beit_[bl]*", "normal"), ("beit_pretraining_*", "normal"), ("mae_*", "xavier_uniform")),
        ("dino_pretraining_*_224", "normal"),
    ],
)
def test_networks_begin_as_their_publishers(pattern: str, expected: str):
    names = list_models(pattern)
    assert names
    assert {encoder_of(create_model(name)).kernel_init for name in names} == {expected}


def test_every_registered_model_has_its_number_here():
    assert set(MODELS) == set(PARAMETERS)


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        *(("vit_tiny_patch16_224", 3), ("vit_small_patch16_224", 6), ("vit_base_patch16_224", 12)),
        *(("vit_large_patch16_224", 16), ("vit_huge_patch14_224", 16), ("vit_giant_patch14_224", 16)),
        *(("vit_gigantic_patch14_224", 16), ("vit_cifar_patch4_32", 12), ("deit3_small_patch16_224", 6)),
        *(("dinov2_small_patch14_518", 6), ("dinov2_giant_patch14_reg4_518", 24), ("beit_large_patch16_512", 16)),
        *(("mae_huge_patch14_224", 16), ("beit_pretraining_base_patch16_224", 12)),
    ],
)
def test_number_of_heads_is_published(name: str, heads: int):
    """Not seen in the number of parameters."""
    assert create_model(name).num_heads == heads


@pytest.mark.parametrize(
    ("name", "heads", "window", "size"),
    [
        ("swin_tiny_patch4_window7_224", (3, 6, 12, 24), 7, 224),
        ("swin_base_patch4_window12_384", (4, 8, 16, 32), 12, 384),
        ("swin_large_patch4_window7_224", (6, 12, 24, 48), 7, 224),
        ("swin_cifar_patch2_window4_32", (3, 6, 12), 4, 32),
        ("swinv2_small_window16_256", (3, 6, 12, 24), 16, 256),
        ("swinv2_base_window12_192", (4, 8, 16, 32), 12, 192),
        ("swinv2_large_window12to24_192to384", (6, 12, 24, 48), 24, 384),
    ],
)
def test_heads_windows_and_sizes_of_swin_are_published(name: str, heads: tuple[int, ...], window: int, size: int):
    """Version 2's parameters show neither its windows nor its image size."""
    model = create_model(name)
    assert (model.num_heads, model.window_size, model.image_size) == (heads, window, size)
    assert model.version == (2 if name.startswith("swinv2") else 1)
    assert model.pretrained_window_sizes == ((12, 12, 12, 6) if "12to" in name else ())


@pytest.mark.parametrize(
    ("name", "mean", "std", "crop_fraction"),
    [
        ("vit_base_patch16_224", (0.5,), (0.5,), 0.9),
        ("vit_base_patch16_384", (0.5,), (0.5,), 1.0),
        ("deit_tiny_patch16_224", IMAGENET_MEAN, IMAGENET_STD, 0.9),
        ("deit_base_distilled_patch16_384", IMAGENET_MEAN, IMAGENET_STD, 1.0),
        ("deit3_large_patch16_384", IMAGENET_MEAN, IMAGENET_STD, 1.0),
        ("dino_small_patch8_224", IMAGENET_MEAN, IMAGENET_STD, 0.875),
        ("dinov2_base_patch14_518", IMAGENET_MEAN, IMAGENET_STD, 1.0),
        ("beit_base_patch16_224", (0.5,), (0.5,), 0.9),
        ("beit_large_patch16_512", (0.5,), (0.5,), 1.0),
        ("mae_base_patch16_224", IMAGENET_MEAN, IMAGENET_STD, 0.9),
    ],
)
def test_preprocessing_is_published(name: str, mean: tuple[float, ...], std: tuple[float, ...], crop_fraction: float):
    preprocessing = create_model(name).preprocessing
    assert (preprocessing.mean, preprocessing.std) == (mean, std)
    assert (preprocessing.crop_fraction, preprocessing.interpolation) == (crop_fraction, "bicubic")


@pytest.mark.parametrize(
    ("name", "layer_scale"),
    [
        *(("beit_base_patch16_384", 0.1), ("beit_large_patch16_224", 1e-5), ("dinov2_giant_patch14_518", 1e-5)),
        *(("beit_pretraining_base_patch16_224", 0.1), ("beit_pretraining_large_patch16_224", 1e-5)),
    ],
)
def test_initial_layer_scale_is_published(name: str, layer_scale: float):
    assert create_model(name).layer_scale == layer_scale


def test_any_field_can_be_replaced():
    model = create_model("vit_base_patch16_224", num_classes=10, image_size=(32, 64), patch_size=4, dtype=jnp.bfloat16)
    assert (model.num_classes, model.image_size, model.patch_size, model.embed_dim) == (10, (32, 64), 4, 768)
    assert model.dtype == jnp.bfloat16


def test_list_models_takes_several_patterns():
    found = list_models(["vit_*", "swin_*", "swin_tiny*"])
    assert found == sorted(list_models("vit_*") + list_models("swin_*"))
    assert list_models([]) == []


def test_list_models_takes_a_pattern_and_sorts():
    assert list_models("vit_*_32") == [
        *("vit_base_patch4_32", "vit_cifar_patch4_32", "vit_small_patch2_32", "vit_small_patch4_32"),
        *("vit_tiny_patch2_32", "vit_tiny_patch4_32"),
    ]
    assert list_models() == sorted(MODELS)
    assert list_models("mobilenet*") == []


def test_unknown_model_is_answered_with_the_nearest_names():
    with pytest.raises(ValueError, match=r"unknown model 'vit_bas_patch16_224' \(did you mean .*vit_base_patch16_224"):
        create_model("vit_bas_patch16_224")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("swin_tiny", "swin_tiny_patch4_window7_224 or swin_tiny_patch2_window4_32 or"),
        ("vit_base_patch14_dinov2", r"dinov2_base_patch14_518 or dinov2_base_patch14_reg4_518\?"),
        ("vit_base_patch14_dinov2.lvd142m", "dinov2_base_patch14_518 or"),
        ("ViT-Base_Patch16_384", r"vit_base_patch16_384\?"),
        ("swin_v2_t", "swinv2_"),
    ],
)
def test_a_part_of_a_name_and_its_words_count_more_than_spelling(name: str, first: str):
    with pytest.raises(ValueError, match=rf"unknown model '{name}' \(did you mean {first}"):
        create_model(name)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("google/vit-base-patch16-224", "google/vit-base-patch16-224"),
        ("vit_base_patch16_224.augreg_in1k", "hf-hub:timm/vit_base_patch16_224.augreg_in1k"),
    ],
)
def test_names_of_weights_are_answered_with_what_loads_them(name: str, source: str):
    with pytest.raises(ValueError, match=rf"^'{name}' is .*: vit_jax\.load_pretrained\('{source}'\) loads them"):
        create_model(name)


def test_unknown_model_far_from_all_names_is_answered_with_where_to_look():
    with pytest.raises(ValueError, match=r"unknown model 'zzz'; vit_jax.list_models\(\)"):
        create_model("zzz")


def test_unknown_field_is_answered_with_the_nearest_names():
    with pytest.raises(ValueError, match=r"no field 'drop_paths' \(did you mean .*drop_path_rate"):
        create_model("vit_tiny_patch4_32", drop_paths=0.1)


@pytest.mark.parametrize(
    ("model", "field", "here"),
    [
        *(
            ("vit_tiny_patch4_32", field, here)
            for here, others in ELSEWHERE.items()
            for field in others
            if here != "depths"
        ),
        ("swin_tiny_patch4_window7_224", "num_hidden_layers", "depths"),
        ("swin_tiny_patch4_window7_224", "num_labels", "num_classes"),
    ],
)
def test_a_field_of_another_library_is_answered_with_its_name_here(model: str, field: str, here: str):
    with pytest.raises(ValueError, match=rf"no field '{field}' \(here it is {here}\); it has"):
        create_model(model, **{field: 1})


def test_a_field_of_another_library_that_a_network_has_not_is_answered_with_those_it_has():
    with pytest.raises(ValueError, match="no field 'init_values'; it has num_classes, "):
        create_model("swin_tiny_patch4_window7_224", init_values=1e-5)


@pytest.mark.parametrize("fields", [{"features_only": True}, {"out_indices": (0, 1)}])
def test_maps_are_had_of_features(fields: dict[str, Any]):
    """Not as by timm's function of this name."""
    with pytest.raises(ValueError, match=r"vit_jax\.features\(model, params, images\)\.stages are the maps"):
        create_model("swin_tiny_patch4_window7_224", **fields)


class Segmenter(nn.Module):
    """A module of a user's own."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        backbone = create_model("vit_digits_patch2_8", depth=1, name="backbone")
        return nn.Dense(2, name="classes")(backbone.features(images).stages[-1])


def test_a_network_has_a_name_in_a_module_of_a_user_s_own():
    params = jax.eval_shape(Segmenter().init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
    assert set(params) == {"backbone", "classes"}
    assert "blocks_0" in params["backbone"]


def test_flax_own_fields_are_not_offered():
    assert create_model("vit_tiny_patch4_32", parent=None, name=None) == create_model("vit_tiny_patch4_32")
    with pytest.raises(ValueError, match="no field 'parents'") as refused:
        create_model("vit_tiny_patch4_32", parents=None)
    assert "parent," not in str(refused.value)


@pytest.mark.parametrize("pretrained", [True, False])
def test_weights_are_loaded_by_load_pretrained(pretrained: bool):
    """Not as by timm's function of this name."""
    with pytest.raises(ValueError, match=r"without weights: vit_jax\.load_pretrained\(source\) loads them \(train"):
        create_model("vit_base_patch16_224", pretrained=pretrained)
