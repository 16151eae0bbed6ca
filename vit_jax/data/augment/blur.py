"""Gaussian blur, and 3-Augment of DeiT-III."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vit_jax.data.augment.checks import is_interval, require
from vit_jax.data.augment.color import grey
from vit_jax.data.augment.draws import whole_number
from vit_jax.data.augment.pipeline import ImageShape, ImageTransform

REACH = 3
"""Standard deviations at which the kernel ends."""


def gaussian_blur(image: jax.Array, sigma: jax.Array, largest_sigma: float) -> jax.Array:
    """Convolves with a Gaussian; beyond the border, the image goes on as its edge. [H, W, C] -> [H, W, C]

    Args:
        image: of any range.
        sigma: standard deviation in pixels, above 0.
        largest_sigma: that there may be: it decides the size of the kernel.
    """
    radius = max(int(REACH * largest_sigma + 0.5), 1)
    weights = jnp.exp(-0.5 * jnp.square(jnp.arange(-radius, radius + 1) / sigma))
    weights = weights / weights.sum()
    for axis in (0, 1):
        padding = [(radius, radius) if a == axis else (0, 0) for a in range(3)]
        padded, size = jnp.pad(image, padding, mode="edge"), image.shape[axis]
        shifted = (jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(2 * radius + 1))
        image = sum((weight * part for weight, part in zip(weights, shifted, strict=True)), jnp.zeros_like(image))
    return image


class OneOfThree(NamedTuple):
    """which int32: 0 grey, 1 solarized, 2 blurred; sigma float32 of the blur."""

    which: jax.Array
    sigma: jax.Array


@dataclass(frozen=True)
class ThreeAugment(ImageTransform[OneOfThree]):
    """Makes an image grey, inverts its levels from 128 up, or blurs it: one of the three, equally often (DeiT-III).

    From `augment.py` of DeiT's code, where `ColorJitter(0.3, 0.3, 0.3)` follows. Pillow, which that uses, makes its
    Gaussian of box blurs: some levels differ by a few.

    Attributes:
        sigma: range of the blur's standard deviation, in pixels; for images of 224, and as published for all sizes.
    """

    sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        fits = is_interval(self.sigma, 0, float("inf")) and self.sigma[0] > 0 and self.sigma[1] < float("inf")
        require(fits, self, "sigma", "(low, high) with 0 < low <= high")

    def draw(self, key: jax.Array, image_shape: ImageShape) -> OneOfThree:
        uniform = jax.random.uniform(key, (2,))
        low, high = self.sigma
        return OneOfThree(whole_number(uniform[0], 3), low + (high - low) * uniform[1])

    def apply(self, image: jax.Array, params: OneOfThree) -> jax.Array:
        grey_image = jnp.broadcast_to(grey(image), image.shape)
        solarized = jnp.where(image < 128, image, 255 - image)
        blurred = gaussian_blur(image, params.sigma, self.sigma[1])
        return jnp.where(params.which == 0, grey_image, jnp.where(params.which == 1, solarized, blurred))
