"""What is said of names that the registry has not: those of other libraries, and misspelt ones."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from vit_jax.choices import nearest

ELSEWHERE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image_size": ("img_size",),
        "in_channels": ("in_chans", "num_channels"),
        "num_classes": ("num_labels",),
        "embed_dim": ("hidden_size",),
        "depth": ("num_hidden_layers", "num_layers"),
        "depths": ("num_hidden_layers", "num_layers"),
        "num_heads": ("num_attention_heads",),
        "pool": ("global_pool",),
        "num_registers": ("reg_tokens", "num_register_tokens"),
        "layer_scale": ("init_values", "layer_scale_init_value", "layerscale_value"),
        "gelu": ("act_layer", "hidden_act"),
        "norm_eps": ("layer_norm_eps",),
        "proj_drop_rate": ("hidden_dropout_prob",),
        "attn_drop_rate": ("attention_probs_dropout_prob",),
        "drop_path_rate": ("drop_path", "stochastic_depth_prob"),
    }
)
"""Fields, with the names that they have in timm, Hugging Face's configs and torchvision."""

LOADED = "vit_jax.load_pretrained({}) loads them (train.py: --model.pretrained)"
MAPS = "vit_jax.features(model, params, images).stages are the maps of every block or stage"
ANSWERS: Mapping[str, str] = MappingProxyType(
    {
        "pretrained": f"create_model makes a network without weights: {LOADED.format('source')}",
        **dict.fromkeys(("features_only", "out_indices"), f"create_model makes a whole network: {MAPS}"),
    }
)
"""To what timm's `create_model` takes that is no matter of a network's fields here."""


def about_field(model: str, field: str, known: Collection[str]) -> str:
    """What is said of a field that a model, which has the known ones, has not."""
    if field in ANSWERS:
        return ANSWERS[field]
    names = [name for name, others in ELSEWHERE.items() if field in others]
    here = "".join(f" (here it is {name})" for name in names if name in known)
    offer = here if names else nearest(field, known)
    return f"model {model!r} has no field {field!r}{offer}; it has {', '.join(known)}"


def about_model(name: str, known: Collection[str]) -> str:
    """What is said of a name that no model has."""
    if "/" in name:
        return f"{name!r} is no model's name. Weights on the Hub or in a folder: {LOADED.format(repr(name))}"
    network, tag, _ = name.partition(".")
    if tag and network in known:
        loaded = LOADED.format(repr(f"hf-hub:timm/{name}"))
        return f"{name!r} is {network!r} with timm's weights: {loaded}"
    alike = nearest(name.lower(), with_most_words(name.lower(), known)) or nearest(name.lower(), known)
    return f"unknown model {name!r}{alike}; vit_jax.list_models() lists all"


def with_most_words(name: str, known: Collection[str]) -> list[str]:
    """Those of the known names that share the most words with a name, wherever these stand: "vit_base_patch14_dinov2"
    is dinov2_base_patch14_518, though others are spelt more alike."""
    words = set(re.split(r"[\W_]", name))
    shared = {other: len(words & set(other.split("_"))) for other in known}
    return [other for other, number in shared.items() if number == max(shared.values())]
