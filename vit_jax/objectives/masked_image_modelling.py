"""Masked image modelling (BEiT: Bao et al., 2022): the visual tokens of patches that the encoder did not see."""

import math
from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import optax

from vit_jax.models.beit import BeitPretraining, masked_places
from vit_jax.models.discrete_vae import DiscreteVae
from vit_jax.models.network import Network
from vit_jax.models.network_input import network_input
from vit_jax.objectives.blockwise_masking import blockwise_mask
from vit_jax.objectives.objective import Examples, Given, Loss, Objective, Params


@dataclass(frozen=True)
class MaskedImageModelling(Objective):
    """Minimises the cross-entropy between the scores of masked patches and the tokens that a tokenizer gives them.

    An image is seen in two views of the same crop: by the network with masked patches, by the tokenizer whole, each at
    its own size, resized and normalised as it expects (as published 224 px, bicubic, and 112 px, Lanczos). Published
    values are for 14 x 14 patches.

    Attributes:
        tokenizer: where it comes from: a file or a folder (a run's workdir, too), as `vit_jax.load_pretrained` takes
            it. It is a `DiscreteVae` with the network's number of tokens and its grid of patches.
        masked_patches: of each image.
        smallest_block: patches of the rectangles that are masked, at least.
        narrowest: their height and width have a ratio between this and its inverse.
    """

    learns_classes = False

    tokenizer: str = ""
    masked_patches: int = 75
    smallest_block: int = 16
    narrowest: float = 0.3

    def __post_init__(self):
        if not self.tokenizer:
            raise ValueError("objective.tokenizer must say where the tokenizer comes from: a file or a folder")
        if not 1 <= self.smallest_block <= self.masked_patches:
            raise ValueError(
                f"objective.smallest_block must be from 1 to masked_patches {self.masked_patches}, not "
                f"{self.smallest_block}"
            )
        if not 0 < self.narrowest <= 1:
            raise ValueError(f"objective.narrowest must be in (0, 1], not {self.narrowest}")

    def check(self, model: Network) -> None:
        """Raises ValueError if a network has no mask token and no scores of tokens, or if all of it would be masked."""
        if not isinstance(model, BeitPretraining):
            raise ValueError(
                f'masked image modelling needs a BeitPretraining ("beit_pretraining_..."), not a {type(model).__name__}'
            )
        patches = math.prod(model.grid)
        if self.masked_patches >= patches:
            raise ValueError(
                f"objective.masked_patches {self.masked_patches} leaves none of {patches} patches to be seen"
            )

    def check_tokenizer(self, model: Network, tokenizer: Network) -> None:
        """Raises ValueError if a network's tokens cannot be those of a tokenizer: of another number or grid."""
        assert isinstance(model, BeitPretraining)
        if not isinstance(tokenizer, DiscreteVae):
            raise ValueError(
                f"the tokenizer in {self.tokenizer} must be a DiscreteVae, not a {type(tokenizer).__name__}"
            )
        if tokenizer.grid != model.grid:
            theirs, ours = ("{} x {}".format(*grid) for grid in (tokenizer.grid, model.grid))
            raise ValueError(
                f"the tokenizer in {self.tokenizer} has {theirs} tokens for an image; the network has {ours} patches"
            )
        if tokenizer.vocab_size != model.vocab_size:
            raise ValueError(
                f"the tokenizer in {self.tokenizer} knows {tokenizer.vocab_size} tokens; set model.vocab_size to that, "
                f"not {model.vocab_size}"
            )

    def masks(self, model: BeitPretraining, keys: jax.Array) -> jax.Array:
        """Which patches of images with these keys [B] are masked: bool [B, N]."""

        def draw(key: jax.Array) -> jax.Array:
            return blockwise_mask(key, model.grid, self.masked_patches, self.smallest_block, self.narrowest)

        return jax.vmap(draw)(keys).reshape(len(keys), -1)

    def loss(self, model: Network, params: Params, examples: Examples, given: Given) -> Loss:
        """The mean cross-entropy over all masked patches, and how many are named right ("token_accuracy")."""
        assert isinstance(model, BeitPretraining)
        assert given.teacher is not None
        tokenizer, seen = given.teacher.model, network_input(given.teacher.model, examples.pixels)
        tokens = cast(jax.Array, tokenizer.apply({"params": given.teacher.params}, seen, method="tokens"))  # [B, N]
        mask = self.masks(model, examples.keys)
        targets = jnp.take_along_axis(tokens, masked_places(mask, self.masked_patches), axis=1)
        logits = cast(
            jax.Array,
            model.apply(
                {"params": params},
                *(network_input(model, examples.pixels), True, mask, self.masked_patches),
                method="masked_logits",
                rngs={"dropout": given.key},
            ),
        )
        value = optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()
        return Loss(value, {"token_accuracy": (jnp.argmax(logits, -1) == targets).mean()}, {})
