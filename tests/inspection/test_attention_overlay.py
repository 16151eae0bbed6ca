"""The picture of what the last block attends to has each weight at the place of its token."""

from typing import Any

import numpy as np
import pytest

import vit_jax
from tests.models.cases import GOLDEN_SEED, SMALL, random_images, random_params, small_model
from tests.models.huggingface_cases import HUGGINGFACE_CASES, small_network
from tests.models.swin_cases import small_swin
from vit_jax.inspection.attention_overlay import last_attention
from vit_jax.models.cnn import ConvNet
from vit_jax.models.network import Network


def network(model: Network) -> tuple[Network, Any, np.ndarray]:
    return model, random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED)


def maps(model: Network, params: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The overlay, and the last block's weights that it is to be made of."""
    overlay = last_attention(model, params, images)
    assert overlay is not None
    return overlay, np.asarray(vit_jax.attention_maps(model, params, images)[-1])


def test_a_class_token_s_attention_to_the_patches():
    overlay, weights = maps(*network(small_model(image_size=(8, 16), num_registers=2)))
    np.testing.assert_allclose(overlay, weights.mean(1)[:, 0, 3:].reshape(2, 2, 4), atol=1e-6)


def test_all_patches_attention_where_there_is_no_class_token():
    overlay, weights = maps(*network(small_model(class_token=False, pool="avg")))
    np.testing.assert_allclose(overlay, weights.mean((1, 2)).reshape(overlay.shape), atol=1e-6)
    assert overlay.shape == (2, 4, 4)


@pytest.mark.parametrize("rule", ["microsoft", "timm"])
def test_attention_in_shifted_padded_windows_stands_where_its_tokens_do(rule):
    """A map of 10 x 14 tokens in windows of 4, shifted by 2, token by token."""
    model = small_swin(image_size=(20, 28), depths=(2,), num_heads=(2,), window_rule=rule)
    overlay, weights = maps(*network(model))
    weights = weights.mean((2, 3))  # [B, windows, M]
    assert overlay.shape == (2, 10, 14)
    for y in range(10):
        for x in range(14):
            # "microsoft" shifts the padded map of 12 x 16, "timm" the map itself.
            rows, columns = (12, 16) if rule == "microsoft" else (10, 14)
            row, column = (y - 2) % rows, (x - 2) % columns
            window, token = row // 4 * 4 + column // 4, row % 4 * 4 + column % 4
            np.testing.assert_allclose(overlay[:, y, x], weights[:, window, token], atol=1e-7)


@pytest.mark.parametrize("name", ["mae", "beit_masked"])
def test_a_network_for_pre_training_shows_its_encoder_s(name):
    model, params, images = network(small_network(HUGGINGFACE_CASES[name]))
    overlay, weights = maps(model, params, images)
    np.testing.assert_allclose(overlay, weights.mean(1)[:, 0, 1:].reshape(2, 4, 4), atol=1e-6)
    assert len(vit_jax.attention_maps(model, params, images)) == SMALL["depth"]


def test_a_convolutional_network_has_none():
    model, params, images = network(ConvNet(image_size=32, stride=1))
    assert last_attention(model, params, images) is None
    with pytest.raises(ValueError, match="a ConvNet has no attention to show"):
        vit_jax.attention_maps(model, params, images)
