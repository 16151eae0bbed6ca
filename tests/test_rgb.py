"""Images of every mode become upright ones of 8-bit RGB."""

import io

import numpy as np
import pytest
from PIL import Image

from vit_jax.rgb import to_rgb

RGB = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(to_rgb(image))


def test_grey_palette_and_bilevel_images_become_colour():
    grey = RGB.convert("L")
    np.testing.assert_array_equal(pixels(grey), np.asarray(grey)[..., None].repeat(3, axis=2))
    palette = RGB.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    np.testing.assert_array_equal(pixels(palette), np.asarray(palette.convert("RGB")))
    bilevel = RGB.convert("1")
    np.testing.assert_array_equal(pixels(bilevel), np.where(np.asarray(bilevel)[..., None], 255, 0).repeat(3, axis=2))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(form: str):
    deep = np.array([[0, 128, 129, 257], [32767, 32896, 65407, 65535]], np.uint16)
    file = io.BytesIO()
    Image.fromarray(deep).save(file, form)
    expected = np.round(deep * (255 / 65535)).astype(np.uint8)
    with Image.open(file) as image:
        np.testing.assert_array_equal(pixels(image), expected[..., None].repeat(3, axis=2))


def test_transparent_images_lie_on_white():
    image = Image.fromarray(np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8))
    np.testing.assert_array_equal(pixels(image)[0], [[10, 20, 30], [255, 255, 255], [204, 204, 204]])
    grey = Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8))
    np.testing.assert_array_equal(pixels(grey)[0], [[10, 10, 10], [255, 255, 255]])


def test_a_transparent_palette_entry_is_white():
    image = Image.new("P", (2, 1), 1)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.putpixel((0, 0), 0)
    file = io.BytesIO()
    image.save(file, "PNG", transparency=0)
    with Image.open(file) as saved:
        np.testing.assert_array_equal(pixels(saved)[0], [[255, 255, 255], [0, 200, 0]])


def test_what_was_turned_is_not_turned_again():
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (12, 8)).save(file, "JPEG", exif=exif)
    turned = to_rgb(Image.open(file))
    assert turned.size == to_rgb(turned).size == (8, 12)
