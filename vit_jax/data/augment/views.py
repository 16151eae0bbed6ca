"""Random views of an image for self-distillation: crops of a size of their own, in changed colours (DINO, BYOL)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vit_jax.data.augment.blur import gaussian_blur
from vit_jax.data.augment.boxes import Box
from vit_jax.data.augment.color import ColorJitter, Jitter, grey
from vit_jax.data.augment.crop import RandomResizedCrop, resized_box
from vit_jax.data.augment.pipeline import ImageShape

JITTERED, GREY = 0.8, 0.2
"""Probabilities of a view to have its colours changed, and to lose them."""


class ViewParams(NamedTuple):
    """What is done for a view: the box cut out, whether it is mirrored, jittered, grey, blurred and solarized."""

    box: Box
    mirrored: jax.Array
    jittered: jax.Array
    jitter: Jitter
    grey: jax.Array
    blurred: jax.Array
    sigma: jax.Array
    solarized: jax.Array


@dataclass(frozen=True)
class View:
    """Cuts a random rectangle, resizes it to a size, and changes its colours (DINO: `DataAugmentationDINO`).

    In this order: a crop, resized bicubically; mirrored half of the time; with probability 0.8 brightness, contrast,
    saturation and hue changed by up to 0.4, 0.4, 0.2 and 0.1; grey with probability 0.2; blurred; solarized.

    Attributes:
        size: height and width of the view.
        scale: range of the crop's area as a share of the image's.
        blur: probability of a Gaussian blur.
        solarize: probability of inverting the levels from 128 up.
        sigma: range of the blur's standard deviation, in pixels of the view.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    blur: float
    solarize: float = 0.0
    sigma: tuple[float, float] = (0.1, 2.0)

    def draw(self, key: jax.Array, image_shape: ImageShape) -> ViewParams:
        """Random parameters of a view of one image."""
        box_key, jitter_key, key = jax.random.split(key, 3)
        uniform = jax.random.uniform(key, (6,))
        low, high = self.sigma
        return ViewParams(
            box=RandomResizedCrop(self.scale).draw(box_key, image_shape),
            mirrored=uniform[0] < 0.5,
            jittered=uniform[1] < JITTERED,
            jitter=colours(image_shape[-1]).draw(jitter_key, image_shape),
            grey=uniform[2] < GREY,
            blurred=uniform[3] < self.blur,
            sigma=low + (high - low) * uniform[4],
            solarized=uniform[5] < self.solarize,
        )

    def apply(self, image: jax.Array, params: ViewParams) -> jax.Array:
        """float32 [H, W, C] in [0, 255] -> the view, float32 [*size, C] in [0, 255]."""
        x = resized_box(image, params.box, self.size, "bicubic")
        x = jnp.where(params.mirrored, x[:, ::-1], x)
        x = jnp.where(params.jittered, colours(image.shape[-1]).apply(x, params.jitter), x)
        x = jnp.where(params.grey, jnp.broadcast_to(grey(x), x.shape), x)
        x = jnp.where(params.blurred, gaussian_blur(x, params.sigma, self.sigma[1]), x)
        return jnp.where(params.solarized & (x >= 128), 255 - x, x)


def colours(channels: int) -> ColorJitter:
    """The change of colours; images that are not of three channels have no hue."""
    return ColorJitter(0.4, 0.4, 0.2, 0.1 if channels == 3 else 0.0)
