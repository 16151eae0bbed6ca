"""Attention rollout is the product of the layers' mixing, written out with matrices over all tokens."""

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

import vit_jax
from tests.inspection.scattered_windows import merged, random_attention, scattered
from tests.models.cases import GOLDEN_SEED, random_images, random_params, small_model
from tests.models.swin_cases import SWIN_CASES, small_swin
from vit_jax.inspection.rollout import windowed_rollout
from vit_jax.models.cnn import ConvNet
from vit_jax.models.network import Network
from vit_jax.models.registry import create_model
from vit_jax.models.swin import SwinTransformer

SWINS = {
    "odd_maps": SWIN_CASES["odd_map_merged"],
    "padded_then_shifted": SWIN_CASES["padded_before_the_shift_wide"],
    "larger_windows_of_version_2": SWIN_CASES["v2_windows_larger_than_the_map"],
}


def rollout_and_layers(model: Network) -> tuple[np.ndarray, list[np.ndarray]]:
    """The rollout of a network with random parameters, and the attention that it is to be made of."""
    params, images = random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED)
    layers = [np.asarray(layer, np.float64) for layer in vit_jax.attention_maps(model, params, images)]
    return np.asarray(vit_jax.attention_rollout(model, params, images)), layers


def with_residual(attention: np.ndarray) -> np.ndarray:
    """Equation 1 of the paper, rows scaled to sum to 1."""
    both = 0.5 * attention + 0.5 * np.eye(attention.shape[-1])
    return both / both.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "fields",
    [dict(depth=3, image_size=(8, 16), distilled=True, num_registers=2), dict(class_token=False, pool="avg")],
    ids=["oblong_with_prefix", "patches_only"],
)
def test_the_product_over_the_layers_of_a_vision_transformer(fields: dict[str, Any]):
    rollout, layers = rollout_and_layers(small_model(**fields))
    expected = np.eye(layers[0].shape[-1])
    for layer in layers:
        expected = with_residual(layer.mean(1)) @ expected
    np.testing.assert_allclose(rollout, expected, atol=1e-6)
    np.testing.assert_allclose(rollout.sum(-1), 1, atol=1e-6)


def matrices(model: SwinTransformer, layers: list[np.ndarray]) -> np.ndarray:
    """The rollout of a Swin Transformer with a matrix over the whole map for each block and merging."""
    blocks = iter(layers)
    first = model.window_grids[0][0]
    expected = np.eye(first.height * first.width)
    for stage, grids in enumerate(model.window_grids):
        if stage:
            before = model.window_grids[stage - 1][-1]
            expected = merged(before.height, before.width) @ expected
        for grid in grids:
            expected = with_residual(scattered(next(blocks), grid).mean(1)) @ expected
    return expected


@pytest.mark.parametrize("name", SWINS)
def test_the_product_over_windows_and_merging_of_a_swin_transformer(name: str):
    model = small_swin(**SWINS[name])
    layers = random_attention(model)
    rollout = np.asarray(jax.jit(partial(windowed_rollout, model.window_grids))(layers))
    np.testing.assert_allclose(rollout, matrices(model, layers), atol=1e-6)
    np.testing.assert_allclose(rollout.sum(-1), 1, atol=1e-5)
    last, first = model.window_grids[-1][-1], model.window_grids[0][0]
    assert rollout.shape == (2, last.height * last.width, first.height * first.width)
    as_image = vit_jax.attention_to_image(model, jax.numpy.asarray(rollout))
    np.testing.assert_allclose(as_image, rollout.mean(1).reshape(2, first.height, first.width), atol=1e-7)


def test_the_rollout_is_that_of_the_network_s_own_attention():
    """A Swin Transformer's, of random images."""
    model = small_swin(image_size=(8, 12), depths=(1, 1), window_size=3)
    rollout, layers = rollout_and_layers(model)
    np.testing.assert_allclose(rollout, matrices(model, layers), atol=1e-6)


def test_a_student_s_rollout_is_that_of_its_encoder():
    fields = dict(image_size=16, embed_dim=16, depths=(1, 1), num_heads=(1, 2), prototypes=8)
    student = create_model("dino_pretraining_swin_cifar_patch2_window4_32", **fields)
    params = random_params(student, 0)
    images = jax.numpy.asarray(np.random.default_rng(0).normal(size=(1, 16, 16, 3)), jax.numpy.float32)
    expected = vit_jax.attention_rollout(student.make_encoder(), params["encoder"], images)
    np.testing.assert_allclose(vit_jax.attention_rollout(student, params, images), expected, atol=1e-6)


def test_tokens_that_attend_to_themselves_stay_what_they_were():
    """Through shifted, padded windows; patch merging alone mixes them."""
    model = small_swin(image_size=(22, 36))
    layers = [
        np.broadcast_to(np.eye(layer.shape[-1], dtype=np.float32), layer.shape) for layer in random_attention(model)
    ]
    one_stage = jax.jit(partial(windowed_rollout, model.window_grids[:1]))(layers[:2])
    np.testing.assert_allclose(one_stage[0], np.eye(11 * 18), atol=1e-7)
    both = jax.jit(partial(windowed_rollout, model.window_grids))(layers)
    np.testing.assert_allclose(both[0], merged(11, 18), atol=1e-7)


def test_a_large_map_is_never_spread_out():
    """All weights of a Swin-T and 49 rows of its 3136 places, not 3136 x 3136."""
    model = vit_jax.create_model("swin_tiny_patch4_window7_224")
    tokens = [7 * 7, 56 * 56]
    weights = [
        jax.ShapeDtypeStruct((1, grid.num_windows, heads, 49, 49), np.float32)
        for heads, stage in zip(model.num_heads, model.window_grids, strict=True)
        for grid in stage
    ]
    compiled = jax.jit(partial(windowed_rollout, model.window_grids)).lower(weights).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 4 * tokens[1] ** 2 / 2
    assert memory.output_size_in_bytes == 4 * tokens[0] * tokens[1]


def test_a_network_without_attention_is_refused():
    model = ConvNet(image_size=32, stride=1)
    with pytest.raises(ValueError, match="a ConvNet has no attention to show"):
        vit_jax.attention_rollout(model, random_params(model, 0), random_images(model, 0))
