"""Masked autoencoding (He et al., 2022): the pixels of patches that the encoder did not see."""

import math
from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp

from vit_jax.models.layers import patchify
from vit_jax.models.mae import MaskedAutoencoder, Reconstruction
from vit_jax.models.network import Network, pair
from vit_jax.models.network_input import network_input
from vit_jax.objectives.objective import Examples, Given, Loss, Objective, Params


def mean_and_deviation(patches: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of each of the patches [B, N, P * P * C]: [B, N, 1] both.

    As published (`models_mae.py`): the unbiased variance, and 1e-6 added to it.
    """
    variance = patches.var(-1, keepdims=True, ddof=1)
    return patches.mean(-1, keepdims=True), jnp.sqrt(variance + 1e-6)


def normalised_patches(patches: jax.Array) -> jax.Array:
    """Patches [B, N, P * P * C], each less its mean and divided by its standard deviation."""
    mean, deviation = mean_and_deviation(patches)
    return (patches - mean) / deviation


def reconstruction_loss(reconstruction: Reconstruction, target: jax.Array) -> jax.Array:
    """The mean square error over the pixels of the masked patches, a scalar; of target [B, N, P * P * C]."""
    errors = jnp.square(reconstruction.prediction - target).mean(-1)  # [B, N]
    return (errors * reconstruction.mask).sum() / reconstruction.mask.sum()


@dataclass(frozen=True)
class MaskedAutoencoding(Objective):
    """Minimises the error of a masked autoencoder on the patches that it masks; their share is a field of the network.

    Attributes:
        normalise_patches: the targets are the pixels of each patch less their mean, divided by their standard deviation
            ("norm_pix_loss"); otherwise normalised pixels as they are.
    """

    learns_classes = False

    normalise_patches: bool = True

    def check(self, model: Network) -> None:
        """Raises ValueError if a network is no masked autoencoder, or masks nothing."""
        if not isinstance(model, MaskedAutoencoder):
            raise ValueError(f'masked autoencoding needs a MaskedAutoencoder ("mae_..."), not a {type(model).__name__}')
        patches = math.prod(model.grid)
        if model.kept == patches:
            raise ValueError(
                f"mask_ratio {model.mask_ratio} masks none of {patches} patches: there is nothing to learn"
            )
        if self.normalise_patches and math.prod(pair(model.patch_size)) * model.in_channels < 2:
            raise ValueError("a patch of one pixel has no deviation: set objective.normalise_patches to False")

    def loss(self, model: Network, params: Params, examples: Examples, given: Given) -> Loss:
        """The mean square error; there are no other metrics."""
        assert isinstance(model, MaskedAutoencoder)
        images, patches = network_input(model, examples.pixels), math.prod(model.grid)
        noise = jax.vmap(lambda key: jax.random.uniform(key, (patches,)))(examples.keys)
        variables = {"params": params}
        reconstruction = cast(Reconstruction, model.apply(variables, images, True, noise, rngs={"dropout": given.key}))
        target = patchify(images, pair(model.patch_size))
        target = normalised_patches(target) if self.normalise_patches else target
        return Loss(reconstruction_loss(reconstruction, target), {}, {})
