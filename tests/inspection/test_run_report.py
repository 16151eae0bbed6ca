"""What the last block attends to, for the report's examples."""

import numpy as np

import vit_jax
from tests.models.cases import random_images, random_params, small_model
from vit_jax.inspection.run_report import last_attention
from vit_jax.models.cnn import ConvNet


def test_the_last_layer_s_heads_are_averaged():
    model = small_model(image_size=(8, 16))
    params, images = random_params(model, 0), random_images(model, 0)
    weights = np.asarray(vit_jax.attention_maps(model, params, images)[-1])
    for found, expected in zip(last_attention(model, params, images), weights.mean(1)[:, 0, 1:], strict=True):
        assert found is not None
        np.testing.assert_allclose(found, expected.reshape(2, 4), atol=1e-7)


def test_a_convolutional_network_has_none():
    assert last_attention(ConvNet(image_size=32, stride=1), {}, np.zeros((2, 32, 32, 3))) == [None, None]
