"""Random erasing (Zhong et al. 2017)."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from vit_jax.data.augment.boxes import Box, draw_box, inside
from vit_jax.data.augment.checks import is_interval, require
from vit_jax.data.augment.pipeline import ImageShape, ImageTransform


class Erasure(NamedTuple):
    """The rectangle (of height 0 where nothing is erased) and what fills it, float32 [H, W, C] or a scalar 0."""

    box: Box
    filling: jax.Array


@dataclass(frozen=True)
class RandomErasing(ImageTransform[Erasure]):
    """Replaces a random rectangle, smaller than the image in height and width, by noise or black.

    Defaults are the paper's and torchvision's; DeiT uses probability 0.25. An image in which none of ten rectangles
    drawn fits is left alone.

    Attributes:
        probability: of erasing.
        area: range of the rectangle's area as a fraction of the image's.
        aspect: range of its height / width.
        fill: "random" draws every pixel and channel uniformly from the whole levels 0 to 255 (the paper's RE-R); "zero"
            is black. timm erases after normalisation: its noise is normal, and its zero is the mean colour.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 0.33)
    aspect: tuple[float, float] = (0.3, 3.3)
    fill: Literal["random", "zero"] = "random"

    def __post_init__(self) -> None:
        require(0 <= self.probability <= 1, self, "probability", "in [0, 1]")
        area_fits = is_interval(self.area, 0, 1) and self.area[1] > 0
        require(area_fits, self, "area", "(low, high) with 0 <= low <= high <= 1 and high > 0")
        aspect_fits = is_interval(self.aspect, 0, math.inf) and self.aspect[0] > 0 and self.aspect[1] < math.inf
        require(aspect_fits, self, "aspect", "(low, high) with 0 < low <= high")
        require(self.fill in ("random", "zero"), self, "fill", '"random" or "zero"')

    def draw(self, key: jax.Array, image_shape: ImageShape) -> Erasure:
        height, width, _ = image_shape
        apply_key, box_key, noise_key = jax.random.split(key, 3)
        nowhere = Box(*[jnp.int32(0)] * 4)
        width_over_height = 1 / self.aspect[1], 1 / self.aspect[0]
        box = draw_box(box_key, (height, width), self.area, width_over_height, (height - 1, width - 1), nowhere)
        applied = jax.random.uniform(apply_key) < self.probability
        return Erasure(
            box=box._replace(height=jnp.where(applied, box.height, 0)),
            filling=_noise(noise_key, image_shape) if self.fill == "random" else jnp.float32(0),
        )

    def apply(self, image: jax.Array, params: Erasure) -> jax.Array:
        height, width, _ = image.shape
        return jnp.where(inside(params.box, (height, width)), params.filling, image)


def _noise(key: jax.Array, image_shape: ImageShape) -> jax.Array:
    """Uniform whole levels, float32 [H, W, C]. Four from each 32-bit word: a quarter of the generator's work."""
    size = math.prod(image_shape)
    words = jax.random.bits(key, (math.ceil(size / 4),), jnp.uint32)
    levels = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:size]
    return levels.reshape(image_shape).astype(jnp.float32)
