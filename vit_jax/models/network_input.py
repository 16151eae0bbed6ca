"""From the pixels of a data set to what a network takes."""

import jax
import jax.numpy as jnp

from vit_jax.models.network import Network
from vit_jax.models.preprocessing import RESIZE_METHODS


def network_input(model: Network, pixels: jax.Array) -> jax.Array:
    """Pixels [B, h, w, C] in [0, 255] to the network's input: resized to its size if need be, and normalised."""
    image_size, preprocessing = model.input_shape[:2], model.preprocessing
    pixels = pixels.astype(jnp.float32)
    if pixels.shape[1:3] != image_size:
        method = RESIZE_METHODS[preprocessing.interpolation]
        pixels = jax.image.resize(pixels, (len(pixels), *image_size, pixels.shape[3]), method, antialias=True)
        pixels = jnp.clip(pixels, 0, 255)  # bicubic overshoots at edges
    return preprocessing.normalise(pixels)
