"""What networks for self-supervised pre-training have in common: an encoder, a network of its own."""

from typing import Any

import jax
from flax import linen as nn
from flax.errors import InvalidRngError

from vit_jax.models.network import Features, Network, patch_grid
from vit_jax.models.vit import VisionTransformer


class PretrainingNetwork(Network):
    """A network that learns from images alone. Its parameters "encoder" are those of the network `make_encoder` gives.

    A subclass makes its `encoder` in `setup`. Fields as those of `Network`, and:

    Attributes:
        num_classes: 0: there are no classes.

    Raises:
        ValueError: when built, if the fields cannot work together.
    """

    num_classes: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.num_classes:
            raise ValueError(
                f"num_classes must be 0, not {self.num_classes}: a {type(self).__name__} has no classes; its encoder "
                'classifies with the parameters "encoder"'
            )
        self.make_encoder()  # made, its fields are checked

    @nn.nowrap
    def make_encoder(self) -> Network:
        """The encoder, a network of its own: it takes `params["encoder"]`."""
        raise NotImplementedError

    @nn.nowrap
    def encoder_fields(self) -> dict[str, Any]:
        """The fields that the encoder has in common with this network."""
        names = ("image_size", "in_channels", "dtype", "preprocessing", "resizing")
        return {"num_classes": 0, "parent": None, **{name: getattr(self, name) for name in names}}

    @nn.nowrap
    def random_key(self, stream: str, reason: str) -> jax.Array:
        """A key of a random stream.

        Raises:
            ValueError: if none was given; says for what reason it is needed.
        """
        try:
            return self.make_rng(stream)
        except InvalidRngError as error:
            raise ValueError(f'a {type(self).__name__} needs rngs={{"{stream}": key}}: {reason}') from error

    def features(self, images: jax.Array, train: bool = False) -> Features:
        """The encoder's `Features` of images [B, H, W, C]."""
        return self.encoder.features(images, train)

    def pooled(self, images: jax.Array, train: bool = False) -> jax.Array:
        """The encoder's pooled features [B, D] of images [B, H, W, C]."""
        return self.encoder.pooled(images, train)


def encoder_of(model: Network) -> Network:
    """The encoder of a network for pre-training; any other network as it is."""
    return model.make_encoder() if isinstance(model, PretrainingNetwork) else model


class VisionTransformerPretraining(PretrainingNetwork):
    """A network for pre-training whose encoder is a Vision Transformer. Fields as those of `PretrainingNetwork`, and:

    Attributes:
        patch_size: height and width of a patch; must divide `image_size`.
        embed_dim: width D of the encoder's tokens.
        depth: number of the encoder's blocks.
        num_heads: the encoder's attention heads; must divide `embed_dim`.
        mlp_ratio: width of the MLPs' hidden layers, in units of their tokens' width.
        norm_eps: epsilon of every LayerNorm.
        remat: recompute each block in the backward pass: about a third more work, far less memory.
    """

    patch_size: int | tuple[int, int] = 16
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    norm_eps: float = 1e-6
    remat: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return patch_grid(self.image_size, self.patch_size)

    @property
    def num_prefix_tokens(self) -> int:
        """Number of tokens in front of the patches."""
        return self.make_encoder().num_prefix_tokens

    @nn.nowrap
    def make_encoder(self) -> VisionTransformer:
        """The encoder, a network of its own: it takes `params["encoder"]`."""
        raise NotImplementedError

    @nn.nowrap
    def encoder_with(self, **fields: Any) -> VisionTransformer:
        """The encoder with the fields that all have in common, and these."""
        names = ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "norm_eps", "remat")
        shared = {name: getattr(self, name) for name in names}
        return VisionTransformer(**self.encoder_fields(), **shared, **fields)
