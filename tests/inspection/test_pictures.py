"""Heat maps lie where their values belong, in colours that can be read; feature pictures show principal components."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vit_jax.inspection.pictures import HEAT, colours, feature_picture, overlay
from vit_jax.models.network import Features
from vit_jax.rgb import to_rgb


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE L*, 0 to 100, of sRGB colours uint8 [..., 3]."""
    shade = rgb / 255
    linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    return np.where(linear > 0.008856, 116 * np.cbrt(linear) - 16, 903.3 * linear)


def brightest(picture: Image.Image) -> tuple[float, float]:
    """The middle (row, column) of the brightest hundredth of a picture, in units of its sides."""
    light = lightness(np.asarray(picture))
    rows, columns = np.nonzero(light >= np.quantile(light, 0.99))
    return (rows.mean() + 0.5) / light.shape[0], (columns.mean() + 0.5) / light.shape[1]


def test_equal_steps_are_about_equally_lighter():
    steps = np.diff(lightness(colours(np.linspace(0, 1, 21))))
    assert steps.min() > 0
    assert steps.max() < 1.5 * steps.mean()


@pytest.mark.parametrize(("row", "column"), [(0, 4), (1, 1), (2, 0)])
def test_each_value_lies_over_its_place(row: int, column: int):
    """A map of 3 x 5 over an image of 120 x 300 pixels: the bright spot is in the middle of its place."""
    values = np.zeros((3, 5))
    values[row, column] = 1
    result = overlay(np.full((120, 300, 3), 128, np.uint8), values)
    assert result.size == (300, 120)
    found = brightest(result)
    for place, expected, sides in zip(found, (row, column), (3, 5), strict=True):
        at_the_edge = expected in (0, sides - 1)  # where the map goes on as bright as its last value's middle is
        assert place * sides == pytest.approx(expected + 0.5, abs=0.35 if at_the_edge else 0.05)


def test_a_map_that_covers_more_than_the_image_is_cut():
    """Of 4 columns over 3.5: the third's middle is at 2.5 / 3.5."""
    values = np.zeros((3, 4))
    values[1, 2] = 1
    result = overlay(np.full((70, 70, 3), 128, np.uint8), values, covered=(1.0, 4 / 3.5))
    np.testing.assert_allclose(brightest(result), (0.5, 2.5 / 3.5), atol=0.02)


def test_the_image_shows_through():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 12, 3), np.uint8)
    values = rng.random((8, 12))
    heat = colours((values - values.min()) / np.ptp(values)).astype(float)
    result = np.asarray(overlay(Image.fromarray(pixels), values), float)
    np.testing.assert_allclose(result, (1 - HEAT) * pixels + HEAT * heat, atol=2)


def test_grey_images_and_even_maps_can_be_drawn():
    image = np.full((6, 4), 100, np.uint8)
    for one in (image, image[:, :, None], Image.fromarray(image)):
        result = np.asarray(overlay(one, np.full((3, 2), 7.0)))
        assert (result == result[0, 0]).all()
        assert result.shape == (6, 4, 3)


def test_an_image_is_brought_upright_and_on_white():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4, 4), np.uint8), "RGBA")
    image.getexif()[0x0112] = 6  # shown turned by 90 degrees clockwise
    values = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(overlay(image, values), overlay(to_rgb(image), values))
    assert overlay(image, values).size == (6, 4)


@pytest.mark.parametrize("values", [np.ones(3), np.ones((1, 2, 3)), np.array([[0, np.nan]]), np.ones((0, 2))])
def test_what_is_no_map_is_refused(values: np.ndarray):
    with pytest.raises(ValueError, match="finite values"):
        overlay(np.zeros((4, 4, 3), np.uint8), values)


@pytest.mark.parametrize("covered", [5, (1.0,), (1.0, 1.0, 1.0), (0.5, 1.0), (1.0, np.nan)])
def test_what_no_map_covers_is_refused(covered: Any):
    with pytest.raises(ValueError, match=r"covered is \(height, width\), 1 or more"):
        overlay(np.zeros((4, 4, 3), np.uint8), np.ones((2, 2)), covered)


def test_red_green_and_blue_are_the_three_directions_of_most_variance():
    """Of features that are three signals of different strength in random directions, over two maps."""
    rng = np.random.default_rng(0)
    signals = rng.random((2, 9, 12, 3))
    directions = np.linalg.qr(rng.normal(size=(16, 16)))[0][:3]
    pictures = feature_picture(100 + signals * [9, 3, 1] @ directions + 1e-3 * rng.normal(size=(2, 9, 12, 16)), 2)
    assert [picture.size for picture in pictures] == [(24, 18)] * 2
    places = np.stack([np.asarray(picture) for picture in pictures])
    np.testing.assert_array_equal(places[:, ::2, ::2], places[:, 1::2, 1::2])
    for channel in range(3):
        shades = places[:, ::2, ::2, channel].ravel()
        for other in range(3):
            correlation = abs(np.corrcoef(shades, signals[..., other].ravel())[0, 1])
            assert correlation > 0.97 if channel == other else correlation < 0.25
        assert (shades.min(), shades.max()) == (0, 255)


def test_alike_places_have_one_colour_in_all_pictures():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 4, 4, 8))
    features[1, 2, 3] = features[0, 0, 1]
    first, second = feature_picture(features, 1)
    assert first.getpixel((1, 0)) == second.getpixel((3, 2))


@pytest.mark.parametrize("shape", [(1, 1, 2, 8), (1, 4, 4, 2), (4, 4, 8)])
def test_too_little_for_three_components_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="three components"):
        feature_picture(np.ones(shape))


def test_features_of_several_layers_are_no_map():
    maps = jnp.ones((1, 4, 4, 8))
    for several in (Features(jnp.ones((1, 17, 8)), jnp.ones((1, 8)), (maps, maps)), (maps, maps)):
        with pytest.raises(ValueError, match=r"the maps of one layer are drawn, such as features\.stages\[-1\]"):
            feature_picture(several)  # pyright: ignore[reportArgumentType]
