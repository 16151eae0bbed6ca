"""The parts of an encoder, each against its definition."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vit_jax.models.layers import (
    DenseGelu,
    DropPath,
    Gelu,
    LayerScale,
    Mlp,
    PatchEmbed,
    SwiGlu,
    gelu,
    hidden_width,
    patchify,
    sincos_position_embedding,
    unit_vectors,
    unpatchify,
)


@pytest.mark.parametrize(
    ("image_shape", "patch_size"), [((8, 8, 3), (4, 4)), ((6, 20, 1), (3, 5)), ((4, 6, 5), (2, 2))]
)
def test_patch_embed_is_a_convolution(image_shape: tuple[int, int, int], patch_size: tuple[int, int]):
    """Rows before columns in the grid and in the patch, whatever the shape; the kernel is the convolution's."""
    images = np.random.default_rng(0).standard_normal((2, *image_shape), dtype=np.float32)
    kernel = np.random.default_rng(1).standard_normal((*patch_size, image_shape[-1], 6), dtype=np.float32)
    bias = np.arange(6, dtype=np.float32)

    @jax.jit
    def both(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        tokens = PatchEmbed(patch_size, embed_dim=6).apply({"params": {"kernel": kernel, "bias": bias}}, images)
        numbers = ("NHWC", "HWIO", "NHWC")
        strides, padding = patch_size, "VALID"
        convolved = jax.lax.conv_general_dilated(images, jnp.asarray(kernel), strides, padding, None, None, numbers)
        return jnp.asarray(tokens), convolved + bias

    with jax.default_matmul_precision("highest"):
        np.testing.assert_allclose(*both(images), atol=1e-4)


def test_sincos_position_embedding_has_the_published_values():
    """Printed by MAE's `get_2d_sincos_pos_embed(768, 14)`: its "w goes first", so the first half is the column."""
    embedding = sincos_position_embedding((14, 14), 768)
    assert embedding.shape == (196, 768)
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding[1, :3], [0.841471, 0.815251, 0.788593], atol=1e-6)  # row 0, column 1
    np.testing.assert_allclose(embedding[14, :3], 0)  # row 1, column 0
    np.testing.assert_allclose(embedding[14, 384:387], [0.841471, 0.815251, 0.788593], atol=1e-6)
    assert embedding.sum(dtype=np.float64) == pytest.approx(69594.4938587, abs=1e-3)


def test_sincos_position_embedding_of_an_oblong_grid():
    """Token (row, column) of a 2 x 3 grid, in row-major order: sin and cos of the column, then of the row."""
    embedding = sincos_position_embedding((2, 3), 4)
    for row in range(2):
        for column in range(3):
            expected = [np.sin(column), np.cos(column), np.sin(row), np.cos(row)]
            np.testing.assert_allclose(embedding[row * 3 + column], expected, atol=1e-6)


def test_sincos_position_embedding_refuses_a_width_it_cannot_divide():
    with pytest.raises(ValueError, match="multiple of 4, not 6"):
        sincos_position_embedding((2, 2), 6)


def test_layer_scale_multiplies_each_channel():
    x = jnp.ones((2, 3, 4))
    params = LayerScale(0.25).init(jax.random.key(0), x)["params"]
    np.testing.assert_array_equal(params["gamma"], np.full(4, 0.25, np.float32))
    gamma = jnp.arange(4.0)
    np.testing.assert_array_equal(LayerScale(0.25).apply({"params": {"gamma": gamma}}, x), x * gamma)


def test_drop_path_drops_whole_examples_and_keeps_the_mean():
    """Every example is kept, scaled by 1 / (1 - rate), or is nothing; on average nothing changes."""
    x = jnp.ones((4096, 3, 2))
    y = np.asarray(DropPath().apply({}, x, 0.25, True, rngs={"dropout": jax.random.key(0)})).reshape(4096, -1)
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert np.all(y == y[:, :1])
    assert np.mean(y[:, 0] == 0) == pytest.approx(0.25, abs=0.03)
    assert y.mean() == pytest.approx(1, abs=0.03)


def test_drop_path_is_off_in_evaluation():
    x = jnp.ones((8, 3, 2))
    np.testing.assert_array_equal(DropPath().apply({}, x, 0.9, False), x)


def test_mlp_starts_xavier_uniform_with_tiny_biases():
    params = jax.jit(Mlp(96).init, static_argnums=2)(jax.random.key(0), jnp.ones((1, 48)), False)["params"]
    for layer in ("fc1", "fc2"):
        assert np.abs(params[layer]["kernel"]).max() == pytest.approx(np.sqrt(6 / (48 + 96)), rel=0.01)
        assert 0 < np.abs(params[layer]["bias"]).max() < 1e-5


def test_biases_of_an_mlp_with_normal_kernels_are_zero():
    """As DeiT's, DINO's, BEiT's and Swin's."""
    mlp = Mlp(96, kernel_init="normal")
    params = jax.jit(mlp.init, static_argnums=2)(jax.random.key(0), jnp.ones((1, 48)), False)["params"]
    assert all(np.all(params[layer]["bias"] == 0) for layer in ("fc1", "fc2"))


@pytest.mark.parametrize(
    ("width", "ratio", "expected"),
    [
        *((1408, 48 / 11, 6144), (1664, 64 / 13, 8192), (1536, 8 / 3, 4096), (1536, 2.66667, 4096)),
        *((49, 54 / 49, 54), (10, 2.56, 25)),
    ],
)
def test_hidden_width_is_whole_for_a_fraction_and_cut_otherwise(width: int, ratio: float, expected: int):
    """ViT-g, ViT-G and DINOv2's giant; 49 * (54 / 49) is 53.99... in floats."""
    assert hidden_width(width, ratio) == expected


def test_swiglu_is_gated_by_the_first_half():
    x = np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)
    module = SwiGlu(6)
    params: Any = jax.jit(module.init, static_argnums=2)(jax.random.key(0), x, False)["params"]
    fc1, fc2 = params["fc1"], params["fc2"]
    assert (fc1["kernel"].shape, fc2["kernel"].shape) == ((4, 12), (6, 4))
    for half in np.split(np.asarray(fc1["kernel"]), 2, axis=1):  # each as one layer of its own
        assert np.abs(half).max() == pytest.approx(np.sqrt(6 / (4 + 6)), rel=0.15)
    fc1["bias"] = np.linspace(-1, 1, 12, dtype=np.float32)
    gate, value = np.split(x @ fc1["kernel"] + fc1["bias"], 2, axis=1)
    expected = (gate / (1 + np.exp(-gate)) * value) @ fc2["kernel"] + fc2["bias"]
    ours: Any = module.apply({"params": params}, x, False)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_gelu_keeps_only_its_inputs_for_the_backward_pass(form: Gelu):
    """A hidden layer is the largest array of an MLP: the product is kept for the GELU, not the sum as well."""
    x, bias = jnp.linspace(-4, 4, 99).reshape(33, 3), jnp.array([-0.5, 0.0, 1.0])
    _, backward = jax.vjp(lambda x, bias: gelu(x, bias, form), x, bias)
    assert sum(leaf.size for leaf in jax.tree.leaves(backward)) == x.size + bias.size
    reference = jax.grad(lambda x: jax.nn.gelu(x + bias, approximate=form == "tanh").sum())(x)
    of_x, of_bias = backward(jnp.ones_like(x))
    np.testing.assert_allclose(of_x, reference, atol=1e-6)
    np.testing.assert_allclose(of_bias, reference.sum(0), atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 1e-2)])
def test_dense_gelu_is_a_dense_layer_and_a_gelu(dtype: Any, tolerance: float):
    x = np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)
    layer = DenseGelu(6, "erf", dtype, nn.initializers.normal(), nn.initializers.normal())
    variables = layer.init(jax.random.key(0), x)
    ours: Any = layer.apply(variables, x)
    dense: Any = nn.Dense(6, dtype=dtype).apply(variables, x)
    assert ours.dtype == dtype
    expected = jax.nn.gelu(dense.astype(jnp.float32), approximate=False)
    np.testing.assert_allclose(ours.astype(jnp.float32), expected, rtol=tolerance)


@pytest.mark.parametrize(("height", "width", "patch"), [(4, 6, (2, 3)), (6, 3, (3, 1)), (8, 8, (4, 4))])
def test_patchify_has_rows_before_columns_before_channels_and_an_inverse(height: int, width: int, patch: Any):
    images = np.arange(2 * height * width * 3).reshape(2, height, width, 3)
    patches = patchify(jnp.asarray(images), patch)
    grid = (height // patch[0], width // patch[1])
    assert patches.shape == (2, grid[0] * grid[1], patch[0] * patch[1] * 3)
    for n in range(grid[0] * grid[1]):
        y, x = n // grid[1] * patch[0], n % grid[1] * patch[1]
        np.testing.assert_array_equal(patches[:, n], images[:, y : y + patch[0], x : x + patch[1]].reshape(2, -1))
    np.testing.assert_array_equal(unpatchify(patches, grid, patch), images)


def test_unit_vectors_of_nothing_are_zero():
    """As PyTorch's `normalize`: padding without a bias has queries and keys of zeros, and no NaN."""
    x = jnp.array([[3.0, -4.0], [3e-8, -4e-8], [0.0, 0.0]])
    np.testing.assert_allclose(unit_vectors(x), [[0.6, -0.8], [0.6, -0.8], [0, 0]], atol=1e-6)
    gradient = jax.grad(lambda x: unit_vectors(x).sum())(x)
    assert np.isfinite(gradient).all()
