"""The picture of `vit-jax attention`: the right part of the image, the right maps, side by side."""

from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import vit_jax
from tests.models.cases import random_params, small_model
from tests.models.swin_cases import small_swin
from vit_jax.inspection import attention_picture as drawing
from vit_jax.inspection.attention_picture import GAP, SIDE, Head, Layer, attention_picture, seen_part
from vit_jax.inspection.pictures import overlay
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import Preprocessing

HALF = Preprocessing(crop_fraction=0.5)


def photograph(height: int = 60, width: int = 100) -> Image.Image:
    """Smooth, and nowhere the same."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([255 * rows / height, 255 * columns / width, 0 * rows], -1).astype(np.uint8))


@pytest.fixture(scope="module")
def vit() -> tuple[Network, Any]:
    model = small_model(image_size=(8, 16), preprocessing=HALF)
    return model, random_params(model, 0)


def panels(picture: Image.Image, columns: int, rows: int) -> list[Image.Image]:
    """The parts of a picture between its gaps."""
    width, height = (picture.width + GAP) // columns, (picture.height + GAP) // rows
    corners = [(x * width, y * height) for y in range(rows) for x in range(columns)]
    return [picture.crop((x, y, x + width - GAP, y + height - GAP)) for x, y in corners]


@pytest.mark.parametrize("size", [(60, 100), (100, 60)])
def test_the_part_shown_is_the_part_that_the_network_sees(size: tuple[int, int], vit):
    """As a small image, it is what preprocessing makes of the photograph."""
    image = photograph(*size)
    seen = seen_part(vit[0], image)
    assert seen.size == (SIDE, SIDE // 2)
    input_pixels = (vit_jax.preprocessing(vit[0])(image) / 2 + 0.5) * 255
    np.testing.assert_allclose(np.asarray(seen.resize((16, 8), Image.Resampling.BOX)), input_pixels, atol=4)


def test_an_array_is_seen_as_its_picture(vit):
    """As preprocessing and overlay take it."""
    image = np.asarray(photograph())
    for one in (image, image[:, :, 0], image[:, :, :1]):
        expected = Image.fromarray(one[:, :, 0] if one.shape[2:] == (1,) else one)
        np.testing.assert_array_equal(np.asarray(seen_part(vit[0], one)), np.asarray(seen_part(vit[0], expected)))


@pytest.mark.parametrize("side", [0, -3])
def test_a_part_without_pixels_is_refused(side: int, vit):
    with pytest.raises(ValueError, match=f"side must be positive, not {side}"):
        seen_part(vit[0], photograph(), side)


def test_a_photograph_lies_as_the_network_sees_it_on_white(vit):
    """And a map may be laid over all of it, at any size."""
    model = vit[0].clone(preprocessing=Preprocessing(squash=True))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    turned = photograph().convert("RGBA")
    turned.putalpha(Image.new("L", turned.size, 100))
    turned.getexif().update(exif)
    seen = seen_part(model, turned, side=16)
    input_pixels = (vit_jax.preprocessing(model)(turned) / 2 + 0.5) * 255
    np.testing.assert_allclose(np.asarray(seen, float), input_pixels, atol=1e-3)


def test_each_layer_and_head_and_the_rollout_has_its_picture(vit):
    model, params = vit
    image = photograph()
    inputs = vit_jax.preprocessing(model)(image)[None]
    layers = vit_jax.attention_to_image(model, vit_jax.attention_maps(model, params, inputs))
    rollout = vit_jax.attention_to_image(model, vit_jax.attention_rollout(model, params, inputs))
    seen = seen_part(model, image)
    chosen: tuple[tuple[Layer, Head, jax.Array], ...] = (
        ("last", "mean", layers[1][0].mean(axis=0)),
        (0, "mean", layers[0][0].mean(axis=0)),
        (0, 2, layers[0][0, 2]),
        ("rollout", "mean", rollout[0]),
    )
    for layer, head, expected in chosen:
        left, right = panels(attention_picture(model, params, image, layer, head), 2, 1)
        np.testing.assert_array_equal(left, seen)
        np.testing.assert_allclose(np.asarray(right, int), np.asarray(overlay(seen, expected), int), atol=1)
    every = panels(attention_picture(model, params, image, head="all"), 2, 2)
    np.testing.assert_array_equal(every[0], seen)
    for head in range(3):
        np.testing.assert_array_equal(every[1 + head], overlay(seen, layers[1][0, head]))


def test_an_odd_map_of_a_swin_transformer_lies_where_its_places_are(monkeypatch: pytest.MonkeyPatch):
    """A last map of 3 x 4 places, of which 2.5 x 3.5 are of the image."""
    model = small_swin(image_size=(10, 14), depths=(1, 1), window_size=2)
    extents = []
    monkeypatch.setattr(drawing, "overlay", lambda image, values, covered: extents.append(covered) or image)
    attention_picture(model, random_params(model, 0), photograph())
    assert extents == [(3 / 2.5, 4 / 3.5)]


@pytest.mark.parametrize(
    ("layer", "head", "message"),
    [
        (2, "mean", "no layer 2: layers are 0 to 1"),
        (-1, "mean", "no layer -1"),
        ("first", "mean", 'no layer first: layers are 0 to 1, "last" and "rollout"'),
        ("last", 3, "no head 3: those of layer 1 are 0 to 2"),
        ("last", "max", 'no head max: those of layer 1 are 0 to 2, "mean" and "all"'),
        ("rollout", 0, "rollout averages the heads"),
    ],
)
def test_layers_and_heads_that_are_not_there_are_named(layer: Any, head: Any, message: str, vit):
    model, params = vit
    with pytest.raises(ValueError, match=message):
        attention_picture(model, params, photograph(), layer, head)
