"""Batches of a data set to a network's input."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.models.network import Network
from vit_jax.models.network_input import with_channels
from vit_jax.models.preprocessing import RESIZE_METHODS
from vit_jax.pretrained.preprocess import cover


def set_input(model: Network, pixels: jax.Array | np.ndarray) -> jax.Array:
    """What `vit_jax.preprocessing` does, to whole batches and on the device.

    Images that have the model's size are only normalised, as they are in training: a set of small images is made to
    fit, and has no margin to cut off.

    Args:
        model: says what its input is like.
        pixels: uint8 [B, H, W, C], C of 1 or 3.

    Returns:
        float32 [B, height, width, channels].
    """
    height, width, channels = model.input_shape
    settings = model.preprocessing
    pixels = with_channels(jnp.asarray(pixels, jnp.float32), channels)
    batch, *size, _ = pixels.shape
    if tuple(size) != (height, width):
        covering = math.floor(height / settings.crop_fraction), math.floor(width / settings.crop_fraction)
        rows, columns = covering if settings.squash else cover((size[0], size[1]), covering)
        method = RESIZE_METHODS[settings.interpolation]
        for shape in ((size[0], columns), (rows, columns)):  # Pillow's passes, each to whole pixel values
            pixels = jax.image.resize(pixels, (batch, *shape, channels), method, antialias=True)
            pixels = jnp.clip(jnp.floor(pixels + 0.5), 0, 255)
        top, left = (rows - height) // 2, (columns - width) // 2
        pixels = pixels[:, top : top + height, left : left + width]
    return settings.normalise(pixels)
