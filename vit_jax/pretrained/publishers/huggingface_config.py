"""What Hugging Face's `config.json` and `preprocessor_config.json` say that shapes do not.

Sources: `configuration_*.py` and the image processors of transformers.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vit_jax.models.preprocessing import Interpolation, Preprocessing
from vit_jax.pretrained.publishers.config_sizes import size, swin_sizes

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
    fields = {"image_size": size(config["image_size"])} if "image_size" in config else {}
    return fields | swin_sizes(config)


def gelu_form(activation: str) -> str:
    """The form of GELU by Hugging Face's name.

    Raises:
        ValueError: if it is another activation.
    """
    if activation not in GELU_FORMS:
        raise ValueError(f"hidden_act {activation!r} is not supported; it must be one of {', '.join(GELU_FORMS)}")
    return GELU_FORMS[activation]


def huggingface_class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names in the order of the outputs; () where the config has only its own "LABEL_0"."""
    names = config.get("id2label") or {}
    ordered = tuple(str(names[key]) for key in sorted(names, key=int))
    return () if all(name.startswith("LABEL_") for name in ordered) else ordered


def huggingface_preprocessing(processor: Mapping[str, Any] | None, default: Preprocessing) -> Preprocessing:
    """What `preprocessor_config.json` says; the default for what it does not."""
    if processor is None:
        return replace(default, crop_rounding="down")
    resized = processor.get("size")
    sides, cropped = sides_of(resized), crop_size(processor)
    fraction = 1.0
    if sides and cropped is not None:
        fraction = processor.get("crop_pct", min(cropped[0] / sides[0], 1.0))
    normalises = processor.get("do_normalize", True)
    return Preprocessing(
        mean=processor.get("image_mean", default.mean) if normalises else (0.0,),
        std=processor.get("image_std", default.std) if normalises else (1.0,),
        crop_fraction=fraction,
        interpolation=RESAMPLING.get(processor.get("resample"), default.interpolation),
        squash=not (isinstance(resized, Mapping) and "shortest_edge" in resized),
        crop_rounding=processor.get("crop_rounding", "down"),
    )


def crop_size(processor: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width that `preprocessor_config.json` crops images to; None where it crops none."""
    sides = sides_of(processor.get("crop_size"))
    return (sides[0], sides[-1]) if processor.get("do_center_crop") and sides else None


def sides_of(size: Any) -> list[int]:
    """The numbers of a size, which is one number, a dict of them with their names, or null for none."""
    return [size] if isinstance(size, int) else [side for side in (size or {}).values() if isinstance(side, int)]
