"""The masked autoencoder (He et al., 2022): an encoder of the visible patches, a decoder of the pixels of all."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.encoder_block import EncoderBlock
from vit_jax.models.layer_norm import LayerNorm
from vit_jax.models.layers import SMALL, sincos_position_embedding, traced_once
from vit_jax.models.network import pair
from vit_jax.models.pretraining import VisionTransformerPretraining
from vit_jax.models.vit import VisionTransformer


class Reconstruction(NamedTuple):
    """What a masked autoencoder makes of images.

    Attributes:
        prediction: float32 [B, N, P * P * C], the pixels of every patch, in the order of `patchify`.
        mask: float32 [B, N], 1 for the patches that the encoder did not see.
    """

    prediction: jax.Array
    mask: jax.Array


class Masking(NamedTuple):
    """Which patches of each image the encoder sees, in which order.

    Attributes:
        visible: int [B, K], the patches that are left, by ascending noise ("ids_keep" of the published code).
        place: int [B, N], where each patch stands once all are ordered by noise: from K on they are masked
            ("ids_restore").
        mask: float32 [B, N], 1 for masked patches.
    """

    visible: jax.Array
    place: jax.Array
    mask: jax.Array


def random_masking(noise: jax.Array, kept: int) -> Masking:
    """Keeps the `kept` patches of lowest noise, [B, N], of each image (MAE, section 3)."""
    order = jnp.argsort(noise, axis=1)
    place = jnp.argsort(order, axis=1)
    return Masking(order[:, :kept], place, (place >= kept).astype(jnp.float32))


def take(tokens: jax.Array, index: jax.Array) -> jax.Array:
    """Of tokens [B, N, D] of each image those with the numbers [B, M]: [B, M, D]."""
    return jnp.take_along_axis(tokens, index[..., None], axis=1)


class MaskedDecoder(nn.Module):
    """Predicts the pixels of all patches from the encoded visible ones (MAE, section 3).

    Attributes:
        grid: rows and columns of patches.
        outputs: numbers to predict for a patch.
        embed_dim: width of the tokens.
        depth: number of blocks.
        num_heads: attention heads.
        mlp_ratio: width of the MLPs' hidden layers, in units of `embed_dim`.
        pos_embed: fixed "sincos" or "learned" positions.
        norm_eps: epsilon of every LayerNorm.
        remat: recompute each block in the backward pass.
        dtype: of the computation; predictions are float32.
    """

    grid: tuple[int, int]
    outputs: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    pos_embed: Literal["sincos", "learned"]
    norm_eps: float
    remat: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, place: jax.Array, train: bool) -> jax.Array:
        """Encoded tokens [B, 1 + K, D], class token first, and `Masking.place` [B, N] to [B, N, outputs]."""
        xavier = nn.initializers.xavier_uniform()
        width, patches = self.embed_dim, math.prod(self.grid)
        x = nn.Dense(width, kernel_init=xavier, dtype=self.dtype, name="embed")(tokens)
        mask_token = self.param("mask_token", SMALL, (1, 1, width), jnp.float32).astype(self.dtype)
        masked = jnp.broadcast_to(mask_token, (x.shape[0], patches + 1 - x.shape[1], width))
        x = jnp.concatenate([x[:, :1], take(jnp.concatenate([x[:, 1:], masked], axis=1), place)], axis=1)
        if self.pos_embed == "learned":
            positions = self.param("pos_embed", SMALL, (1, patches + 1, width), jnp.float32)
        else:
            positions = jnp.pad(sincos_position_embedding(self.grid, width)[None], ((0, 0), (1, 0), (0, 0)))
        x = x + jnp.asarray(positions, self.dtype)

        fields: dict[str, Any] = dict(mlp_ratio=self.mlp_ratio, norm_eps=self.norm_eps, dtype=self.dtype)
        call = traced_once(self.remat)
        for i in range(self.depth):
            x = call(EncoderBlock(self.num_heads, **fields, name=f"blocks_{i}"), x, train)
        x = LayerNorm(self.norm_eps, self.dtype, name="norm")(x)
        return nn.Dense(self.outputs, kernel_init=xavier, dtype=jnp.float32, name="pred")(x[:, 1:])


class MaskedAutoencoder(VisionTransformerPretraining):
    """A masked autoencoder, for pre-training: hides most patches of an image and predicts their pixels.

    Parameters: "encoder" and "decoder". Fields as those of `VisionTransformerPretraining`, and:

    Attributes:
        mask_ratio: share of the patches that are masked; of N patches, int(N * (1 - mask_ratio)) are left.
        decoder_embed_dim: width of the decoder's tokens.
        decoder_depth: number of the decoder's blocks.
        decoder_num_heads: the decoder's attention heads; must divide `decoder_embed_dim`.
        pos_embed: of both: fixed "sincos", as published, or "learned", parameters that also hold stored positions.
    """

    mask_ratio: float = 0.75
    decoder_embed_dim: int = 512
    decoder_depth: int = 8
    decoder_num_heads: int = 16
    pos_embed: Literal["sincos", "learned"] = "sincos"

    def __post_init__(self):
        super().__post_init__()
        if min(self.decoder_embed_dim, self.decoder_depth, self.decoder_num_heads) < 1 or (
            self.decoder_embed_dim % self.decoder_num_heads
        ):
            raise ValueError(
                f"decoder_embed_dim {self.decoder_embed_dim}, decoder_depth {self.decoder_depth} and decoder_num_heads "
                f"{self.decoder_num_heads} must be positive, and the heads must divide the width"
            )
        if self.pos_embed == "sincos" and self.decoder_embed_dim % 4:
            raise ValueError(
                f'pos_embed="sincos" needs decoder_embed_dim to be a multiple of 4, not {self.decoder_embed_dim}'
            )
        if not (0 <= self.mask_ratio < 1 and self.kept):
            raise ValueError(
                f"mask_ratio must be in [0, 1) and leave a patch; {self.mask_ratio} leaves none of "
                f"{math.prod(self.grid)}"
            )

    @property
    def kept(self) -> int:
        """Number of patches that the encoder sees."""
        return int(math.prod(self.grid) * (1 - self.mask_ratio))

    @nn.nowrap
    def make_encoder(self) -> VisionTransformer:
        """The encoder, a network of its own: it takes `params["encoder"]`. It pools the mean of the patches.

        The class token learns nothing of its own: no loss looks at it. (As features of CIFAR-10, nearest neighbours
        find more by the mean.)
        """
        return self.encoder_with(pos_embed=self.pos_embed, pool="avg")

    def setup(self):
        self.encoder = self.make_encoder()
        self.decoder = MaskedDecoder(
            grid=self.grid,
            outputs=math.prod(pair(self.patch_size)) * self.in_channels,
            embed_dim=self.decoder_embed_dim,
            depth=self.decoder_depth,
            num_heads=self.decoder_num_heads,
            mlp_ratio=self.mlp_ratio,
            pos_embed=self.pos_embed,
            norm_eps=self.norm_eps,
            remat=self.remat,
            dtype=self.dtype,
        )

    def __call__(self, images: jax.Array, train: bool = False, noise: jax.Array | None = None) -> Reconstruction:
        """Masks images and predicts all of their patches.

        Args:
            images: float32 [B, H, W, in_channels], normalised as `preprocessing` says.
            train: has no effect: nothing is dropped but patches.
            noise: float [B, N]; of each image the patches with the lowest are left. None draws it from the random
                stream "masking" (`rngs={"masking": key}`).

        Raises:
            ValueError: if the images are not of the model's size, `noise` is not one number a patch, or there is
                neither noise nor a key to draw it.
        """
        tokens = self.encoder.embed(images, train)  # the class token, then all patches
        expected = (tokens.shape[0], tokens.shape[1] - 1)
        if noise is None:
            key = self.random_key("masking", "it draws which patches it masks; vit_jax.features masks none")
            noise = jax.random.uniform(key, expected)
        if noise.shape != expected:
            raise ValueError(f"noise must be {list(expected)}, one number a patch; got {list(noise.shape)}")
        masking = random_masking(noise, self.kept)
        visible = jnp.concatenate([tokens[:, :1], take(tokens[:, 1:], masking.visible)], axis=1)
        encoded, _ = self.encoder.encode(visible, train)
        return Reconstruction(self.decoder(encoded, masking.place, train), masking.mask)
