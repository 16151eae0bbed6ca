"""Small Vision Transformers that between them use every option, with parameters and images made from a seed."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.vit import VisionTransformer

GOLDEN_SEED = 0
GOLDEN_FILE = Path(__file__).with_name("golden") / "vit.npz"


class Case(NamedTuple):
    """A network of `SMALL` fields with these changed, called in training or not (all rates of dropout are 0)."""

    fields: Mapping[str, Any]
    train: bool = False


SMALL = dict(num_classes=7, image_size=16, patch_size=4, embed_dim=48, depth=2, num_heads=3)

SMALL_AT_FIRST = {"patch_embed", "pos_embed", "cls_token", "dist_token", "reg_token", "mask_token"}

CASES = {
    "class_token": Case(dict(depth=3)),
    "average": Case(dict(pool="avg", fc_norm=False)),
    "average_then_norm": Case(dict(pool="avg", fc_norm=True)),
    "average_without_class_token": Case(dict(pool="avg", fc_norm=False, class_token=False)),
    "attention_pool": Case(dict(pool="map", class_token=False, mlp_ratio=2.5)),
    "attention_pool_then_norm": Case(dict(pool="map", fc_norm=True, gelu="tanh", norm_eps=0.01, num_registers=2)),
    "registers": Case(dict(num_registers=4, no_embed_class=True)),
    "registers_with_positions": Case(dict(num_registers=3, pool="avg", fc_norm=True)),
    "no_positions": Case(dict(pos_embed="none")),
    "distilled": Case(dict(distilled=True)),
    "distilled_training": Case(dict(distilled=True), train=True),
    "layer_scale": Case(dict(layer_scale=0.1, no_embed_class=True)),
    "query_key_norm": Case(dict(qk_norm=True, qkv_bias=False, norm_eps=0.01)),
    "tanh_gelu": Case(dict(gelu="tanh", mlp_ratio=1.5)),
    "wide_image_one_channel": Case(dict(image_size=(12, 20), in_channels=1)),
    "oblong_patches_four_channels": Case(dict(image_size=(16, 24), patch_size=(8, 4), in_channels=4, num_heads=6)),
    "swiglu": Case(dict(swiglu=True, mlp_ratio=8 / 3, layer_scale=0.1)),
    "no_head": Case(dict(num_classes=0)),
}


def small_model(**fields: Any) -> VisionTransformer:
    """A network that compiles in about a second."""
    return VisionTransformer(**{**SMALL, **fields})


def random_images(model: Network, seed: int, batch: int = 2) -> np.ndarray:
    """Images float32 [B, H, W, C] of the model's size, standard normal."""
    shape = (batch, *model.input_shape)
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def random_params(model: Network, seed: int) -> dict[str, Any]:
    """Random values for every parameter, drawn in the sorted order of their paths.

    No parameter keeps a default that would hide a mistake: norm and layer scales are around 1, biases are not 0. The
    tokens start small (0.05), so that the first LayerNorm shows its epsilon. RandomState, because its stream is
    promised never to change: the golden files need only a seed to know their parameters.
    """
    random = np.random.RandomState(seed)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        names = [key.key for key in path]
        noise = random.standard_normal(leaf.shape).astype(np.float32)
        if SMALL_AT_FIRST & set(names):
            return noise * np.float32(0.05)
        if names[-1] in ("scale", "gamma"):
            return 1 + noise * np.float32(0.3)
        if names[-1] == "bias":
            return noise * np.float32(0.3)
        if names[-1] == "table":
            return noise
        if names[-1] == "logit_scale":
            return 2 + noise * 3  # some beyond ln 100, where it is clipped
        return noise * np.float32(math.prod(leaf.shape[:-1]) ** -0.5)

    return jax.tree_util.tree_map_with_path(draw, parameter_shapes(model))


def make(**fields: Any) -> tuple[VisionTransformer, dict[str, Any], np.ndarray]:
    """A small model with random parameters and images."""
    model = small_model(**fields)
    return model, random_params(model, seed=0), random_images(model, seed=0)


@partial(jax.jit, static_argnums=(0, 3))
def logits(model: Network, params: Mapping[str, Any], images: jax.Array, train: bool = False) -> jax.Array:
    """The model's output with full float32 products; the pair that a distilled one gives in training is stacked."""
    with jax.default_matmul_precision("highest"):
        return jnp.asarray(model.apply({"params": params}, images, train))
