"""Vision Transformers in JAX and Flax."""

from vit_jax.inspection.attention_image import attention_to_image
from vit_jax.inspection.cost import Cost, cost
from vit_jax.inspection.features import attention_maps, features
from vit_jax.inspection.pictures import feature_picture, overlay
from vit_jax.inspection.rollout import attention_rollout
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model, list_models
from vit_jax.pretrained.load import class_names, load_pretrained
from vit_jax.pretrained.preprocess import preprocessing
from vit_jax.pretrained.save import save_pretrained

__all__ = [
    "Cost",
    "Preprocessing",
    "attention_maps",
    "attention_rollout",
    "attention_to_image",
    "class_names",
    "cost",
    "create_model",
    "feature_picture",
    "features",
    "list_models",
    "load_pretrained",
    "overlay",
    "preprocessing",
    "save_pretrained",
]
