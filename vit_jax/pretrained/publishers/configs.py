"""What `config.json` and its neighbours say that shapes do not: heads, sizes, epsilons, class names, preprocessing.

Sources: `configuration_*.py` and the image processors of transformers; `_hub.py` and `_pretrained.py` of timm.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vit_jax.models.preprocessing import Interpolation, Preprocessing
from vit_jax.models.registry import MODELS

GELU_FORMS = {
    "gelu": "erf",
    "gelu_python": "erf",
    "gelu_new": "tanh",
    "gelu_fast": "tanh",
    "gelu_pytorch_tanh": "tanh",
    "quick_gelu": "quick",
}
"""Hugging Face's names of the forms of GELU."""

RESAMPLING: Mapping[Any, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which Hugging Face writes."""


def huggingface_vit(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `VisionTransformer` that Hugging Face's config gives."""
    fields: dict[str, Any] = {}
    if "num_attention_heads" in config:
        fields["num_heads"] = config["num_attention_heads"]
    if "image_size" in config:
        fields["image_size"] = size(config["image_size"])
    if "layer_norm_eps" in config:
        fields["norm_eps"] = config["layer_norm_eps"]
    if "hidden_act" in config and not config.get("use_swiglu_ffn"):
        fields["gelu"] = gelu_form(config["hidden_act"])
    layer_scale = config.get("layerscale_value", config.get("layer_scale_init_value"))  # DINOv2, BEiT
    if layer_scale:
        fields["layer_scale"] = layer_scale
    if "Dinov2" in str(config.get("architectures")) and "ForImageClassification" in str(config["architectures"]):
        fields["pool"] = "token_avg"
    return fields


def huggingface_mae(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `MaskedAutoencoder` that Hugging Face's config gives.

    Raises:
        ValueError: if its activation is not the erf form of GELU, which is MAE's only one here.
    """
    fields = huggingface_vit(config)
    if fields.pop("gelu", "erf") != "erf":
        raise ValueError(f"hidden_act {config['hidden_act']!r} is not supported in MAE; only the erf form of GELU is")
    if "decoder_num_attention_heads" in config:
        fields["decoder_num_heads"] = config["decoder_num_attention_heads"]
    if "mask_ratio" in config:
        fields["mask_ratio"] = config["mask_ratio"]
    return fields


def huggingface_swin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `SwinTransformer` that Hugging Face's config gives.

    Raises:
        ValueError: if its activation is not the erf form of GELU, which is Swin's only one here, or its epsilon is not
            that which transformers gives to some norms whatever the config says.
    """
    if gelu_form(config.get("hidden_act", "gelu")) != "erf":
        raise ValueError(f"hidden_act {config['hidden_act']!r} is not supported in Swin; only the erf form of GELU is")
    if config.get("layer_norm_eps", 1e-5) != 1e-5:
        raise ValueError(
            f"layer_norm_eps {config['layer_norm_eps']} is not supported in Swin; only 1e-5 is, "
            "which transformers gives to some of its norms whatever the config says"
        )
    fields: dict[str, Any] = {}
    if "image_size" in config:
        fields["image_size"] = size(config["image_size"])
    if "window_size" in config:
        fields["window_size"] = config["window_size"]
    if "mlp_ratio" in config:
        fields["mlp_ratio"] = config["mlp_ratio"]
    if "pretrained_window_sizes" in config:
        fields["pretrained_window_sizes"] = pretrained_windows(config["pretrained_window_sizes"])
    return fields


def pretrained_windows(sizes: Sequence[int]) -> tuple[int, ...]:
    """Windows that Swin V2's biases are scaled by, of zeros where they are each stage's own."""
    return tuple(sizes) if any(sizes) else ()


def gelu_form(activation: str) -> str:
    """The form of GELU by Hugging Face's name.

    Raises:
        ValueError: if it is another activation.
    """
    if activation not in GELU_FORMS:
        raise ValueError(f"hidden_act {activation!r} is not supported; it must be one of {', '.join(GELU_FORMS)}")
    return GELU_FORMS[activation]


def size(value: Any) -> Any:
    """A number, a list of height and width, or a dict of them as `image_size` has it."""
    if isinstance(value, Mapping):
        value = (value["height"], value["width"])
    if isinstance(value, list | tuple):
        return value[0] if len(value) == 1 or value[0] == value[1] else tuple(value)
    return value


def huggingface_class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names in the order of the outputs; () where the config has only its own "LABEL_0"."""
    names = config.get("id2label") or {}
    ordered = tuple(str(names[key]) for key in sorted(names, key=int))
    return () if all(name.startswith("LABEL_") for name in ordered) else ordered


def huggingface_preprocessing(processor: Mapping[str, Any] | None, default: Preprocessing) -> Preprocessing:
    """What `preprocessor_config.json` says; the default for what it does not."""
    if processor is None:
        return default
    resized = processor.get("size") or {}
    sides = [resized] if isinstance(resized, int) else [side for side in resized.values() if isinstance(side, int)]
    cropped = crop_size(processor)
    fraction = 1.0
    if sides and cropped is not None:
        fraction = processor.get("crop_pct", min(cropped[0] / sides[0], 1.0))
    normalises = processor.get("do_normalize", True)
    return Preprocessing(
        mean=channel_values(processor.get("image_mean", default.mean)) if normalises else (0.0,),
        std=channel_values(processor.get("image_std", default.std)) if normalises else (1.0,),
        crop_fraction=fraction,
        interpolation=RESAMPLING.get(processor.get("resample"), default.interpolation),
        squash=not (isinstance(resized, Mapping) and "shortest_edge" in resized),
    )


def crop_size(processor: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width that `preprocessor_config.json` crops images to; None where it crops none."""
    crop = processor.get("crop_size") or {}  # transformers writes null, too
    sides = [crop] if isinstance(crop, int) else [side for side in crop.values() if isinstance(side, int)]
    return (sides[0], sides[-1]) if processor.get("do_center_crop") and sides else None


def channel_values(value: Any) -> tuple[float, ...]:
    """One number for all channels, or one for each."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


OTHER_NETWORKS = {
    r"rope|dinov3|lingbot|^vit_pe_|^eva02_(?!enormous)": "rotary positions",
    r"_rpn_|^eva02_enormous": "norms after the branches",
    r"^test_vit3$": "registers among what it pools",
}
"""What timm's networks of these names have, while their parameters have a plain network's names."""

TANH_GELU = re.compile(r"(patch32|so400m_patch16|giantopt_patch16)_siglip|large_patch16_siglip(_gap)?_512")
"""timm's SigLIP networks with the tanh form; the older ones have erf there, unlike Google's own."""


TIMM_HEADS = {
    **{"tiny": 3, "xsmall": 4, "small": 6, "medium": 8, "mediumd": 8, "base": 12, "large": 16, "huge": 16},
    **{"giant": 16, "giantopt": 16, "gigantic": 16, "so400m": 16, "so150m": 14, "so150m2": 13, "betwixt": 10},
    **{"little": 5, "wee": 4},
}
"""Attention heads of timm's Vision Transformers by the size in their names."""

TIMM_OTHER_HEADS = {
    r"^vit_base_patch16_gap_": 16,
    r"^vit_base_patch\d+_plus_": 14,
    r"^vit_giant_.*(dinov2|tipsv2)": 24,
    r"^test_vit2?$": 2,
    r"^test_vit4$": 3,
}
"""Those of names that have others, or no size."""


def timm_heads(architecture: str) -> int | None:
    """Attention heads that timm's network of a name has; None where the name does not say."""
    other = next((heads for pattern, heads in TIMM_OTHER_HEADS.items() if re.search(pattern, architecture)), None)
    size = re.match(r"(?:vit|deit3?|beit(?:v2)?|eva|flexivit)_([a-z0-9]+)(?:_|$)", architecture)
    return other or (TIMM_HEADS.get(size[1]) if size else None)


TIMM_GELU_FORMS = {"gelu": "erf", "gelu_tanh": "tanh", "quick_gelu": "quick"}
"""timm's names of the forms of GELU."""


def timm_activation(architecture: str) -> str:
    """timm's name of the form of GELU in its network of a name."""
    if TANH_GELU.search(architecture):
        return "gelu_tanh"
    return "quick_gelu" if "_quickgelu_" in architecture else "gelu"


def refuse_other_networks(config: Mapping[str, Any]) -> None:
    """Raises ValueError for networks of timm's that would load, and compute something else."""
    arguments, architecture = config.get("model_args") or {}, config.get("architecture", "")
    changes = [
        name for name in ("use_rot_pos_emb", "rope_type", "block_fn", "pool_include_prefix") if arguments.get(name)
    ]
    if arguments.get("act_layer") not in (None, *TIMM_GELU_FORMS):
        changes.append(f"act_layer {arguments['act_layer']}")
    pool = arguments.get("global_pool", config.get("global_pool"))
    tokens_alone = pool == "" and timm_num_classes(config) == 0  # which are `features(...).tokens` here
    if pool not in (None, "token", "avg", "map") and not tokens_alone:
        changes.append(f"global_pool {pool!r}")
    changes += [what for pattern, what in OTHER_NETWORKS.items() if re.search(pattern, architecture)]
    if changes:
        what = ", ".join(changes)
        raise ValueError(f"timm's {architecture or 'network'} has {what}, which a VisionTransformer here has not")


def timm_num_classes(config: Mapping[str, Any]) -> int | None:
    """The number of classes; None if the config does not say."""
    arguments = config.get("model_args") or {}
    return arguments.get("num_classes", config.get("num_classes", pretrained_cfg(config).get("num_classes")))


def timm_vit(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `VisionTransformer` that timm's config gives; heads, the form of GELU and epsilon by the name, too.

    Raises:
        ValueError: if it is of another network, whose parameters have the same names.
    """
    refuse_other_networks(config)
    arguments, architecture = config.get("model_args") or {}, config.get("architecture", "")
    fields: dict[str, Any] = {"image_size": timm_image_size(config)} if timm_image_size(config) else {}
    if heads := arguments.get("num_heads", timm_heads(architecture)):
        fields["num_heads"] = heads
    fields["gelu"] = TIMM_GELU_FORMS[arguments.get("act_layer") or timm_activation(architecture)]
    fields["norm_eps"] = 1e-5 if re.match(r"vit_.*_clip_", architecture) else 1e-6
    if arguments.get("init_values"):
        fields["layer_scale"] = arguments["init_values"]
    pool = arguments.get("global_pool", config.get("global_pool"))
    if pool in ("token", "avg", "map"):
        fields["pool"] = pool
    return fields


def timm_swin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `SwinTransformer` that timm's config gives; windows by the architecture's name, too."""
    arguments = config.get("model_args") or {}
    _, registered = MODELS.get(config.get("architecture", ""), (None, {}))
    fields = {"window_size": registered["window_size"]} if "window_size" in registered else {}
    if registered:
        fields["pretrained_window_sizes"] = registered.get("pretrained_window_sizes", ())
    if timm_image_size(config):
        fields["image_size"] = timm_image_size(config)
    if "window_size" in arguments:
        fields["window_size"] = windows(arguments["window_size"])
    if "mlp_ratio" in arguments:
        fields["mlp_ratio"] = arguments["mlp_ratio"]
    if "pretrained_window_sizes" in arguments:
        fields["pretrained_window_sizes"] = pretrained_windows(arguments["pretrained_window_sizes"])
    return fields


def windows(value: Any) -> Any:
    """timm's windows: a number or a pair (height, width) for all stages, or a list of either with one for each.

    Raises:
        ValueError: if they are not square.
    """
    if isinstance(value, int):
        return value
    if len(value) == 2 and isinstance(value[0], int):
        value = [value]
    sides = [tuple(stage) if isinstance(stage, list | tuple) else (stage, stage) for stage in value]
    if any(height != width for height, width in sides):
        raise ValueError(f"window_size {value} is not supported; windows must be square")
    return sides[0][0] if len(sides) == 1 else tuple(height for height, _ in sides)


def timm_image_size(config: Mapping[str, Any]) -> Any:
    """The image's size that the weights are for; None if the config does not say."""
    arguments = config.get("model_args") or {}
    if "img_size" in arguments:
        return size(arguments["img_size"])
    shape = pretrained_cfg(config).get("input_size")
    return size(shape[1:]) if shape else None


def pretrained_cfg(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """timm's settings of the weights, which its older versions wrote beside the architecture (`_parse_model_cfg`)."""
    return config.get("pretrained_cfg") or config


def timm_class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names, where timm's config has them; `labels` in its older ones."""
    settings = pretrained_cfg(config)
    names = config.get("label_names") or settings.get("label_names") or settings.get("labels") or ()
    if isinstance(names, Mapping):  # by number; where some have no name, nothing is said of any
        numbers = [str(index) for index in range(len(names))]
        return tuple(names[number] for number in numbers) if set(names) == set(numbers) else ()
    return tuple(names)


def timm_preprocessing(config: Mapping[str, Any], default: Preprocessing) -> Preprocessing:
    """What timm's config says; the default for what it does not."""
    settings = pretrained_cfg(config)
    return Preprocessing(
        mean=tuple(settings.get("mean", default.mean)),
        std=tuple(settings.get("std", default.std)),
        crop_fraction=settings.get("crop_pct", default.crop_fraction),
        interpolation=settings.get("interpolation", default.interpolation),
        squash=settings.get("crop_mode", "center") == "squash",
    )
