"""Parameters and outputs are float32, whatever a user has set in JAX."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from vit_jax.models.network import Network
from vit_jax.models.registry import create_model

VIT: dict[str, Any] = dict(image_size=8, embed_dim=8, depth=1, num_heads=2, drop_path_rate=0.1)
SWIN: dict[str, Any] = dict(image_size=16, embed_dim=4, depths=(2, 2), num_heads=(1, 2), drop_path_rate=0.1)
NETWORKS = {
    "vit": ("deit3_small_patch16_224", dict(VIT, patch_size=4, num_registers=1, qk_norm=True, drop_rate=0.1)),
    "vit_swiglu": ("deit_tiny_distilled_patch16_224", dict(VIT, patch_size=4, mask_token=True, swiglu=True)),
    "vit_biases": ("beit_base_patch16_224", dict(VIT, patch_size=4, fc_norm=False, pool="map", representation_size=8)),
    "swin": ("swin_cifar_patch2_window4_32", dict(SWIN, attn_drop_rate=0.1)),
    "swin_v2": ("swinv2_tiny_window8_256", dict(SWIN, patch_size=2, window_size=4)),
    "cnn": ("cnn_small_32", {}),
    "resnet": ("resnet9_narrow_32", {}),
    "mae": (
        "mae_cifar_patch4_32",
        dict(depth=1, decoder_depth=1, pos_embed="learned"),
    ),
    "beit": ("beit_pretraining_cifar_patch4_32", dict(depth=1)),
    "dino": ("dino_pretraining_vit_cifar_patch4_32", dict(depth=1)),
    "tokenizer": ("discrete_vae_patch4_32", dict(depth=1)),
}


def network(kind: str, **fields: Any) -> Network:
    """A small one."""
    name, small = NETWORKS[kind]
    return create_model(name, **small, **fields)


def initialised(model: Network) -> Any:
    """The parameters."""
    return model.init(jax.random.key(0), jnp.zeros((1, *model.input_shape)))["params"]


def output(model: Network, params: Any, train: bool) -> Any:
    """Of images that are zeros."""
    keys = {"masking": jax.random.key(1), "dropout": jax.random.key(2)}
    return model.apply({"params": params}, jnp.zeros((2, *model.input_shape)), train, rngs=keys)


@pytest.mark.parametrize("kind", NETWORKS)
def test_parameters_and_outputs_are_float32_where_jax_makes_64_bits(kind: str):
    model = network(kind)
    with jax.enable_x64(True):
        assert jnp.zeros(1).dtype == jnp.float64
        params = jax.eval_shape(lambda: initialised(model))
        outputs = [jax.eval_shape(partial(output, model, train=train), params) for train in (False, True)]
    for path, leaf in jax.tree_util.tree_leaves_with_path((params, outputs)):
        assert leaf.dtype == jnp.float32, path


@pytest.mark.parametrize("kind", NETWORKS)
def test_16_bits_become_32_by_no_rule_of_promotion(kind: str):
    model = network(kind, dtype=jnp.bfloat16)

    def loss(params: Any, train: bool) -> jax.Array:
        return sum(map(jnp.sum, jax.tree.leaves(output(model, params, train))), jnp.float32(0))

    with jax.numpy_dtype_promotion("strict"):
        params = jax.eval_shape(lambda: initialised(model))
        for train in (False, True):
            jax.eval_shape(jax.grad(partial(loss, train=train)), params)
