"""Rectangles inside an image: drawing one by area and aspect ratio, and the mask of one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vit_jax.data.augment.draws import whole_number

ATTEMPTS = 10
"""How often the published code redraws a rectangle that does not fit before it gives up."""


class Box(NamedTuple):
    """A rectangle in whole pixels, int32 scalars. A height or width of 0 covers nothing."""

    top: jax.Array
    left: jax.Array
    height: jax.Array
    width: jax.Array


def draw_box(
    key: jax.Array,
    image_size: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
    largest: tuple[int, int],
    fallback: Box,
) -> Box:
    """A random rectangle, as torchvision's RandomResizedCrop and RandomErasing draw theirs.

    Up to ten times, an area is drawn uniformly and an aspect ratio (width / height) log-uniformly; the first pair whose
    rounded height and width lie between 1 and `largest` is placed uniformly inside the image. Where none does, the
    answer is `fallback`. All ten are drawn at once here, for shapes must be static.

    Args:
        key: random key.
        image_size: (height, width).
        area: range of the rectangle's area as a fraction of the image's.
        aspect: range of width / height.
        largest: the greatest height and the greatest width allowed.
        fallback: the rectangle where ten attempts fail.
    """
    height, width = image_size
    uniform = jax.random.uniform(key, (ATTEMPTS + 1, 2))
    attempts, corner = uniform[:ATTEMPTS], uniform[ATTEMPTS]
    areas = height * width * (area[0] + (area[1] - area[0]) * attempts[:, 0])
    aspects = aspect[0] * (aspect[1] / aspect[0]) ** attempts[:, 1]
    heights = jnp.round(jnp.sqrt(areas / aspects)).astype(jnp.int32)
    widths = jnp.round(jnp.sqrt(areas * aspects)).astype(jnp.int32)

    fits = (heights >= 1) & (heights <= largest[0]) & (widths >= 1) & (widths <= largest[1])
    first = jnp.argmax(fits)
    drawn = Box(
        top=whole_number(corner[0], height - heights[first] + 1),
        left=whole_number(corner[1], width - widths[first] + 1),
        height=heights[first],
        width=widths[first],
    )
    return jax.tree.map(lambda value, instead: jnp.where(fits.any(), value, instead), drawn, fallback)


def inside(box: Box, image_size: tuple[int, int]) -> jax.Array:
    """bool [H, W, 1], true inside the box."""
    rows = jnp.arange(image_size[0])
    columns = jnp.arange(image_size[1])
    in_rows = (rows >= box.top) & (rows < box.top + box.height)
    in_columns = (columns >= box.left) & (columns < box.left + box.width)
    return (in_rows[:, None] & in_columns[None, :])[..., None]
