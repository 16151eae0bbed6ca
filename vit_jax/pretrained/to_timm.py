"""Networks as timm's: `config.json` as its `save_for_hf` writes it, for `timm.create_model("local-dir:...")`.

An architecture is a function of timm's registry; `model_args` replaces whatever it is made with. What these cannot say
(an epsilon, a class of layer) is the architecture's own. Sources: `_hub.py`, `_builder.py`, `vision_transformer.py`,
`deit.py`, `beit.py`, `swin_transformer.py` and `swin_transformer_v2.py` of timm 1.0.31.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vit_jax.models.layers import hidden_width
from vit_jax.models.network import Network
from vit_jax.models.registry import MODELS, model_fields
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.fixed_positions import fixed_positions
from vit_jax.pretrained.folder import (
    RATES,
    Arrays,
    Folder,
    as_json,
    check_contents,
    encoder_hint,
    flat_arrays,
    is_beit,
    notes_on,
    other_crop,
    ratio_of,
    refuse,
    same_windows_by,
    theirs,
    unfit,
    with_all_positions,
)
from vit_jax.pretrained.publishers import timm
from vit_jax.pretrained.publishers.timm_config import TIMM_GELU_FORMS
from vit_jax.pretrained.rules import Table

ITS_NAMES = re.compile(
    r"(vit|deit3?|swin|swinv2)_(tiny|small|base|large|huge|giant|gigantic)_(distilled_)?"
    r"(patch\d+_(window\d+_)?(224|384)|window.*)"
)
"""Of this project's names those that timm has, too, for the same networks."""

NOT_OF_THE_NAME = (
    *RATES,
    *("num_classes", "in_channels", "dtype", "kernel_init", "remat", "window_rule", "preprocessing", "resizing"),
)
"""Fields in which a network may differ from the one of that name: weights of one architecture differ in them."""


@dataclass(frozen=True)
class TimmNetwork:
    """One of timm's networks.

    Attributes:
        architecture: a name in its registry.
        model_args: what is said besides; without the sizes of images, which all have.
        table: of names.
        arrays: the parameters in its form, by our paths.
        classifier: its layers, by their names.
    """

    architecture: str
    model_args: Mapping[str, Any]
    table: Table
    arrays: Arrays
    classifier: Any = "head"


def to_timm(model: Network, params: Mapping[str, Any], class_names: tuple[str, ...]) -> Folder:
    """The folder of a network for timm; see `vit_jax.save_pretrained`."""
    refuse("timm", model, reasons_against(model))
    check_contents(model, params, class_names)
    network = network_of(model, flat_arrays(params))
    height, width, channels = model.input_shape
    settings = model.preprocessing
    pretrained_cfg = {
        "custom_load": False,
        "input_size": [channels, height, width],
        "fixed_input_size": True,
        "interpolation": settings.interpolation,
        "crop_pct": settings.crop_fraction,
        "crop_mode": "squash" if settings.squash else "center",
        "mean": list(settings.mean),
        "std": list(settings.std),
        "num_classes": model.num_classes,
        "pool_size": None,
        "first_conv": "patch_embed.proj",
        "classifier": network.classifier,
    }
    sizes = {"img_size": as_json(model.image_size), "in_chans": channels}
    config: dict[str, Any] = {
        "architecture": network.architecture,
        "num_classes": model.num_classes,
        "num_features": width_of(model),
        "global_pool": network.model_args.get("global_pool", "avg"),
        "model_args": {**sizes, **network.model_args},
        "pretrained_cfg": pretrained_cfg,
    }
    if class_names:
        config["label_names"] = list(class_names)
    return Folder(config, theirs(network.arrays, network.table), {}, notes_on(model) + other_form(model))


def other_form(model: Network) -> tuple[str, ...]:
    """What has another form there, a line each."""
    notes = other_crop(model.preprocessing, "even")
    if isinstance(model, SwinTransformer) and model.window_rule != "timm":
        notes += (f'window_rule={model.window_rule!r} is "timm" there, which is the same at this size',)
    if isinstance(model, VisionTransformer) and model.no_embed_class and (model.distilled or is_beit(model)):
        notes += ("the tokens without a position have one of zeros there",)
    return notes


def reasons_against(model: Network) -> list[str]:
    """Why timm has no such network, a line each; empty if it has."""
    if isinstance(model, SwinTransformer):
        return against_swin(model)
    if not isinstance(model, VisionTransformer):
        return [f"timm has no such network{encoder_hint(model)}"]
    epsilon = "1e-5" if model.pre_norm else "1e-6"
    conditions = {
        "norm_eps": (model.norm_eps == float(epsilon), f"timm's is {epsilon}. {OTHER_EPSILON}"),
        "pre_norm": (
            not (model.pre_norm and (model.swiglu or model.distilled or is_beit(model))),
            "timm has it in plain networks only",
        ),
        "pool": (
            model.pool != "token_avg" and not (model.pool == "map" and model.swiglu),
            "timm pools the class token or the patches; by attention, not beside SwiGLU",
        ),
        "representation_size": (model.representation_size == 0, "timm has no layer between pooling and head"),
        "mask_token": (not model.mask_token, "timm has no mask token"),
        "layer_scale": (model.layer_scale != 0, "timm takes 0 for no layer scale"),
    }
    if is_beit(model):
        return unfit(model, conditions | beit_conditions(model))
    if model.distilled:
        conditions |= {
            "num_registers": (model.num_registers == 0, "timm's distilled networks have no registers"),
            "pos_embed": (model.pos_embed != "none", "timm's distilled networks always have positions"),
            "fc_norm": (not model.fc_norm, "timm's distilled networks normalise before their heads"),
            "swiglu": (not model.swiglu, "timm's distilled networks have no SwiGLU"),
            "answer": (model.answer == "mean", "timm's distilled networks answer by the mean of both heads"),
        }
    return unfit(model, conditions)


OTHER_EPSILON = "model.clone(norm_eps=...), or vit-jax convert --norm-eps, takes it: outputs then differ slightly"


def beit_conditions(model: VisionTransformer) -> dict[str, tuple[bool, str]]:
    """What timm's `Beit` asks for besides, by field."""
    return {
        "key_bias": (not (model.qkv_bias and model.key_bias), "keys have no bias in timm's BEiT"),
        "class_token": (model.class_token, "timm's BEiT has a class token"),
        "distilled": (not model.distilled, "timm's BEiT has one class token only"),
        "num_registers": (model.num_registers == 0, "timm's BEiT has no registers"),
        "pool": (model.pool in ("token", "avg"), "timm's BEiT pools the class token or the mean of the patches"),
        "qk_norm": (not model.qk_norm, "timm's BEiT does not normalise queries and keys"),
        "swiglu": (not model.swiglu, "timm's BEiT keeps SwiGLU's halves apart"),
        "gelu": (model.gelu == "erf", "timm's BEiT has the erf form only"),
        "image_size": (
            model.relative_position == "none" or not seems_square(model.grid),
            "timm would take this table of biases for that of a square image",
        ),
    }


def seems_square(window: tuple[int, int]) -> bool:
    """Whether timm would take a window's table of biases, by the number of its rows, for that of a square."""
    offsets = math.prod(2 * side - 1 for side in window)
    return window[0] != window[1] and math.isqrt(offsets) ** 2 == offsets


def against_swin(model: SwinTransformer) -> list[str]:
    """Why timm has no such Swin, a line each."""
    its_own = model.clone(window_rule="timm").window_grids
    mistaken = any(seems_square(grids[0].window) for grids in its_own)
    return unfit(
        model,
        {
            "norm_eps": (model.norm_eps == 1e-5, f"timm's Swin has 1e-5. {OTHER_EPSILON}"),
            "window_rule": (
                same_windows_by(model, "timm"),
                f"timm pads or shifts the windows of a {model.image_size} px image in another way",
            ),
            "image_size": (
                model.version == 2 or not mistaken,
                "timm would take a table of biases for that of a square window",
            ),
        },
    )


def network_of(model: Network, arrays: Arrays) -> TimmNetwork:
    """timm's network for one of ours."""
    if isinstance(model, SwinTransformer):
        return swin(model, arrays)
    assert isinstance(model, VisionTransformer)
    return beit(model, arrays) if is_beit(model) else vit(model, arrays)


def shared(model: VisionTransformer) -> dict[str, Any]:
    """What all of timm's Vision Transformers are told."""
    hidden = hidden_width(model.embed_dim, model.mlp_ratio)
    return dict(
        patch_size=as_json(model.patch_size),
        embed_dim=model.embed_dim,
        depth=model.depth,
        num_heads=model.num_heads,
        mlp_ratio=ratio_of(2 * hidden if model.swiglu else hidden, model.embed_dim),
        qkv_bias=model.qkv_bias,
        init_values=model.layer_scale or 0.0,
        global_pool=model.pool,
    )


def vit(model: VisionTransformer, arrays: Arrays) -> TimmNetwork:
    """timm's `VisionTransformer` and `VisionTransformerDistilled`."""
    arguments = shared(model) | dict(
        qk_norm=model.qk_norm,
        class_token=model.class_token,
        pos_embed="none" if model.pos_embed == "none" else "learn",
        pre_norm=model.pre_norm,
        no_embed_class=model.no_embed_class or model.pos_embed == "sincos",
        reg_tokens=model.num_registers,
        fc_norm=model.fc_norm,
    )
    if not model.swiglu:
        arguments["act_layer"] = {ours: name for name, ours in TIMM_GELU_FORMS.items()}[model.gelu]
    if model.distilled:
        arguments["no_embed_class"] = False  # timm makes a position for every token whatever it says
        arrays = with_all_positions(model, arrays)
        name = its_name(model, "deit_base_distilled_patch16_224")
        return TimmNetwork(name, arguments, timm.VIT, arrays, ["head", "head_dist"])
    arrays = arrays | fixed_positions(model.clone(no_embed_class=True))
    # Classes of layers and epsilons are nothing that JSON could say: only these have SwiGLU, and CLIP's 1e-5.
    plain = "vit_base_patch16_clip_224" if model.pre_norm else "vit_base_patch16_224"
    name = "vit_giant_patch14_dinov2" if model.swiglu else its_name(model, plain)
    return TimmNetwork(name, arguments, timm.VIT, arrays)


def beit(model: VisionTransformer, arrays: Arrays) -> TimmNetwork:
    """timm's `Beit`."""
    arguments = shared(model) | dict(
        use_abs_pos_emb=model.pos_embed != "none",
        use_rel_pos_bias=model.relative_position == "per_block",
        use_shared_rel_pos_bias=model.relative_position == "shared",
        use_fc_norm=model.fc_norm,
    )
    return TimmNetwork("beit_base_patch16_224", arguments, timm.BEIT, with_all_positions(model, arrays))


def swin(model: SwinTransformer, arrays: Arrays) -> TimmNetwork:
    """timm's `SwinTransformer` and `SwinTransformerV2`."""
    windows = model.window_size
    arguments: dict[str, Any] = dict(
        patch_size=as_json(model.patch_size),
        embed_dim=model.embed_dim,
        depths=list(model.depths),
        num_heads=list(model.num_heads),
        window_size=windows if isinstance(windows, int) else [[side, side] for side in windows],
        mlp_ratio=model.mlp_ratio,
        qkv_bias=model.qkv_bias,
    )
    if model.version == 2:
        arguments["pretrained_window_sizes"] = list(model.pretrained_window_sizes or (0,) * len(model.depths))
    generic = "swin_tiny_patch4_window7_224" if model.version == 1 else "swinv2_tiny_window8_256"
    return TimmNetwork(its_name(model, generic), arguments, timm.SWIN, arrays, "head.fc")


def its_name(model: Network, otherwise: str) -> str:
    """The name in timm of a published network, of those that are alike the one with its preprocessing."""
    found = []
    for name, (module, _) in MODELS.items():
        if ITS_NAMES.fullmatch(name) and module is type(model):
            fields = model_fields(name)
            if all(getattr(model, field) == x for field, x in fields.items() if field not in NOT_OF_THE_NAME):
                found.append((fields["preprocessing"] != model.preprocessing, name))
    return min(found, default=(False, otherwise), key=lambda pair: pair[0])[1]


def width_of(model: Network) -> int:
    """Width of the vector that the head reads."""
    if isinstance(model, SwinTransformer):
        return model.embed_dim * 2 ** (len(model.depths) - 1)
    assert isinstance(model, VisionTransformer)
    return model.embed_dim
