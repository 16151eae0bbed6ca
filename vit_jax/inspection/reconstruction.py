"""Pictures of what a masked autoencoder makes of images (MAE, figure 2)."""

from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.models.mae import MaskedAutoencoder, Reconstruction, patchify, unpatchify
from vit_jax.models.network import pair
from vit_jax.models.network_input import network_input

GREY = 127.5
"""The pixels of a patch that the encoder does not see."""


def reconstruct(
    model: MaskedAutoencoder, params: Mapping[str, Any], pixels: np.ndarray, normalised: bool, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Masks images and lets the network fill them.

    Args:
        model: the network.
        params: its parameters.
        pixels: uint8 [B, h, w, C].
        normalised: whether it was trained to predict patches less their mean, divided by their deviation. What it
            predicts is then shown with the mean and the deviation that the patch really has.
        seed: of the masks.

    Returns:
        What the encoder saw, the other patches grey; and the same with these patches as predicted. Both uint8
        [B, H, W, C], of the network's size.
    """
    images = network_input(model, jnp.asarray(pixels))
    size, patches = pair(model.patch_size), (len(images), model.grid[0] * model.grid[1])
    noise = jax.random.uniform(jax.random.key(seed), patches)
    variables = {"params": params}
    prediction, mask = cast(Reconstruction, jax.jit(model.apply, static_argnums=2)(variables, images, False, noise))
    true = patchify(images, size)
    if normalised:
        deviation = jnp.sqrt(true.var(-1, keepdims=True, ddof=1) + 1e-6)
        prediction = prediction * deviation + true.mean(-1, keepdims=True)

    mask = mask[..., None]  # [B, N, 1]
    seen, filled = jnp.where(mask, jnp.nan, true), jnp.where(mask, prediction, true)
    return as_pixels(model, seen), as_pixels(model, filled)


def as_pixels(model: MaskedAutoencoder, patches: jax.Array) -> np.ndarray:
    """Normalised patches [B, N, P * P * C] as uint8 [B, H, W, C]; what is not a number is grey."""
    settings = model.preprocessing
    mean, std = (jnp.asarray(x, jnp.float32) for x in (settings.mean, settings.std))
    pixels = 255 * (unpatchify(patches, model.grid, pair(model.patch_size)) * std + mean)
    return np.asarray(jnp.clip(jnp.round(jnp.nan_to_num(pixels, nan=GREY)), 0, 255), np.uint8)
