"""Maps over the image have each weight at the place of its token, in every layer."""

from typing import Any

import jax
import numpy as np
import pytest

import vit_jax
from tests.inspection.scattered_windows import random_attention, scattered
from tests.models.cases import random_images, random_params, small_model
from tests.models.swin_cases import SWIN_CASES, small_swin
from vit_jax.inspection.attention_image import attention_extent, attention_to_image, layer_attention
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.cnn import ConvNet
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.pretraining import VisionTransformerPretraining
from vit_jax.models.registry import create_model
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

PADDED = dict(image_size=(20, 28), depths=(2,), num_heads=(2,))  # a map of 10 x 14 tokens in windows of 4
ODD = SWIN_CASES["odd_map_merged"]


def block_grids(model: SwinTransformer) -> list[Any]:
    return [grid for stage in model.window_grids for grid in stage]


def softmax(model: VisionTransformer | VisionTransformerPretraining, tokens: int) -> list[jax.Array]:
    """Random weights as those of every layer, float32 [2, heads, N, N]."""
    logits = np.random.default_rng(0).normal(size=(model.depth, 2, model.num_heads, tokens, tokens))
    return list(jax.nn.softmax(jax.numpy.asarray(logits, jax.numpy.float32)))


def test_a_class_token_s_attention_to_the_patches_in_every_layer_and_head():
    model = small_model(image_size=(8, 16), num_registers=2)
    layers = softmax(model, 3 + 8)
    maps = attention_to_image(model, layers)
    assert [one.shape for one in maps] == [(2, 3, 2, 4)] * 2
    for one, layer in zip(maps, layers, strict=True):
        np.testing.assert_array_equal(one, np.asarray(layer)[:, :, 0, 3:].reshape(2, 3, 2, 4))


@pytest.mark.parametrize("registers", [0, 2])
def test_all_patches_attention_where_there_is_no_class_token(registers: int):
    """Registers are neither asked nor shown."""
    model = small_model(class_token=False, pool="avg", num_registers=registers)
    layers = softmax(model, registers + 16)
    expected = np.asarray(layers[1])[:, :, registers:, registers:].mean(2).reshape(2, 3, 4, 4)
    np.testing.assert_allclose(attention_to_image(model, layers)[1], expected, atol=1e-7)


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        (dict(pool="avg"), slice(1, None)),
        (dict(pool="map"), slice(1, None)),
        (dict(pool="token_avg"), slice(0, 1)),
        (dict(distilled=True), slice(0, 2)),
        (dict(distilled=True, answer="class"), slice(0, 1)),
        (dict(distilled=True, answer="distillation"), slice(1, 2)),
    ],
)
def test_it_is_the_attention_of_the_tokens_that_the_answer_is_read_from(fields: dict[str, Any], read: slice):
    """A class token that no head reads cannot change the answer."""
    model = small_model(**fields)
    prefix = model.num_prefix_tokens
    layers = softmax(model, prefix + 16)
    expected = np.asarray(layers[1])[:, :, read, prefix:].mean(2).reshape(2, 3, 4, 4)
    np.testing.assert_allclose(attention_to_image(model, layers)[1], expected, atol=1e-7)


@pytest.mark.parametrize("network", [MaskedAutoencoder, BeitPretraining])
def test_a_network_for_pretraining_whose_features_are_the_patches_shows_these(network: Any):
    model = network(image_size=8, patch_size=2, embed_dim=12, depth=2, num_heads=3)
    layers = softmax(model, 17)
    expected = np.asarray(layers[1])[:, :, 1:, 1:].mean(2).reshape(2, 3, 4, 4)
    np.testing.assert_allclose(attention_to_image(model, layers)[1], expected, atol=1e-7)


def test_a_rollout_is_read_as_a_layer_is():
    model = small_model(image_size=(8, 16), num_registers=2)
    rollout = np.random.default_rng(0).random((2, 11, 11))
    np.testing.assert_array_equal(
        attention_to_image(model, jax.numpy.asarray(rollout)), rollout[:, 0, 3:].reshape(2, 2, 4).astype(np.float32)
    )


@pytest.mark.parametrize(
    "fields",
    [dict(**PADDED, window_rule="microsoft"), dict(**PADDED, window_rule="timm"), ODD],
    ids=["padded_then_shifted", "shifted_then_padded", "odd_maps"],
)
def test_attention_in_windows_stands_where_its_tokens_do(fields: dict[str, Any]):
    """What each token receives of all tokens of the map, on average, with window attention spread out over the map."""
    model = small_swin(**fields)
    layers = [jax.numpy.asarray(layer) for layer in random_attention(model)]
    maps = attention_to_image(model, layers)
    for one, layer, grid in zip(maps, layers, block_grids(model), strict=True):
        full = scattered(np.asarray(layer), grid)  # [B, heads, H W, H W]
        np.testing.assert_allclose(one, full.mean(2).reshape(*one.shape), atol=1e-7)
        assert one.shape[2:] == (grid.height, grid.width)


def test_attention_of_each_token_to_itself_is_the_even_map():
    """Whatever the padding and the shift: each of the 140 tokens receives its own share."""
    model = small_swin(**PADDED)
    identity = [np.broadcast_to(np.eye(16, dtype=np.float32), (1, 12, 2, 16, 16))] * 2
    for one in attention_to_image(model, [jax.numpy.asarray(layer) for layer in identity]):
        np.testing.assert_allclose(one, np.full((1, 2, 10, 14), 1 / 140), rtol=1e-6)


@pytest.mark.parametrize("model", [small_model(), small_swin(**ODD)], ids=["vit", "swin"])
@pytest.mark.parametrize("layer", [0, 1, -1])
def test_one_layer_alone_is_that_of_all(model: Network, layer: int):
    params, images = random_params(model, 0), random_images(model, 0)
    every = attention_to_image(model, vit_jax.attention_maps(model, params, images))
    np.testing.assert_allclose(layer_attention(model, params, images, layer), every[layer], atol=1e-6)


def test_one_layer_alone_needs_the_memory_of_one_image():
    """Weights [3, 257, 257] of 3 layers of 8 images, all at once, would be 24 times those of a layer of an image."""
    model = small_model(image_size=64, depth=3)
    program = layer_attention.lower(model, random_params(model, 0), np.zeros((8, *model.input_shape)), -1)
    analysis = program.compile().memory_analysis()
    assert analysis is not None
    assert analysis.temp_size_in_bytes + analysis.output_size_in_bytes < 4 * (4 * 3 * 257 * 257)


def test_odd_maps_cover_more_than_the_image():
    """11 x 13 tokens are merged to 6 x 7, which cover 12 x 14."""
    model = small_swin(**ODD)
    assert attention_extent(model, 0) == attention_extent(model, 1) == (1, 1)
    assert attention_extent(model, 2) == attention_extent(model, 3) == (12 / 11, 14 / 13)
    assert attention_extent(small_model(), 0) == (1, 1)
    student = create_model("dino_pretraining_swin_cifar_patch2_window4_32", image_size=36)
    assert attention_extent(student, -1) == attention_extent(student.make_encoder(), -1) == (10 / 9, 10 / 9)


def test_networks_without_attention_are_refused():
    model = ConvNet(image_size=32, stride=1)
    with pytest.raises(ValueError, match="a ConvNet has no attention to show"):
        vit_jax.attention_maps(model, random_params(model, 0), random_images(model, 0))
    with pytest.raises(ValueError, match="a ConvNet has no attention to show"):
        attention_to_image(model, [])
    with pytest.raises(ValueError, match="a ConvNet has no attention to show"):
        attention_extent(model, 0)


@pytest.mark.parametrize("model", [small_model(depth=4), small_swin(depths=(2, 2))], ids=["vit", "swin"])
def test_the_extent_of_a_layer_that_is_not_there_is_refused(model: Network):
    for layer in (4, -5):
        with pytest.raises(ValueError, match=f"there is no layer {layer}: layers are 0 to 3"):
            attention_extent(model, layer)
    with pytest.raises(ValueError, match="there is no layer rollout"):
        attention_extent(model, "rollout")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("model", [small_model(), small_swin(**PADDED)], ids=["vit", "swin"])
def test_what_is_not_the_model_s_attention_is_refused(model: Network):
    """One layer of several, another network's layers, a layer in the place of a rollout."""
    other = small_swin(**ODD)
    layers = [jax.numpy.asarray(layer) for layer in random_attention(other)]
    for wrong in (layers[:1], layers, layers[0]):
        with pytest.raises(ValueError, match=r"not the model's attention: expected .* got .*attention_maps"):
            attention_to_image(model, wrong)
