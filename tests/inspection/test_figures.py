"""Protects the pictures inside a report: the right pixels, small enough, for any number of channels."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from vit_jax.inspection.figures import LARGEST_SIDE, RIGHT_COLOUR, WRONG_COLOUR, heat_map, picture


def decode(address):
    head, data = address.split(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == f"data:image/{(image.format or '').lower()};base64"
    return np.asarray(image)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_small_images_keep_every_pixel():
    grey, colour = noise(8, 8, 1), noise(32, 48, 3)
    np.testing.assert_array_equal(decode(picture(grey)), grey[..., 0])
    np.testing.assert_array_equal(decode(picture(colour)), colour)


def test_large_images_are_reduced_and_keep_their_proportions():
    photograph = np.full((400, 800, 3), (200, 100, 50), np.uint8)
    shown = decode(picture(photograph))
    assert shown.shape == (LARGEST_SIDE // 2, LARGEST_SIDE, 3)
    np.testing.assert_allclose(shown.mean(axis=(0, 1)), [200, 100, 50], atol=3)
    assert len(picture(noise(1000, 1000, 1))) < 60_000


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_other_numbers_of_channels_are_drawn_from_the_first(channels):
    image = noise(8, 8, channels)
    expected = image[..., 0] if channels == 2 else image[..., :3]
    np.testing.assert_array_equal(decode(picture(image)), expected)


def test_heat_map_is_blue_on_the_diagonal_and_orange_off_it():
    pixels = decode(heat_map(np.array([[1.0, 0.2], [0.0, 0.4]])))
    np.testing.assert_array_equal(pixels[..., 3], [[255, 51], [0, 102]])
    assert tuple(pixels[0, 0, :3]) == tuple(pixels[1, 1, :3]) == RIGHT_COLOUR
    assert tuple(pixels[0, 1, :3]) == WRONG_COLOUR
