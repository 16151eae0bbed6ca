"""BEiT's pre-training network (Bao et al., 2022): from masked patches to the visual token of each.

Its encoder, and the classifiers fine-tuned from it, are `VisionTransformer`s.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.layers import SMALL
from vit_jax.models.network import Features
from vit_jax.models.pretraining import VisionTransformerPretraining
from vit_jax.models.vit import VisionTransformer


class BeitPretraining(VisionTransformerPretraining):
    """Masked image modelling: an encoder sees images with masked patches, a linear head names every visual token.

    Parameters: "encoder", with one relative position bias for all blocks, and "head". The head's outputs are no classes
    but visual tokens. Training begins with the blocks rescaled by their depth (`after_init`), which `init` alone does
    not do. Fields as those of `VisionTransformerPretraining`, and:

    Attributes:
        vocab_size: number of visual tokens; of DALL-E's tokenizer as published, and of BEiT v2's.
        layer_scale: initial value of LayerScale: 0.1 for the base model, 1e-5 for the large one.
        drop_path_rate: stochastic depth, growing linearly over the blocks from 0 to this rate.
    """

    vocab_size: int = 8192
    layer_scale: float | None = 0.1
    drop_path_rate: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if self.vocab_size < 1:
            raise ValueError(f"vocab_size must be positive, not {self.vocab_size}")

    @nn.nowrap
    def make_encoder(self) -> VisionTransformer:
        """The encoder, a network of its own: it takes `params["encoder"]`. It pools the mean of the patches.

        The class token learns nothing of its own: no loss looks at it.
        """
        return self.encoder_with(
            key_bias=False,
            layer_scale=self.layer_scale,
            pos_embed="none",
            relative_position="shared",
            mask_token=True,
            kernel_init="normal",
            drop_path_rate=self.drop_path_rate,
            pool="avg",
        )

    def after_init(self, params: dict[str, Any]) -> dict[str, Any]:
        """What training begins with: in block l, the last kernels of attention and MLP divided by sqrt(2 l).

        So deep networks begin with blocks that add little, which keeps large ones stable (BEiT, section 2.5).
        """
        encoder = dict(params["encoder"])
        for i in range(self.depth):
            scale = 1 / math.sqrt(2 * (i + 1))
            block = dict(encoder[f"blocks_{i}"])
            for module, last in (("attn", "proj"), ("mlp", "fc2")):
                dense = block[module][last]
                block[module] = {**block[module], last: {**dense, "kernel": scale * dense["kernel"]}}
            encoder[f"blocks_{i}"] = block
        return {**params, "encoder": encoder}

    def setup(self):
        self.encoder = self.make_encoder()
        self.head = nn.Dense(self.vocab_size, kernel_init=SMALL, dtype=jnp.float32)

    def features(self, images: jax.Array, train: bool = False, mask: jax.Array | None = None) -> Features:
        """The encoder's `Features` of images [B, H, W, C]."""
        return self.encoder.features(images, train, mask)

    def __call__(self, images: jax.Array, train: bool = False, mask: jax.Array | None = None) -> jax.Array:
        """Scores the visual tokens of every patch, masked or not.

        Args:
            images: float32 [B, H, W, in_channels], normalised as `preprocessing` says.
            train: whether drop path is on; it needs `rngs={"dropout": key}`.
            mask: bool [B, N], true for the patches that are hidden from the encoder; None for no patch.

        Returns:
            Logits, float32 [B, N, vocab_size].

        Raises:
            ValueError: if the images are not of the model's size, or the mask is not one boolean a patch.
        """
        return self.head(self.features(images, train, mask).tokens[:, 1:])

    def masked_logits(self, images: jax.Array, train: bool, mask: jax.Array, masked: int) -> jax.Array:
        """As calling it, but for the masked patches alone, row by row: float32 [B, masked, vocab_size].

        Each image must have so many masked patches.
        """
        patches = self.features(images, train, mask).tokens[:, 1:]
        return self.head(jnp.take_along_axis(patches, masked_places(mask, masked)[..., None], axis=1))


def masked_places(mask: jax.Array, masked: int) -> jax.Array:
    """The numbers of the masked patches of each image, in ascending order: bool [B, N] to int [B, masked]."""
    return jnp.argsort(~mask, axis=1, stable=True)[:, :masked]
