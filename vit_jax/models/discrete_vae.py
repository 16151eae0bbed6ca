"""A discrete variational autoencoder (DALL-E: Ramesh et al., 2021, section 2.1): an image as a grid of visual tokens.

BEiT's tokenizer (Bao et al., 2022, section 2.1.2) is the encoder of one. The networks here are small, and trained by
`objectives.discrete_autoencoding`.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.cnn import ConvolutionalNetwork
from vit_jax.models.layers import PatchEmbed, unpatchify
from vit_jax.models.network import check_patches, pair, patch_grid
from vit_jax.models.pretraining import PretrainingNetwork


class DiscreteReconstruction(NamedTuple):
    """What a discrete autoencoder makes of images.

    Attributes:
        prediction: float32 [B, H, W, C], the image that the tokens are decoded to, normalised as the input is.
        logits: float32 [B, N, vocab_size], the scores of every token in every place.
    """

    prediction: jax.Array
    logits: jax.Array


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after a ReLU, whose result is added to their input."""

    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Maps [B, H, W, width] to the same; `train` has no effect."""
        conv = partial(nn.Conv, self.width, (3, 3), padding=1, dtype=self.dtype)
        y = conv(kernel_init=nn.initializers.he_normal(), name="conv1")(jax.nn.relu(x))
        return x + conv(kernel_init=nn.initializers.zeros, name="conv2")(jax.nn.relu(y))


class TokenEncoder(ConvolutionalNetwork):
    """The encoder of a discrete autoencoder: each patch to a vector, then residual blocks over the grid of patches.

    There is no convolution with a stride, and none transposed in the decoder: XLA's gradients of these on a CPU made
    training several times slower. Fields as those of `Network`, and:

    Attributes:
        patch_size: height and width of a patch; must divide `image_size`.
        width: channels of every map.
        depth: number of residual blocks.

    Raises:
        ValueError: when built, if the fields cannot work together.
    """

    patch_size: int | tuple[int, int] = 8
    width: int = 256
    depth: int = 4

    def __post_init__(self):
        super().__post_init__()
        self.check_sizes(width=self.width, depth=self.depth)
        check_patches(self.image_size, self.patch_size)

    def setup(self):
        self.patch_embed = PatchEmbed(pair(self.patch_size), self.width, self.dtype)
        self.blocks = [ResidualBlock(self.width, self.dtype) for _ in range(self.depth)]
        self.head = self.zero_head()

    def stem(self, images: jax.Array) -> jax.Array:
        return self.patch_embed(images)

    def pool(self, x: jax.Array) -> jax.Array:
        return x.mean((1, 2))


class TokenDecoder(nn.Module):
    """Codes to an image, as `TokenEncoder` backwards: residual blocks, then each place to the pixels of its patch.

    Attributes:
        patch_size: height and width of a patch.
        channels: of the image.
        width: channels of every map.
        depth: number of residual blocks.
        dtype: of the computation; the image is float32.
    """

    patch_size: tuple[int, int]
    channels: int
    width: int
    depth: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, codes: jax.Array) -> jax.Array:
        """Maps codes [B, rows, columns, D] to images, float32 [B, H, W, channels]."""
        batch, *grid, _ = codes.shape
        x = nn.Dense(self.width, dtype=self.dtype, name="embed")(codes)
        for i in range(self.depth):
            x = ResidualBlock(self.width, self.dtype, name=f"blocks_{i}")(x)
        pixels = math.prod(self.patch_size) * self.channels
        patches = nn.Dense(pixels, dtype=jnp.float32, name="pixels")(jax.nn.relu(x))
        return unpatchify(patches.reshape(batch, -1, pixels), (grid[0], grid[1]), self.patch_size)


class DiscreteVae(PretrainingNetwork):
    """A discrete variational autoencoder: images to visual tokens, one for each patch, and back.

    Parameters: "encoder", "to_tokens", "codebook" with a code for each token, "decoder", and "usage", the running mean
    of how probable each token is, which the objective keeps. Fields as those of `PretrainingNetwork`, and:

    Attributes:
        vocab_size: number of visual tokens.
        code_dim: width of the codebook's vectors.
        patch_size: height and width of the patch that a token is for; must divide `image_size`.
        width: channels of the convolutions.
        depth: residual blocks of encoder and decoder, each.
    """

    vocab_size: int = 8192
    code_dim: int = 128
    patch_size: int | tuple[int, int] = 8
    width: int = 256
    depth: int = 4

    def __post_init__(self):
        super().__post_init__()
        if self.vocab_size < 2 or self.code_dim < 1:
            raise ValueError(
                f"vocab_size must be at least 2 and code_dim positive, not {self.vocab_size} and {self.code_dim}"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return patch_grid(self.image_size, self.patch_size)

    @nn.nowrap
    def make_encoder(self) -> TokenEncoder:
        """The encoder, a network of its own: it takes `params["encoder"]`."""
        fields = {name: getattr(self, name) for name in ("patch_size", "width", "depth")}
        return TokenEncoder(**self.encoder_fields(), **fields)

    def setup(self):
        self.encoder = self.make_encoder()
        self.to_tokens = nn.Dense(self.vocab_size, dtype=jnp.float32)
        self.codebook = self.param(
            "codebook", nn.initializers.normal(1.0), (self.vocab_size, self.code_dim), jnp.float32
        )
        self.usage = self.param("usage", nn.initializers.constant(1 / self.vocab_size), (self.vocab_size,), jnp.float32)
        self.decoder = TokenDecoder(pair(self.patch_size), self.in_channels, self.width, self.depth, self.dtype)

    def token_logits(self, images: jax.Array) -> jax.Array:
        """The scores of every token in every place, float32 [B, N, vocab_size], row by row."""
        return self.to_tokens(jax.nn.relu(self.features(images).tokens))

    def tokens(self, images: jax.Array) -> jax.Array:
        """The most probable token of every place, int32 [B, N], of images float32 [B, H, W, C] as they are called with.

        Raises:
            ValueError: if the images are not of the model's size.
        """
        return jnp.argmax(self.token_logits(images), -1).astype(jnp.int32)

    def decode(self, tokens: jax.Array) -> jax.Array:
        """Images of tokens: of int32 [B, N], or of shares of all tokens in every place, float32 [B, N, vocab_size].

        Returns:
            float32 [B, H, W, C], normalised as the input is.
        """
        codebook = self.codebook.astype(self.dtype)
        codes = codebook[tokens] if tokens.ndim == 2 else tokens.astype(self.dtype) @ codebook  # [B, N, D]
        return self.decoder(codes.reshape(len(codes), *self.grid, self.code_dim))

    def __call__(
        self,
        images: jax.Array,
        train: bool = False,
        noise: jax.Array | None = None,
        temperature: jax.typing.ArrayLike = 1.0,
    ) -> DiscreteReconstruction:
        """Images to tokens and back.

        In training a place has not one token, but shares of all, softmax((logits + noise) / temperature): the Gumbel
        softmax (Jang et al., 2017), through which a gradient goes. Otherwise it has the most probable token.

        Args:
            images: float32 [B, H, W, in_channels], normalised as `preprocessing` says.
            train: whether tokens are drawn.
            noise: float [B, N, vocab_size], drawn from the standard Gumbel distribution, in training; None draws it
                from the random stream "dropout" (`rngs={"dropout": key}`).
            temperature: of the shares: the nearer to 0, the nearer is a place to having one token.

        Raises:
            ValueError: if the images are not of the model's size, or in training there is neither noise nor a key.
        """
        logits = self.token_logits(images)
        if not train:
            return DiscreteReconstruction(self.decode(jnp.argmax(logits, -1)), logits)
        if noise is None:
            noise = jax.random.gumbel(self.random_key("dropout", "in training it draws tokens"), logits.shape)
        return DiscreteReconstruction(self.decode(jax.nn.softmax((logits + noise) / temperature)), logits)
