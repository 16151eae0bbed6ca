"""ColorJitter against a plain float64 implementation, the standard library's colorsys and Pillow, on the same draws."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from vit_jax.data.augment import ColorJitter
from vit_jax.data.augment.color import blend, grey, shift_hue


def reference(image: np.ndarray, order: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """torchvision's ColorJitter on a float image. [H, W, C] -> [H, W, C]"""
    image = image.astype(np.float64)
    for kind in order:
        amount = float(amounts[kind])
        luma = image @ [0.299, 0.587, 0.114] if image.shape[-1] == 3 else image.mean(-1)
        if kind == 3:
            hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3) / 255]
            image = np.reshape([colorsys.hsv_to_rgb((h + amount) % 1, s, v) for h, s, v in hsv], image.shape) * 255
        else:
            degenerate = {0: 0.0, 1: luma.mean(), 2: luma[..., None]}[int(kind)]
            image = np.clip(amount * image + (1 - amount) * degenerate, 0, 255)
    return image


@pytest.mark.parametrize(
    ("transform", "channels"), [(ColorJitter(0.8, 0.8, 0.8, 0.3), 3), (ColorJitter(), 1), (ColorJitter(), 4)]
)
def test_color_jitter_equals_the_reference(transform, channels, pictures, draw, apply) -> None:
    """0.02 levels: Pillow's 16-bit luma weights, which we share with the policies, are 5e-6 off torchvision's."""
    images = pictures(12, 9, 8, channels)
    params = draw(transform, 12, images.shape[1:])
    ours = apply(transform, images, params)
    assert len(np.unique(params.order, axis=0)) > 3
    for image, order, amount, result in zip(images, *params, ours, strict=True):
        np.testing.assert_allclose(result, reference(image, order, amount), atol=0.02)


def test_saturation_changes_nothing_in_one_channel(pictures, draw, apply) -> None:
    transform = ColorJitter(brightness=0, contrast=0, saturation=0.9)
    images = pictures(4, 9, 8, 1)
    np.testing.assert_allclose(apply(transform, images, draw(transform, 4, (9, 8, 1))), images, atol=1e-4)


@pytest.mark.parametrize(
    ("enhancer", "degenerate"), [(ImageEnhance.Brightness, lambda _: 0.0), (ImageEnhance.Color, grey)]
)
def test_blends_are_pillows_enhancements(enhancer, degenerate, pictures) -> None:
    """Within two levels: Pillow rounds the grey image, enlarges that by the factor, and truncates the result."""
    image = pictures(1, 24, 20, 3)[0]
    for factor in (0.3, 1.7):
        theirs = np.asarray(enhancer(Image.fromarray(image.astype(np.uint8))).enhance(factor), np.float32)
        ours = blend(degenerate(jnp.asarray(image)), jnp.asarray(image), jnp.float32(factor))
        assert np.abs(ours - theirs).max() < 2


def test_hue_of_pure_colours() -> None:
    red, green, grey_pixel = [200.0, 0, 0], [0, 200.0, 0], [70.0, 70, 70]
    turned = shift_hue(jnp.array([[red, green, grey_pixel]]), jnp.float32(1 / 3))
    np.testing.assert_allclose(turned, [[green, [0, 0, 200.0], grey_pixel]], atol=1e-3)


def test_draws_are_uniform_within_the_ranges_and_every_order_occurs_equally_often(draw) -> None:
    transform = ColorJitter(brightness=0.4, contrast=1.5, saturation=0.1, hue=0.2)
    params = draw(transform, 6000, (8, 8, 3))
    low, high = np.array([0.6, 0.0, 0.9, -0.2]), np.array([1.4, 2.5, 1.1, 0.2])
    amounts = params.amounts
    assert np.all((amounts >= low - 1e-6) & (amounts <= high + 1e-6))
    np.testing.assert_allclose((amounts.mean(0) - low) / (high - low), 0.5, atol=0.02)
    np.testing.assert_allclose(amounts.std(0) / (high - low), 1 / np.sqrt(12), atol=0.01)
    _, counts = np.unique(params.order, axis=0, return_counts=True)
    assert len(counts) == 24
    np.testing.assert_allclose(counts / 6000, 1 / 24, atol=0.012)
    turn_of_brightness = params.order.argmin(axis=1)
    assert abs(np.corrcoef(turn_of_brightness, amounts[:, 0])[0, 1]) < 0.06


def test_hue_needs_three_channels() -> None:
    with pytest.raises(ValueError, match="3 channels"):
        ColorJitter(hue=0.1).draw(jax.random.key(0), (8, 8, 1))
