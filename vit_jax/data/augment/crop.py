"""Random crops and flips. The output of a transform always has the size of the input."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from vit_jax.data.augment.boxes import Box, draw_box
from vit_jax.data.augment.checks import is_interval, require
from vit_jax.data.augment.draws import whole_number
from vit_jax.data.augment.pipeline import ImageShape, ImageTransform


class Offset(NamedTuple):
    """Corner of the crop in the padded image, int32 scalars in [0, 2 * padding]."""

    top: jax.Array
    left: jax.Array


@dataclass(frozen=True)
class RandomCrop(ImageTransform[Offset]):
    """Pads every side with black and crops the original size at a random place (He et al. 2016, section 4.2).

    Attributes:
        padding: pixels added to each side; 4 for CIFAR.
    """

    padding: int = 4

    def __post_init__(self) -> None:
        require(isinstance(self.padding, int) and self.padding >= 0, self, "padding", "a whole number, 0 or more")

    def draw(self, key: jax.Array, image_shape: ImageShape) -> Offset:
        top, left = whole_number(jax.random.uniform(key, (2,)), 2 * self.padding + 1)
        return Offset(top, left)

    def apply(self, image: jax.Array, params: Offset) -> jax.Array:
        padded = jnp.pad(image, ((self.padding, self.padding), (self.padding, self.padding), (0, 0)))
        return jax.lax.dynamic_slice(padded, (params.top, params.left, 0), image.shape)


@dataclass(frozen=True)
class RandomHorizontalFlip(ImageTransform[jax.Array]):
    """Mirrors left and right.

    Attributes:
        probability: of a flip, in [0, 1].
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        require(0 <= self.probability <= 1, self, "probability", "in [0, 1]")

    def draw(self, key: jax.Array, image_shape: ImageShape) -> jax.Array:
        return jax.random.uniform(key) < self.probability

    def apply(self, image: jax.Array, params: jax.Array) -> jax.Array:
        return jnp.where(params, image[:, ::-1], image)


@dataclass(frozen=True)
class RandomResizedCrop(ImageTransform[Box]):
    """Cuts a random rectangle and resizes it to the size of the image (Szegedy et al. 2015, section 6).

    Draws and defaults are torchvision's: ten attempts at an area and an aspect ratio, then the largest central crop
    within `ratio`. The resize is `jax.image.scale_and_translate` with antialias, which equals Pillow's
    `Image.resize(box=...)`: near the rectangle's border the kernel sees the pixels beyond it. (As a crop is never
    larger than the image, it is only ever enlarged, where antialias changes nothing.) "bicubic" is Keys' kernel with
    a = -0.5, Pillow's. Results are not rounded to whole levels.

    Attributes:
        scale: range of the crop's area as a fraction of the image's; MAE uses (0.2, 1).
        ratio: range of the crop's width / height.
        interpolation: "bilinear" (torchvision's default) or "bicubic" (DeiT, MAE).
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        scale_fits = is_interval(self.scale, 0, 1) and self.scale[1] > 0
        require(scale_fits, self, "scale", "(low, high) with 0 <= low <= high <= 1 and high > 0")
        ratio_fits = is_interval(self.ratio, 0, float("inf")) and self.ratio[0] > 0 and self.ratio[1] < float("inf")
        require(ratio_fits, self, "ratio", "(low, high) with 0 < low <= high")
        known = self.interpolation in ("bilinear", "bicubic")
        require(known, self, "interpolation", '"bilinear" or "bicubic"')

    def draw(self, key: jax.Array, image_shape: ImageShape) -> Box:
        size = image_shape[:2]
        return draw_box(key, size, self.scale, self.ratio, largest=size, fallback=self._central_box(*size))

    def apply(self, image: jax.Array, params: Box) -> jax.Array:
        return resized_box(image, params, image.shape[:2], self.interpolation)

    def _central_box(self, height: int, width: int) -> Box:
        """The largest central crop whose aspect ratio is within `ratio`."""
        low, high = self.ratio
        box_height = min(height, max(1, round(width / low)))
        box_width = min(width, max(1, round(height * high)))
        corner = (height - box_height) // 2, (width - box_width) // 2
        return Box(*(jnp.int32(value) for value in (*corner, box_height, box_width)))


def resized_box(
    image: jax.Array, box: Box, size: tuple[int, ...], interpolation: Literal["bilinear", "bicubic"]
) -> jax.Array:
    """A rectangle of an image [H, W, C] in [0, 255], resized to a height and width: [*size, C]."""
    scale = jnp.stack([size[0] / box.height, size[1] / box.width])
    corner = jnp.stack([box.top, box.left])
    shape = (*size, image.shape[2])
    resized = jax.image.scale_and_translate(image, shape, (0, 1), scale, -corner * scale, interpolation, antialias=True)
    return jnp.clip(resized, 0, 255)  # the bicubic kernel overshoots at edges
