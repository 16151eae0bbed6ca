"""Vision Transformers in JAX and Flax."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vit_jax.inspection.attention_image import attention_extent, attention_to_image
    from vit_jax.inspection.attention_picture import attention_picture, seen_part
    from vit_jax.inspection.cost import Cost, cost
    from vit_jax.inspection.features import attention_maps, features
    from vit_jax.inspection.pictures import feature_picture, overlay
    from vit_jax.inspection.rollout import attention_rollout
    from vit_jax.models.initialise import init_params
    from vit_jax.models.network import Features, Network
    from vit_jax.models.preprocessing import Preprocessing
    from vit_jax.models.registry import create_model, list_models
    from vit_jax.models.swin import SwinTransformer
    from vit_jax.models.vit import VisionTransformer
    from vit_jax.pretrained.adapt import adapt
    from vit_jax.pretrained.load import class_names, load_pretrained
    from vit_jax.pretrained.preprocess import preprocessing
    from vit_jax.pretrained.save import save_pretrained
    from vit_jax.training.parameter_groups import layers_of

__all__ = [
    "Cost",
    "Features",
    "Network",
    "Preprocessing",
    "SwinTransformer",
    "VisionTransformer",
    "adapt",
    "attention_extent",
    "attention_maps",
    "attention_picture",
    "attention_rollout",
    "attention_to_image",
    "class_names",
    "cost",
    "create_model",
    "feature_picture",
    "features",
    "init_params",
    "layers_of",
    "list_models",
    "load_pretrained",
    "overlay",
    "preprocessing",
    "save_pretrained",
    "seen_part",
]

HOMES = {
    "inspection.attention_image": ("attention_extent", "attention_to_image"),
    "inspection.attention_picture": ("attention_picture", "seen_part"),
    "inspection.cost": ("Cost", "cost"),
    "inspection.features": ("attention_maps", "features"),
    "inspection.pictures": ("feature_picture", "overlay"),
    "inspection.rollout": ("attention_rollout",),
    "models.initialise": ("init_params",),
    "models.network": ("Features", "Network"),
    "models.preprocessing": ("Preprocessing",),
    "models.registry": ("create_model", "list_models"),
    "models.swin": ("SwinTransformer",),
    "models.vit": ("VisionTransformer",),
    "pretrained.adapt": ("adapt",),
    "pretrained.load": ("class_names", "load_pretrained"),
    "pretrained.preprocess": ("preprocessing",),
    "pretrained.save": ("save_pretrained",),
    "training.parameter_groups": ("layers_of",),
}
"""Where each public name is at home."""


def __getattr__(name: str) -> Any:
    """A public name, imported when it is used: networks alone need neither Pillow nor safetensors (PEP 562)."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"vit_jax.{home}"), name)
    from vit_jax.choices import nearest

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{nearest(name, __all__)}")


def __dir__() -> list[str]:
    """The public names, imported or not: what completion in notebooks offers."""
    return __all__
