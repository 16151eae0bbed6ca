"""Pixels become a network's input: its channels, its size, its scale."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import vit_jax
from vit_jax.models.network_input import fits_channels, network_input


def network(channels: int):
    fields = dict(image_size=8, patch_size=4, embed_dim=12, depth=1, num_heads=3, in_channels=channels)
    return vit_jax.create_model("vit_cifar_patch4_32", **fields, preprocessing=vit_jax.Preprocessing((0.5,), (0.25,)))


def test_grey_pixels_are_shown_in_colour_and_colour_in_grey():
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1)).astype(np.float32)
    seen = network_input(network(3), jnp.asarray(grey))
    np.testing.assert_allclose(seen, np.repeat((grey / 255 - 0.5) / 0.25, 3, axis=-1), atol=1e-6)
    colour = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    levels = np.round(colour @ np.array([0.299, 0.587, 0.114]))[..., None]
    np.testing.assert_allclose(network_input(network(1), jnp.asarray(colour)), (levels / 255 - 0.5) / 0.25, atol=1e-6)


def test_larger_images_are_resized_as_pillow_does():
    """With antialias: without it a network would see noise that the data's publishers averaged away."""
    noise = np.random.default_rng(0).uniform(0, 255, (32, 32)).astype(np.float32)
    expected = np.asarray(Image.fromarray(noise).resize((8, 8), Image.Resampling.BICUBIC)).clip(0, 255)
    seen = network_input(network(1), jnp.asarray(noise)[None, ..., None])
    np.testing.assert_allclose(seen[0, ..., 0], (expected / 255 - 0.5) / 0.25, atol=1e-4)


def test_pixels_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="the images have 3 channels; the model takes 4"):
        network_input(network(4), jnp.zeros((1, 8, 8, 3)))
    assert [fits_channels(*both) for both in ((1, 1), (1, 3), (3, 1), (4, 4), (1, 4), (3, 4))] == [True] * 4 + [
        False
    ] * 2
