"""Encoders at another size than that of their parameters: as a resized network would compute, gradients included."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import random_params
from vit_jax.models.other_size import at_size, middle, resized_positions
from vit_jax.models.relative_position import relative_position_index
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.resize import resize_position_embedding

VIT = VisionTransformer(num_classes=0, image_size=16, patch_size=2, embed_dim=8, depth=1, num_heads=2)
SWIN = SwinTransformer(
    num_classes=0, image_size=16, patch_size=2, embed_dim=8, depths=(2, 2), num_heads=(2, 4), window_size=4
)


@pytest.mark.parametrize("new", [(4, 4), (3, 5), (11, 9)])
def test_positions_are_resized_as_dino_does(new: tuple[int, int]):
    """As `load_pretrained` resizes DINO's once, which is compared with the published code elsewhere."""
    positions = np.random.default_rng(0).normal(size=(1, 1 + 64, 6)).astype(np.float32)
    expected = resize_position_embedding(positions, 1, (8, 8), new, "bicubic_offset")
    np.testing.assert_allclose(resized_positions(jnp.asarray(positions), (8, 8), new), expected, atol=1e-5)


def test_at_its_own_size_an_encoder_is_left_alone():
    params = random_params(VIT, 0)
    encoder, same = at_size(VIT, params, (16, 16))
    assert encoder is VIT
    assert same is params


def test_fixed_positions_are_those_of_the_size():
    model = VIT.clone(pos_embed="sincos")
    params = random_params(model, 0)
    encoder, same = at_size(model, params, (8, 8))
    assert encoder.image_size == (8, 8)
    assert same is params


@pytest.mark.parametrize("window", [1, 2, 3])
def test_biases_of_a_smaller_window_are_those_of_the_same_offsets(window: int):
    table = np.random.default_rng(0).normal(size=(7 * 7, 3))
    whole = table[relative_position_index((4, 4))].reshape(4, 4, 4, 4, 3)  # from row, column to row, column
    part = np.asarray(middle(jnp.asarray(table), window))[relative_position_index((window, window))]
    expected = whole[:window, :window, :window, :window].reshape(window**2, window**2, 3)
    np.testing.assert_allclose(part, expected, atol=1e-6)


@pytest.mark.parametrize("model", [VIT, SWIN])
def test_small_images_reach_every_parameter(model: Any):
    """Through the resizing, too: of position embeddings every one, of bias tables the middle."""
    params = random_params(model, 0)
    images = jnp.asarray(np.random.default_rng(1).normal(size=(2, 8, 8, 3)), jnp.float32)

    def loss(params: Any) -> jax.Array:
        encoder, resized = at_size(model, params, (8, 8))
        pooled: Any = encoder.apply({"params": resized}, images)
        return jnp.square(pooled).sum()

    gradient = jax.grad(loss)(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.abs(leaf).max() > 0, path
    if model is VIT:
        assert (np.abs(gradient["pos_embed"]).max(-1) > 0).all()
    else:  # stage 1 is a map of 2x2 there: 9 offsets of 49
        table = gradient["layers_1"]["blocks_0"]["attn"]["relative_position_bias"]["table"]
        reached = (np.abs(table).max(-1) > 0).reshape(7, 7)
        assert reached[2:5, 2:5].all()
        assert reached.sum() == 9


def test_a_size_that_patches_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="not a whole number of patches"):
        at_size(VIT, random_params(VIT, 0), (9, 9))
