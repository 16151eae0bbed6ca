"""Affine warps with bilinear sampling. A matrix [2, 3] maps output points to input points, as Pillow's AFFINE does:

    x_in = m[0, 0] * x_out + m[0, 1] * y_out + m[0, 2]
    y_in = m[1, 0] * x_out + m[1, 1] * y_out + m[1, 2]

in pixels, with the origin at the image's top left corner and pixel centres at halves.
"""

import jax
import jax.numpy as jnp


def shear_matrix(along_x: jax.Array, along_y: jax.Array) -> jax.Array:
    """Shear about the top left corner, as in AutoAugment's code. Factors in pixels per pixel. -> [2, 3]"""
    return jnp.array([[1.0, along_x, 0.0], [along_y, 1.0, 0.0]])


def translation_matrix(x: jax.Array, y: jax.Array) -> jax.Array:
    """Moves the sampling points by (x, y) pixels, so the content moves by (-x, -y). -> [2, 3]"""
    return jnp.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def rotation_matrix(degrees: jax.Array, image_size: tuple[int, int]) -> jax.Array:
    """Turns the content counterclockwise about the image's centre, as Pillow's `rotate`. -> [2, 3]"""
    angle = jnp.deg2rad(degrees)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    y, x = image_size[0] / 2, image_size[1] / 2
    return jnp.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]])


def affine_warp(image: jax.Array, matrix: jax.Array, fill: float) -> jax.Array:
    """Samples the image bilinearly at the points that `matrix` gives; points outside the image become `fill`.

    Between the outermost pixel centres and the border, the outermost pixels continue, as in Pillow.

    Args:
        image: float32 [H, W, C].
        matrix: float32 [2, 3], see the module.
        fill: the value outside, for all channels.

    Returns:
      float32 [H, W, C], not rounded.
    """
    height, width, channels = image.shape
    y_out = jnp.arange(height)[:, None] + 0.5  # [H, 1]
    x_out = jnp.arange(width)[None, :] + 0.5  # [1, W]
    x = matrix[0, 0] * x_out + matrix[0, 1] * y_out + matrix[0, 2]  # [H, W]
    y = matrix[1, 0] * x_out + matrix[1, 1] * y_out + matrix[1, 2]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)

    left, top = jnp.floor(x - 0.5), jnp.floor(y - 0.5)
    x_fraction, y_fraction = (x - 0.5 - left)[..., None], (y - 0.5 - top)[..., None]  # [H, W, 1]
    columns = [jnp.clip(left + i, 0, width - 1).astype(jnp.int32) for i in (0, 1)]
    rows = [jnp.clip(top + i, 0, height - 1).astype(jnp.int32) for i in (0, 1)]
    pixels = image.reshape(-1, channels)

    def along_x(row: jax.Array) -> jax.Array:
        first, second = (pixels.at[row * width + column].get(mode="promise_in_bounds") for column in columns)
        return first + (second - first) * x_fraction  # this form returns a constant region unchanged to the last bit

    upper, lower = along_x(rows[0]), along_x(rows[1])
    return jnp.where(inside[..., None], upper + (lower - upper) * y_fraction, fill)
