"""What timm's `config.json` says that shapes do not, and what only the name of the architecture in it tells.

Sources: `_hub.py` and `_pretrained.py` of timm.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import MODELS
from vit_jax.pretrained.publishers.config_sizes import size, swin_sizes

OTHER_NETWORKS = {
    r"rope|dinov3|lingbot|^vit_pe_|^eva02_(?!enormous)": "rotary positions",
    r"_rpn_|^eva02_enormous": "norms after the branches",
    r"^test_vit3$": "registers among what it pools",
}
"""What timm's networks of these names have, while their parameters have a plain network's names."""

OTHER_ARGUMENTS = (
    *("use_rot_pos_emb", "rope_type", "block_fn", "pool_include_prefix", "use_post_norm", "dynamic_img_pad"),
)
"""Arguments by which a network of timm's computes something else, from parameters of the same names and shapes."""

SWIGLU = re.compile(r"giant.*dinov2")
"""timm's networks whose MLP is a SwiGLU: their activation is that of its gate."""

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
    arguments, architecture = model_args(config), config.get("architecture", "")
    changes = [name for name in OTHER_ARGUMENTS if arguments.get(name)]
    activations = ("silu",) if SWIGLU.search(architecture) else TIMM_GELU_FORMS
    if arguments.get("act_layer") not in (None, *activations):
        changes.append(f"act_layer {arguments['act_layer']}")
    pools = ("token", "avg") if architecture.startswith("eva") else ("token", "avg", "map")
    changes += other_pooling(config, pools)
    if "distilled" in architecture and arguments.get("fc_norm"):
        changes.append("fc_norm beside a distillation token")
    if "distilled" in architecture and timm_num_classes(config) == 0:
        changes.append("no heads, and gives the mean of its two tokens")
    changes += [what for pattern, what in OTHER_NETWORKS.items() if re.search(pattern, architecture)]
    refuse(changes, architecture, "VisionTransformer")


def refuse_other_swins(config: Mapping[str, Any]) -> None:
    """As `refuse_other_networks`, for timm's Swin and Swin V2."""
    arguments, architecture = model_args(config), config.get("architecture", "")
    changes = other_pooling(config, ("avg", "fast"))
    if arguments.get("act_layer") not in (None, "gelu"):
        changes.append(f"act_layer {arguments['act_layer']}")
    if arguments.get("always_partition"):
        changes.append("always_partition")
    refuse(changes, architecture, "SwinTransformer")


def other_pooling(config: Mapping[str, Any], known: tuple[str, ...]) -> list[str]:
    """What timm's config says of pooling, if it is neither known nor none at all in a network without a head."""
    pool = model_args(config).get("global_pool", config.get("global_pool"))
    tokens_alone = pool == "" and timm_num_classes(config) == 0  # which are `features(...).tokens` here
    return [] if pool in (None, *known) or tokens_alone else [f"global_pool {pool!r}"]


def refuse(changes: Sequence[str], architecture: str, ours: str) -> None:
    """Raises ValueError if a network of timm's has something that ours has not."""
    if changes:
        what = ", ".join(changes)
        raise ValueError(f"timm's {architecture or 'network'} has {what}, which a {ours} here has not")


def timm_num_classes(config: Mapping[str, Any]) -> int | None:
    """The number of classes; None if the config does not say."""
    return model_args(config).get("num_classes", config.get("num_classes", pretrained_cfg(config).get("num_classes")))


def timm_vit(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `VisionTransformer` that timm's config gives; heads, the form of GELU and epsilon by the name, too.

    Raises:
        ValueError: if it is of another network, whose parameters have the same names.
    """
    refuse_other_networks(config)
    arguments, architecture = model_args(config), config.get("architecture", "")
    fields: dict[str, Any] = {}
    if image_size := timm_image_size(config):
        fields["image_size"] = image_size
    if heads := arguments.get("num_heads", timm_heads(architecture)):
        fields["num_heads"] = heads
    fields["gelu"] = TIMM_GELU_FORMS.get(arguments.get("act_layer") or timm_activation(architecture), "erf")
    fields["norm_eps"] = 1e-5 if re.match(r"vit_.*_clip_", architecture) else 1e-6
    if arguments.get("init_values"):
        fields["layer_scale"] = arguments["init_values"]
    pool = arguments.get("global_pool", config.get("global_pool"))
    if pool in ("token", "avg", "map"):
        fields["pool"] = pool
    return fields


def timm_swin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `SwinTransformer` that timm's config gives; windows by the architecture's name, too.

    Raises:
        ValueError: if it is of another network, whose parameters have the same names.
    """
    refuse_other_swins(config)
    arguments = model_args(config)
    _, registered = MODELS.get(config.get("architecture", ""), (None, {}))
    fields = {"window_size": registered["window_size"]} if "window_size" in registered else {}
    if registered:
        fields["pretrained_window_sizes"] = registered.get("pretrained_window_sizes", ())
    if image_size := timm_image_size(config):
        fields["image_size"] = image_size
    return fields | swin_sizes(arguments)


def timm_image_size(config: Mapping[str, Any]) -> Any:
    """The image's size that the weights are for; None if the config does not say."""
    arguments = model_args(config)
    if "img_size" in arguments:
        return size(arguments["img_size"])
    shape = pretrained_cfg(config).get("input_size")
    return size(shape[1:]) if shape else None


def model_args(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What timm's function of the architecture is called with."""
    return config.get("model_args") or {}


def pretrained_cfg(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """timm's settings of the weights, which its older versions wrote beside the architecture (`_parse_model_cfg`)."""
    return config.get("pretrained_cfg") or config


def timm_class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names, where timm's config has them; `labels` in its older ones."""
    settings = pretrained_cfg(config)
    names = config.get("label_names") or settings.get("label_names") or settings.get("labels") or ()
    if isinstance(names, Mapping):  # by number; where some have no name, nothing is said of any
        numbers = [str(index) for index in range(len(names))]
        names = [names[number] for number in numbers] if set(names) == set(numbers) else ()
    return tuple(map(str, names))


def timm_preprocessing(config: Mapping[str, Any], default: Preprocessing) -> Preprocessing:
    """What timm's config says; the default for what it does not."""
    settings = pretrained_cfg(config)
    return Preprocessing(
        mean=settings.get("mean", default.mean),
        std=settings.get("std", default.std),
        crop_fraction=settings.get("crop_pct", default.crop_fraction),
        interpolation=settings.get("interpolation", default.interpolation),
        squash=settings.get("crop_mode", "center") == "squash",
    )
