"""Gaussian blur against a convolution written out, and Pillow; 3-Augment against its three parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from vit_jax.data.augment import ThreeAugment
from vit_jax.data.augment.blur import gaussian_blur


def convolved(image: np.ndarray, sigma: float, radius: int) -> np.ndarray:
    """In float64, pixel by pixel, the edge repeated."""
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    height, width, _ = image.shape
    rows = np.clip(np.arange(height)[:, None] + offsets, 0, height - 1)
    columns = np.clip(np.arange(width)[:, None] + offsets, 0, width - 1)
    vertical = np.einsum("hk,hkwc->hwc", np.broadcast_to(weights, rows.shape), image.astype(np.float64)[rows])
    return np.einsum("k,hwkc->hwc", weights, vertical[:, columns])


@pytest.mark.parametrize("sigma", [0.1, 0.8, 2.0])
def test_blur_is_a_convolution(sigma, pictures) -> None:
    image = pictures(1, 13, 9, 3)[0]
    ours = jax.jit(gaussian_blur, static_argnums=2)(jnp.asarray(image), jnp.float32(sigma), 2.0)
    np.testing.assert_allclose(ours, convolved(image, sigma, 6), atol=1e-3)


def test_blur_is_near_pillows(pictures) -> None:
    """Which makes it of three box blurs, each with the edge repeated anew: so away from the edge."""
    image = pictures(1, 32, 32, 3)[0]
    theirs = np.asarray(Image.fromarray(image.astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5)), np.float32)
    ours = gaussian_blur(jnp.asarray(image), jnp.float32(1.5), 2.0)
    difference = np.abs(ours - theirs)[6:-6, 6:-6]
    assert difference.mean() < 1
    assert difference.max() < 5


def test_each_image_is_grey_solarized_or_blurred(pictures, draw, apply) -> None:
    transform, images = ThreeAugment(), pictures(12, 16, 16, 3)
    params = draw(transform, 12, (16, 16, 3))
    ours = apply(transform, images, params)
    assert set(params.which.tolist()) == {0, 1, 2}
    for image, which, sigma, result in zip(images, *params, ours, strict=True):
        picture = Image.fromarray(image.astype(np.uint8))
        if which == 0:
            grey = np.asarray(ImageOps.grayscale(picture), np.float32)[..., None]
            np.testing.assert_allclose(result, np.broadcast_to(grey, image.shape), atol=0.51)
        elif which == 1:
            np.testing.assert_array_equal(result, np.asarray(ImageOps.solarize(picture, 128)))
        else:
            np.testing.assert_allclose(result, convolved(image, float(sigma), 6), atol=1e-3)


def test_one_channel_goes_too(pictures, draw, apply) -> None:
    images = pictures(6, 8, 8, 1)
    ours = apply(ThreeAugment(), images, draw(ThreeAugment(), 6, (8, 8, 1)))
    assert ours.shape == images.shape


def test_draws_are_uniform(draw) -> None:
    params = draw(ThreeAugment(sigma=(0.5, 1.5)), 6000, (8, 8, 3))
    np.testing.assert_allclose(np.bincount(params.which) / 6000, 1 / 3, atol=0.03)
    assert params.sigma.min() >= 0.5
    assert params.sigma.max() <= 1.5
    assert params.sigma.mean() == pytest.approx(1.0, abs=0.02)


def test_a_range_that_begins_at_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="0 < low <= high"):
        ThreeAugment(sigma=(0.0, 1.0))
