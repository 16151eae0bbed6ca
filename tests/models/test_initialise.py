"""Fresh parameters: what `model.init` would give but for the numbers, and every block its own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import vit_jax
from vit_jax.models.initialise import init_params

NETWORKS = {
    "vit": ("vit_tiny_patch4_32", dict(depth=3, embed_dim=24, num_heads=2, layer_scale=0.5, drop_path_rate=0.1)),
    "swin": (
        "swin_cifar_patch2_window4_32",
        dict(depths=(2, 3), embed_dim=24, num_heads=(2, 4), image_size=16),
    ),
    "mae": ("mae_base_patch16_224", dict(image_size=32, depth=2, decoder_depth=3, embed_dim=24, num_heads=2)),
    "beit": ("beit_pretraining_cifar_patch4_32", dict(depth=3, embed_dim=24, num_heads=2)),
    "tokenizer": ("discrete_vae_patch4_32", dict(depth=3, width=16)),
    "dino": ("dino_pretraining_vit_cifar_patch4_32", dict(depth=3, embed_dim=24, num_heads=2, prototypes=64)),
    "dino_swin": (
        "dino_pretraining_swin_cifar_patch2_window4_32",
        dict(depths=(2, 3), embed_dim=24, num_heads=(2, 4), image_size=16, prototypes=64),
    ),
    "cnn": ("resnet9_32", {}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_init_by_shape_and_spread(name: str):
    registered, fields = NETWORKS[name]
    model = vit_jax.create_model(registered, **fields)
    drawn: dict[str, Any] = flatten_dict(init_params(model, jax.random.key(0)), sep="/")
    inputs = jnp.zeros((1, *model.input_shape))
    keys = {"params": jax.random.key(1), "masking": jax.random.key(2)}
    expected: dict[str, Any] = flatten_dict(model.after_init(jax.jit(model.init)(keys, inputs)["params"]), sep="/")
    assert {path: x.shape for path, x in drawn.items()} == {path: x.shape for path, x in expected.items()}
    for path, x in drawn.items():
        assert x.dtype == jnp.float32, path
        other = np.asarray(expected[path])
        if other.size > 500:
            np.testing.assert_allclose(np.std(x), np.std(other), rtol=0.2, atol=1e-8, err_msg=path)
        if other.min() == other.max():
            np.testing.assert_array_equal(x, other, err_msg=path)


@pytest.mark.parametrize(
    ("name", "path", "deviation"),
    [
        ("swin", "layers_0/blocks_0/attn/qkv/kernel", 0.02),
        ("swin", "layers_0/blocks_0/attn/proj/kernel", 0.02),
        ("swin", "layers_1/blocks_0/attn/relative_position_bias/table", 0.02),
        ("beit", "encoder/relative_position_bias/table", 0),
        ("beit", "head/kernel", 0.02),
        ("dino", "head/fc1/kernel", 0.02),
        ("dino", "head/fc2/kernel", 0.02),
        ("dino", "head/fc3/kernel", 0.02),
    ],
)
def test_parameters_begin_with_the_published_spread(name: str, path: str, deviation: float):
    registered, fields = NETWORKS[name]
    drawn: dict[str, Any] = flatten_dict(
        init_params(vit_jax.create_model(registered, **fields), jax.random.key(0)), sep="/"
    )
    np.testing.assert_allclose(np.std(drawn[path]), deviation, rtol=0.08)


def test_blocks_differ_and_follow_the_key():
    model = vit_jax.create_model("vit_tiny_patch4_32", **NETWORKS["vit"][1])
    params, again, other = (init_params(model, jax.random.key(seed)) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, params, again)
    kernels = [params[f"blocks_{i}"]["attn"]["qkv"]["kernel"] for i in range(3)]
    kernels.append(other["blocks_0"]["attn"]["qkv"]["kernel"])
    for i, kernel in enumerate(kernels):
        for another in kernels[:i]:
            assert abs(np.corrcoef(np.ravel(kernel), np.ravel(another))[0, 1]) < 0.1


def test_what_a_block_of_beit_adds_begins_small():
    """The last kernels of block l are divided by sqrt(2 l), and nothing else is changed (BEiT, section 2.5)."""
    model = vit_jax.create_model("beit_pretraining_cifar_patch4_32", **NETWORKS["beit"][1])
    drawn = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *model.input_shape)))["params"]
    ratios = jax.tree.map(lambda new, old: jnp.where(old == 0, 1.0, new / old), model.after_init(drawn), drawn)
    by_path: dict[str, Any] = flatten_dict(ratios, sep="/")
    for path, ratio in by_path.items():
        _, block, *rest = path.split("/")
        rescaled = "/".join(rest) in ("attn/proj/kernel", "mlp/fc2/kernel")
        expected = 1 / np.sqrt(2 * (int(block.removeprefix("blocks_")) + 1)) if rescaled else 1.0
        np.testing.assert_allclose(ratio, expected, rtol=1e-6, err_msg=path)


def test_within_another_program_parameters_are_the_same():
    """Where a program initialises what it trains, or asks for shapes alone."""
    registered, fields = NETWORKS["vit"]
    model = vit_jax.create_model(registered, **fields)
    key = jax.random.key(0)
    params = init_params(model, key)
    for shapes in (
        jax.eval_shape(lambda key: init_params(model, key), key),
        jax.eval_shape(lambda: init_params(model, key)),
    ):
        assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, params)
    within = jax.jit(lambda key: init_params(model, key))(key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=1e-6), params, within)
