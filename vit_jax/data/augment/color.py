"""Colour: grey levels, blends with a degenerate image (Haeberli and Voorhies 1994, as in Pillow), and ColorJitter."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vit_jax.data.augment.checks import require
from vit_jax.data.augment.pipeline import ImageShape, ImageTransform

# Pillow's 16-bit form of the ITU-R 601-2 luma (.299, .587, .114). Products and sums of whole levels stay below 2^24, so
# float32 holds them exactly.
LUMA_65536THS = (19595, 38470, 7471)


def grey(image: jax.Array) -> jax.Array:
    """Luma of three channels; the only channel of one; the mean of any other number. [H, W, C] -> [H, W, 1]"""
    if image.shape[-1] == 3:
        red, green, blue = (image[..., i : i + 1] * weight for i, weight in enumerate(LUMA_65536THS))
        return (red + green + blue) / 65536
    return image.mean(axis=-1, keepdims=True)


def blend(degenerate: jax.Array, image: jax.Array, factor: jax.Array) -> jax.Array:
    """The degenerate image at factor 0, the image at 1, further away from the degenerate above 1; within [0, 255]."""
    return jnp.clip(degenerate + factor * (image - degenerate), 0, 255)


def shift_hue(image: jax.Array, turn: jax.Array) -> jax.Array:
    """Adds `turn` (1 is the full circle) to the hue in HSV. [H, W, 3] in [0, 255] -> the same."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = image.max(axis=-1)
    chroma = value - image.min(axis=-1)
    divisor = jnp.where(chroma > 0, chroma, 1)  # grey pixels have no hue, and chroma 0 keeps them grey below
    # Not by which channel equals `value`: compiled, both may be computed twice, and rounded differently.
    sixths = jnp.where(
        (red >= green) & (red >= blue),
        (green - blue) / divisor,
        jnp.where(green >= blue, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sixths = sixths + 6 * turn

    def channel(offset: int) -> jax.Array:
        k = (offset + sixths) / 6
        k = 6 * (k - jnp.floor(k))  # several times faster than jnp.mod on the CPU
        return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

    return jnp.stack([channel(5), channel(3), channel(1)], axis=-1)


class Jitter(NamedTuple):
    """order int32 [n], a permutation of 0..n-1 (0 brightness, 1 contrast, 2 saturation, 3 hue); amounts float32 [n]."""

    order: jax.Array
    amounts: jax.Array


@dataclass(frozen=True)
class ColorJitter(ImageTransform[Jitter]):
    """Changes brightness, contrast, saturation and hue by random amounts in a random order, as in torchvision.

    Brightness blends with black, contrast with the mean grey of the image, saturation with its grey version; each by a
    factor drawn uniformly from [max(0, 1 - strength), 1 + strength]. The hue turns by a uniform draw from
    [-hue, hue] of the circle. One channel: saturation is the identity. Two or four channels: grey is their mean. Hue
    needs three channels. Results are not rounded to whole levels.

    Attributes:
        brightness: strength, 0 for none. timm's default is 0.4 for each of the three, DeiT's 0.3.
        contrast: strength, 0 for none.
        saturation: strength, 0 for none.
        hue: in [0, 0.5]. DINO and BYOL use 0.1.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0

    def __post_init__(self) -> None:
        for field in ("brightness", "contrast", "saturation"):
            require(0 <= getattr(self, field) < float("inf"), self, field, "0 or more")
        require(0 <= self.hue <= 0.5, self, "hue", "in [0, 0.5]")

    def draw(self, key: jax.Array, image_shape: ImageShape) -> Jitter:
        if self.hue and image_shape[-1] != 3:
            raise ValueError(
                f"ColorJitter(hue={self.hue}) needs images of 3 channels, not {image_shape[-1]}; set hue=0"
            )
        ranges = [(max(0.0, 1 - s), 1 + s) for s in (self.brightness, self.contrast, self.saturation)]
        if self.hue:
            ranges.append((-self.hue, self.hue))
        low, high = (jnp.array(ends, jnp.float32) for ends in zip(*ranges, strict=True))
        uniform = jax.random.uniform(key, (2, len(ranges)))
        return Jitter(order=jnp.argsort(uniform[0]), amounts=low + (high - low) * uniform[1])

    def apply(self, image: jax.Array, params: Jitter) -> jax.Array:
        for step in range(len(params.order)):
            kind = params.order[step]
            amount = params.amounts[kind]
            grey_image = grey(image)
            degenerate = jnp.where(kind == 0, 0.0, jnp.where(kind == 1, grey_image.mean(), grey_image))
            blended = blend(degenerate, image, amount)
            image = jnp.where(kind == 3, shift_hue(image, amount), blended) if self.hue else blended
        return image
