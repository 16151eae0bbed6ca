"""Vision Transformers in JAX and Flax."""

from vit_jax.inspection.cost import Cost, cost
from vit_jax.inspection.features import attention_maps, features
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model, list_models
from vit_jax.pretrained.load import load_pretrained
from vit_jax.pretrained.native import save_pretrained
from vit_jax.pretrained.preprocess import preprocessing

__all__ = [
    "Cost",
    "Preprocessing",
    "attention_maps",
    "cost",
    "create_model",
    "features",
    "list_models",
    "load_pretrained",
    "preprocessing",
    "save_pretrained",
]
