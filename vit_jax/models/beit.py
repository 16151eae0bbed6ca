"""BEiT's pre-training network (Bao et al., 2022): from masked patches to the visual token of each.

Its encoder, and the classifiers fine-tuned from it, are `VisionTransformer`s.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.network import Features, Network
from vit_jax.models.vit import VisionTransformer


class BeitPretraining(Network):
    """Masked image modelling: an encoder sees images with masked patches, a linear head names every visual token.

    Parameters: "encoder", those of a `VisionTransformer` with one relative position bias for all blocks, and "head".

    Attributes:
        num_classes: 0: there are no classes. The head's outputs are the visual tokens.
        image_size: height and width in pixels (one number for squares). Default 224.
        in_channels: channels of the images.
        dtype: of the computation; parameters, position bias, softmax and logits are float32 always.
        preprocessing: what the input pixels must look like; carried along for `vit_jax.preprocessing`.
        resizing: how weights are resized for another image; carried along for `vit_jax.load_pretrained`.
        vocab_size: number of visual tokens; of DALL-E's tokenizer as published, and of BEiT v2's.
        patch_size: height and width of a patch; must divide `image_size`.
        embed_dim: width D of the tokens.
        depth: number of encoder blocks.
        num_heads: attention heads; must divide `embed_dim`.
        mlp_ratio: width of the MLP's hidden layer, in units of `embed_dim`.
        layer_scale: initial value of LayerScale: 0.1 for the base model, 1e-5 for the large one.
        drop_path_rate: stochastic depth, growing linearly over the blocks from 0 to this rate.
        norm_eps: epsilon of every LayerNorm.
        remat: recompute each block in the backward pass: about a third more work, far less memory.

    Raises:
        ValueError: when built, if the fields cannot work together.
    """

    num_classes: int = 0
    vocab_size: int = 8192
    patch_size: int | tuple[int, int] = 16
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    layer_scale: float | None = 0.1
    drop_path_rate: float = 0.0
    norm_eps: float = 1e-6
    remat: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.num_classes:
            raise ValueError(
                f"num_classes must be 0, not {self.num_classes}: BeitPretraining names visual tokens (vocab_size); "
                'a VisionTransformer classifies with its parameters "encoder"'
            )
        if self.vocab_size < 1:
            raise ValueError(f"vocab_size must be positive, not {self.vocab_size}")
        self.make_encoder()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.make_encoder().grid

    def make_encoder(self) -> VisionTransformer:
        """The encoder, a network of its own: it takes `params["encoder"]`."""
        return VisionTransformer(
            num_classes=0,
            image_size=self.image_size,
            in_channels=self.in_channels,
            dtype=self.dtype,
            preprocessing=self.preprocessing,
            patch_size=self.patch_size,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            mlp_ratio=self.mlp_ratio,
            key_bias=False,
            layer_scale=self.layer_scale,
            pos_embed="none",
            relative_position="shared",
            mask_token=True,
            drop_path_rate=self.drop_path_rate,
            norm_eps=self.norm_eps,
            remat=self.remat,
            parent=None,
        )

    def setup(self):
        self.encoder = self.make_encoder()
        self.head = nn.Dense(self.vocab_size, kernel_init=nn.initializers.normal(0.02), dtype=jnp.float32)

    def features(self, images: jax.Array, train: bool = False, mask: jax.Array | None = None) -> Features:
        """The encoder's `Features` of images [B, H, W, C]; the pooled vector is the class token."""
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
