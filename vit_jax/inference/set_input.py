"""Batches of a data set to a network's input."""

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.models.network import Network
from vit_jax.models.network_input import with_channels
from vit_jax.models.preprocessing import RESIZE_METHODS
from vit_jax.pretrained.preprocess import covering


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
    batch, rows, columns, _ = pixels.shape
    if (rows, columns) != (height, width):
        (covering_width, covering_height), (left, top, right, bottom) = covering(model, (columns, rows))
        method = RESIZE_METHODS[settings.interpolation]
        for size in ((rows, covering_width), (covering_height, covering_width)):  # Pillow's passes, to whole levels
            pixels = jax.image.resize(pixels, (batch, *size, channels), method, antialias=True)
            pixels = jnp.clip(jnp.floor(pixels + 0.5), 0, 255)
        pixels = pixels[:, top:bottom, left:right]
    return settings.normalise(pixels)
