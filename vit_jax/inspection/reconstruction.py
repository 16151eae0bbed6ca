"""Pictures of what networks for pre-training make of images: of masked patches (MAE, figure 2), of visual tokens."""

from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.models.beit import BeitPretraining
from vit_jax.models.discrete_vae import DiscreteReconstruction, DiscreteVae
from vit_jax.models.layers import patchify, unpatchify
from vit_jax.models.mae import MaskedAutoencoder, Reconstruction
from vit_jax.models.network import Network, pair
from vit_jax.models.network_input import network_input
from vit_jax.objectives.masked_autoencoding import mean_and_deviation

GREY = 127.5
"""The pixels of a patch that the encoder does not see."""


def reconstruct(
    model: MaskedAutoencoder, params: Mapping[str, Any], pixels: np.ndarray, normalised: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Masks images, always the same patches, and lets the network fill them.

    Args:
        model: the network.
        params: its parameters.
        pixels: uint8 [B, h, w, C].
        normalised: whether it was trained to predict patches less their mean, divided by their deviation. What it
            predicts is then shown with the mean and the deviation that the patch really has.

    Returns:
        What the encoder saw, the other patches grey; and the same with these patches as predicted. Both uint8
        [B, H, W, C], of the network's size.
    """
    images = network_input(model, jnp.asarray(pixels))
    size, patches = pair(model.patch_size), (len(images), model.grid[0] * model.grid[1])
    noise = jax.random.uniform(jax.random.key(0), patches)
    variables = {"params": params}
    prediction, mask = cast(Reconstruction, jax.jit(model.apply, static_argnums=2)(variables, images, False, noise))
    true = patchify(images, size)
    if normalised:
        mean, deviation = mean_and_deviation(true)
        prediction = prediction * deviation + mean

    mask = mask[..., None]  # [B, N, 1]
    seen, filled = jnp.where(mask, jnp.nan, true), jnp.where(mask, prediction, true)
    seen, filled = (as_pixels(model, unpatchify(patches, model.grid, size)) for patches in (seen, filled))
    return seen, filled


def from_tokens(model: DiscreteVae, params: Mapping[str, Any], pixels: np.ndarray) -> np.ndarray:
    """What a discrete autoencoder makes of images from their tokens: uint8 [B, h, w, C] to [B, H, W, C], its size."""
    made = jax.jit(model.apply)({"params": params}, network_input(model, jnp.asarray(pixels)))
    return as_pixels(model, cast(DiscreteReconstruction, made).prediction)


def from_guessed_tokens(
    model: BeitPretraining,
    params: Mapping[str, Any],
    tokenizer: DiscreteVae,
    tokenizer_params: Mapping[str, Any],
    pixels: np.ndarray,
    mask: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Masks images and lets the network guess the tokens of these patches.

    Args:
        model: the network.
        params: its parameters.
        tokenizer: its tokenizer.
        tokenizer_params: the parameters of that.
        pixels: uint8 [B, h, w, C].
        mask: bool [B, N], true for the patches that the network does not see.

    Returns:
        What the network saw, the other patches grey: uint8 [B, H, W, C], of its size. And what the tokenizer makes of
        the guessed tokens there and the true ones elsewhere: uint8, of the tokenizer's size.
    """
    images, size = network_input(model, jnp.asarray(pixels)), pair(model.patch_size)
    whole, known = network_input(tokenizer, jnp.asarray(pixels)), {"params": tokenizer_params}
    scores = cast(jax.Array, jax.jit(model.apply, static_argnums=2)({"params": params}, images, False, mask))
    true = cast(jax.Array, jax.jit(tokenizer.apply, static_argnames="method")(known, whole, method="tokens"))
    tokens = jnp.where(mask, jnp.argmax(scores, -1), true)
    decoded = cast(jax.Array, jax.jit(tokenizer.apply, static_argnames="method")(known, tokens, method="decode"))
    seen = unpatchify(jnp.where(mask[..., None], jnp.nan, patchify(images, size)), model.grid, size)
    return as_pixels(model, seen), as_pixels(tokenizer, decoded)


def as_pixels(model: Network, images: jax.Array) -> np.ndarray:
    """Images [B, H, W, C] normalised as a network takes them, as uint8; what is not a number is grey."""
    settings = model.preprocessing
    mean, std = (jnp.asarray(x, jnp.float32) for x in (settings.mean, settings.std))
    pixels = 255 * (images * std + mean)
    return np.asarray(jnp.clip(jnp.round(jnp.nan_to_num(pixels, nan=GREY)), 0, 255), np.uint8)
