"""The image operations that the augmentation policies choose from, each with one number as its argument.

Under vmap a branch is no saving: every image pays for every branch. So the operations are three formulas with per-image
parameters, passed one after the other: one table of grey levels, one blend, one affine warp. Each is the identity for
the operations of the other two. (In this order XLA recomputes least on the CPU: the others take 1.7 to 3.5 times as
long.)

The policies were searched and published with 8-bit images, so every operation takes and gives whole levels and
truncates where Pillow truncates.
"""

from enum import IntEnum

import jax
import jax.numpy as jnp

from vit_jax.data.augment.color import blend, grey
from vit_jax.data.augment.tones import (
    autocontrast_table,
    equalize_table,
    histogram,
    levels,
    posterize_table,
    solarize_add_table,
    solarize_table,
)
from vit_jax.data.augment.warp import affine_warp, rotation_matrix, shear_matrix, translation_matrix


class Operation(IntEnum):
    """What is done, and the meaning of its argument."""

    IDENTITY = 0
    SHEAR_X = 1  # pixels per pixel
    SHEAR_Y = 2
    TRANSLATE_X = 3  # pixels
    TRANSLATE_Y = 4
    ROTATE = 5  # degrees counterclockwise
    BRIGHTNESS = 6  # factor of the blend: 0 black, 1 unchanged
    CONTRAST = 7  # 0 the image's mean grey
    COLOR = 8  # 0 the grey image
    SHARPNESS = 9  # 0 the smoothed image
    POSTERIZE = 10  # bits kept
    SOLARIZE = 11  # levels from here up are inverted
    SOLARIZE_ADD = 12  # added to the levels below 128
    INVERT = 13
    AUTO_CONTRAST = 14
    EQUALIZE = 15


def apply_operation(image: jax.Array, operation: jax.Array, argument: jax.Array, fill: float) -> jax.Array:
    """One operation on one image.

    Args:
        image: float32 [H, W, C], whole levels from 0 to 255.
        operation: int32, a value of `Operation`.
        argument: float32, see `Operation`.
        fill: the level of what a warp brings in from outside the image.

    Returns:
      float32 [H, W, C], whole levels from 0 to 255.
    """
    height, width, _ = image.shape
    image = _change_tones(image, operation, argument)
    image = _enhance(image, operation, argument)
    warped = affine_warp(image, _matrix(operation, argument, (height, width)), fill)
    return jnp.floor(warped + 1e-3)  # what should be a whole level can come out just below it in float32


def _change_tones(image: jax.Array, operation: jax.Array, argument: jax.Array) -> jax.Array:
    """The operations that map levels to levels, as one look-up; any other operation changes nothing."""
    image = image.astype(jnp.int32)
    counts = histogram(image)
    whole_argument = argument.astype(jnp.int32)
    tables = {
        Operation.IDENTITY: levels(),
        Operation.POSTERIZE: posterize_table(whole_argument),
        Operation.SOLARIZE: solarize_table(argument),
        Operation.SOLARIZE_ADD: solarize_add_table(whole_argument),
        Operation.INVERT: 255 - levels(),
        Operation.AUTO_CONTRAST: autocontrast_table(counts),
        Operation.EQUALIZE: equalize_table(counts),
    }
    stacked = jnp.stack([jnp.broadcast_to(table, counts.shape) for table in tables.values()]).astype(jnp.float32)
    row = jnp.argmax(operation == jnp.array(list(tables)))  # 0, the identity, where the operation has no table
    # One look-up in the stack [tables, C, 256]: picking the table first, XLA would compute it anew for every pixel.
    channel = jnp.arange(image.shape[-1])
    return stacked.at[row, channel, image].get(mode="clip")


def _enhance(image: jax.Array, operation: jax.Array, factor: jax.Array) -> jax.Array:
    """Brightness, contrast, colour or sharpness by Pillow's ImageEnhance; any other operation changes nothing."""
    grey_image = jnp.floor(grey(image) + 0.5)
    degenerates = {
        Operation.BRIGHTNESS: jnp.zeros_like(image),
        Operation.CONTRAST: jnp.broadcast_to(jnp.floor(grey_image.mean() + 0.5), image.shape),
        Operation.COLOR: jnp.broadcast_to(grey_image, image.shape),
        Operation.SHARPNESS: _smooth(image),
    }
    degenerate = jnp.select([operation == each for each in degenerates], list(degenerates.values()), image)
    return jnp.floor(blend(degenerate, image, factor))


def _smooth(image: jax.Array) -> jax.Array:
    """Pillow's SMOOTH filter: a 3 x 3 mean with weight 5 of 13 on the centre. The border keeps its pixels."""
    rows = image[:-2] + image[1:-1] + image[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * image[1:-1, 1:-1]
    return image.at[1:-1, 1:-1].set(jnp.floor(sums / 13 + 0.5))


def _matrix(operation: jax.Array, argument: jax.Array, image_size: tuple[int, int]) -> jax.Array:
    """The warp of a geometric operation, the identity for any other. -> [2, 3]"""

    def argument_of(this: Operation) -> jax.Array:
        return jnp.where(operation == this, argument, 0.0)

    # At most one of the three differs from the identity, so picking it needs no product of matrices.
    return jnp.where(
        operation == Operation.ROTATE,
        rotation_matrix(argument, image_size),
        jnp.where(
            (operation == Operation.SHEAR_X) | (operation == Operation.SHEAR_Y),
            shear_matrix(argument_of(Operation.SHEAR_X), argument_of(Operation.SHEAR_Y)),
            translation_matrix(argument_of(Operation.TRANSLATE_X), argument_of(Operation.TRANSLATE_Y)),
        ),
    )
