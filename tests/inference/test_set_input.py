"""Batches on the device become what `vit_jax.preprocessing` makes of single images."""

from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import vit_jax
from vit_jax.inference.set_input import set_input


def network(channels=3, crop_fraction=1.0, interpolation: Any = "bicubic", size=(24, 32)):
    mean, std = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)) if channels == 3 else ((0.1,), (0.4,))
    settings = vit_jax.Preprocessing(mean, std, crop_fraction, interpolation)
    return vit_jax.create_model("vit_tiny_patch4_32", image_size=size, in_channels=channels, preprocessing=settings)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_fraction", [1.0, 0.875])
@pytest.mark.parametrize("shape", [(12, 10, 3), (61, 90, 3), (9, 9, 1)])
def test_batches_are_resized_and_cropped_as_single_images_are(shape, crop_fraction, interpolation):
    model = network(crop_fraction=crop_fraction, interpolation=interpolation)
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    expected = np.stack([vit_jax.preprocessing(model)(image) for image in images])
    given = jax.jit(lambda x: set_input(model, x))(images)
    level = 1 / 255 / 0.4  # of pixel values; halves may be rounded either way
    assert given.shape == expected.shape
    np.testing.assert_allclose(given, expected, atol=1.01 * level)
    assert np.mean(np.abs(given - expected) > 0.5 * level) < 0.05


def test_colour_becomes_grey_as_pillow_makes_it():
    images = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)
    grey = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])[..., None]
    model = network(1)
    level = 1 / 255 / 0.4
    np.testing.assert_allclose(set_input(model, images), set_input(model, grey), atol=1.01 * level)


@pytest.mark.parametrize("size", [16, 32])
def test_other_channels_are_refused_at_any_size(size):
    model = vit_jax.create_model("vit_tiny_patch4_32", image_size=16)
    with pytest.raises(ValueError, match="the images have 5 channels; the model takes 3"):
        set_input(model, np.zeros((1, size, size, 5), np.uint8))


def test_images_of_the_models_size_keep_their_margin():
    images = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)
    model = network(crop_fraction=0.5)
    expected = model.preprocessing.normalise(jax.numpy.asarray(images))
    np.testing.assert_array_equal(set_input(model, images), expected)
