"""Small networks of every kind that timm or Hugging Face can hold."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

SQUARE: dict[str, Any] = dict(
    image_size=16, patch_size=4, preprocessing=Preprocessing(IMAGENET_MEAN, IMAGENET_STD, 0.9, "bilinear")
)
SMALL: dict[str, Any] = dict(**SQUARE, embed_dim=16, depth=1, num_heads=2)
VIT: dict[str, Any] = dict(**SMALL, num_classes=5)
MARGIN = Preprocessing((0.4,), (0.3,), 0.9, "lanczos", squash=True)
BEIT: dict[str, Any] = dict(
    **VIT, key_bias=False, pool="avg", fc_norm=True, pos_embed="none", relative_position="per_block"
)
DINOV2: dict[str, Any] = dict(**VIT, layer_scale=0.2, pool="token_avg", gelu="tanh")
SWIN: dict[str, Any] = dict(
    SQUARE, image_size=32, num_classes=5, patch_size=2, embed_dim=16, depths=(2, 1), num_heads=(2, 4), window_size=4
)


class SaveCase(NamedTuple):
    """A network, the formats that hold it, and the fields that come back with other values but the same function."""

    module: type[Network]
    fields: Mapping[str, Any]
    formats: tuple[str, ...] = ("timm", "huggingface")
    other_form: Mapping[str, Any] = {}


def of_timm(module: type[Network], **fields: Any) -> SaveCase:
    return SaveCase(module, fields, ("timm",))


def of_huggingface(module: type[Network], **fields: Any) -> SaveCase:
    return SaveCase(module, fields, ("huggingface",))


WIDE: dict[str, Any] = dict(image_size=(12, 20), preprocessing=MARGIN)

SAVE_CASES = {
    "vit": SaveCase(VisionTransformer, {**VIT, "depth": 2}),
    "vit_wide_tanh_one_channel": SaveCase(
        VisionTransformer, {**VIT, **WIDE, "gelu": "tanh", "in_channels": 1, "mlp_ratio": 2.5, "qkv_bias": False}
    ),
    "vit_oblong_patches": SaveCase(VisionTransformer, {**VIT, "patch_size": (8, 4)}),
    "vit_quick": SaveCase(VisionTransformer, dict(**VIT, gelu="quick")),
    "vit_no_head": SaveCase(VisionTransformer, {**VIT, "num_classes": 0}),
    "distilled": SaveCase(VisionTransformer, dict(**VIT, distilled=True)),
    "huggingface_epsilon": of_huggingface(VisionTransformer, **VIT, norm_eps=1e-12),
    "deit_without_teacher": SaveCase(VisionTransformer, dict(**VIT, num_registers=1)),
    "registers": of_timm(VisionTransformer, **VIT, num_registers=3, no_embed_class=True, layer_scale=0.3),
    "average_then_norm": of_timm(VisionTransformer, **VIT, pool="avg", fc_norm=True, num_registers=2),
    "average_without_class_token": of_timm(VisionTransformer, **VIT, pool="avg", class_token=False, qk_norm=True),
    "attention_pool": of_timm(VisionTransformer, **VIT, pool="map", fc_norm=True, pos_embed="none"),
    "clip": of_timm(VisionTransformer, **VIT, pre_norm=True, gelu="quick", norm_eps=1e-5),
    "swiglu": of_timm(VisionTransformer, **VIT, swiglu=True, mlp_ratio=2.5, layer_scale=0.2),
    "swiglu_without_layer_scale": of_timm(VisionTransformer, **VIT, swiglu=True),
    "beit": SaveCase(VisionTransformer, dict(BEIT, depth=2, layer_scale=0.3)),
    "beit_shared_table": SaveCase(
        VisionTransformer, {**BEIT, "relative_position": "shared", "pool": "token", "fc_norm": False}
    ),
    "beit_positions": SaveCase(
        VisionTransformer, {**BEIT, "relative_position": "none", "pos_embed": "learned", "layer_scale": 0.3}
    ),
    "beit_wide": of_timm(VisionTransformer, **{**BEIT, **WIDE}),
    "beit_without_biases": of_timm(VisionTransformer, **{**BEIT, "qkv_bias": False, "key_bias": True}),
    "dinov2": of_huggingface(VisionTransformer, **{**DINOV2, "depth": 2}),
    "dinov2_registers": of_huggingface(VisionTransformer, **DINOV2, num_registers=3, no_embed_class=True),
    "dinov2_swiglu": of_huggingface(VisionTransformer, **{**DINOV2, "swiglu": True, "mlp_ratio": 3.0, "gelu": "erf"}),
    "dinov2_no_head": of_huggingface(VisionTransformer, **{**DINOV2, "num_classes": 0, "pool": "token"}),
    "dinov2_no_head_both": of_huggingface(VisionTransformer, **{**DINOV2, "num_classes": 0}),
    "mae": of_huggingface(
        MaskedAutoencoder, **SMALL, decoder_embed_dim=24, decoder_depth=1, decoder_num_heads=2, pos_embed="learned",
        mask_ratio=0.6,
    ),
    "beit_pretraining": of_huggingface(BeitPretraining, **SMALL, vocab_size=11, layer_scale=0.2),
    "swin": SaveCase(SwinTransformer, {**SWIN, "depths": (2, 2), "preprocessing": MARGIN}),
    "swin_padded": of_huggingface(SwinTransformer, **{**SWIN, "image_size": 36, "qkv_bias": False}),
    "swin_padded_as_timm": of_timm(SwinTransformer, **{**SWIN, "image_size": (20, 36)}, window_rule="timm"),
    "swin_a_window_for_each_stage": of_timm(SwinTransformer, **{**SWIN, "window_size": (4, 8)}, window_rule="timm"),
    "swinv2": SaveCase(SwinTransformer, dict(**SWIN, version=2, pretrained_window_sizes=(3, 2), mlp_ratio=1.37)),
    "swinv2_small_map": SaveCase(SwinTransformer, dict(SWIN, version=2, image_size=16, window_size=8)),
    "swinv2_wide": of_huggingface(
        SwinTransformer, **{**SWIN, "image_size": (20, 36), "preprocessing": MARGIN}, version=2
    ),
    "swinv2_tall": of_huggingface(
        SwinTransformer,
        **{**SWIN, "depths": (2, 2), "image_size": (24, 12), "preprocessing": Preprocessing(squash=True)},
        version=2,
        window_rule="huggingface_v2",
    ),
    # The same function in another form.
    "deit3": SaveCase(
        VisionTransformer, dict(**VIT, no_embed_class=True, layer_scale=0.1, distilled=False), ("timm",)
    ),
    "no_position_for_the_class": SaveCase(
        VisionTransformer, dict(**VIT, no_embed_class=True), ("huggingface",), dict(no_embed_class=False)
    ),
    "no_position_for_the_class_of_beit": SaveCase(
        VisionTransformer,
        {**BEIT, "pos_embed": "learned", "no_embed_class": True},
        other_form=dict(no_embed_class=False),
    ),
    "distilled_fixed_positions": SaveCase(
        VisionTransformer, dict(**VIT, distilled=True, pos_embed="sincos"), other_form=dict(pos_embed="learned")
    ),
    "fixed_positions": SaveCase(
        VisionTransformer, dict(**VIT, pos_embed="sincos"), ("timm",), dict(pos_embed="learned", no_embed_class=True)
    ),
    "mae_fixed_positions": SaveCase(
        MaskedAutoencoder,
        dict(**SMALL, decoder_embed_dim=24, decoder_depth=1, decoder_num_heads=2),
        ("huggingface",),
        dict(pos_embed="learned"),
    ),
    "dinov2_fixed_positions": SaveCase(
        VisionTransformer,
        dict(**DINOV2, num_registers=2, pos_embed="sincos"),
        ("huggingface",),
        dict(pos_embed="learned", no_embed_class=True),
    ),
}  # fmt: skip

SAVED = [(name, format) for name, case in SAVE_CASES.items() for format in case.formats]
"""Every case with every format that holds it."""


def save_case(name: str) -> Network:
    """The module of a case."""
    case = SAVE_CASES[name]
    return case.module(**case.fields)


def loaded_case(name: str, format: str) -> Network:
    """The module that comes back."""
    model = save_case(name).clone(**SAVE_CASES[name].other_form)
    if isinstance(model, SwinTransformer):
        its_rule = {"timm": "timm", "huggingface": "microsoft" if model.version == 1 else "huggingface_v2"}
        return model.clone(window_rule=its_rule.get(format, model.window_rule))
    return model
