"""From the pixels of a data set to what a network takes."""

import jax
import jax.numpy as jnp

from vit_jax.models.network import Network
from vit_jax.models.preprocessing import RESIZE_METHODS

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R 601), Pillow's."""


def network_input(model: Network, pixels: jax.Array) -> jax.Array:
    """Pixels [B, h, w, C] in [0, 255] to the network's input: in its channels and size, and normalised.

    Raises:
        ValueError: if they are of other channels, and not grey for colour or colour for grey.
    """
    height, width, channels = model.input_shape
    preprocessing = model.preprocessing
    pixels = with_channels(pixels.astype(jnp.float32), channels)
    if pixels.shape[1:3] != (height, width):
        method = RESIZE_METHODS[preprocessing.interpolation]
        pixels = jax.image.resize(pixels, (len(pixels), height, width, channels), method, antialias=True)
        pixels = jnp.clip(pixels, 0, 255)  # bicubic overshoots at edges
    return preprocessing.normalise(pixels)


def squashes(model: Network, image_shape: tuple[int, ...]) -> bool:
    """Whether `network_input` changes the proportions of images (h, w, C)."""
    height, width, _ = model.input_shape
    return image_shape[0] * width != image_shape[1] * height


def with_channels(pixels: jax.Array, channels: int) -> jax.Array:
    """Pixels [B, H, W, C] in colour (3) or grey (1), as asked for.

    Raises:
        ValueError: they have another number of channels.
    """
    if pixels.shape[-1] == 1 and channels == 3:
        return jnp.repeat(pixels, 3, axis=-1)
    if pixels.shape[-1] == 3 and channels == 1:
        return jnp.round((pixels * jnp.array(LUMA)).sum(-1, keepdims=True))
    if not fits_channels(pixels.shape[-1], channels):
        raise ValueError(f"the images have {pixels.shape[-1]} channels; the model takes {channels}")
    return pixels


def fits_channels(images: int, network: int) -> bool:
    """Whether images of so many channels can be shown to a network of its own: grey ones as colour, colour as grey."""
    return images == network or {images, network} == {1, 3}
