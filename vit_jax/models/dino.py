"""Self-distillation without labels (DINO: Caron et al., 2021): an encoder, and a head that compares with prototypes."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.layers import SMALL, DenseGelu, unit_vectors
from vit_jax.models.pretraining import PretrainingNetwork, VisionTransformerPretraining
from vit_jax.models.resizing import Resizing
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer


class Prototypes(nn.Module):
    """The cosine of unit vectors [B, D] with each of many prototypes, which are learned: float32 [B, prototypes].

    Published as a linear layer with weight normalisation whose norms stay 1 ("norm_last_layer").
    """

    number: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # PyTorch's of a linear layer
        kernel = self.param("kernel", init, (x.shape[-1], self.number), jnp.float32)
        prototypes = unit_vectors(kernel.T).T
        return jnp.matmul(x, prototypes.astype(x.dtype), preferred_element_type=jnp.float32)


class ProjectionHead(nn.Module):
    """Three dense layers with GELUs between them, then a unit vector, compared with prototypes (DINO, appendix C).

    Attributes:
        prototypes: their number, the outputs of the head.
        hidden_dim: width of the two hidden layers.
        bottleneck_dim: width of the unit vectors.
        dtype: of the computation; the outputs are float32.
    """

    prototypes: int
    hidden_dim: int
    bottleneck_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps features [B, D] to cosines, float32 [B, prototypes]."""
        for name, width in (("fc1", self.hidden_dim), ("fc2", self.hidden_dim)):
            x = DenseGelu(width, "erf", self.dtype, kernel_init=SMALL, name=name)(x)
        x = nn.Dense(self.bottleneck_dim, kernel_init=SMALL, dtype=self.dtype, name="fc3")(x)
        return Prototypes(self.prototypes, name="last_layer")(unit_vectors(x))


class DinoNetwork(PretrainingNetwork):
    """A student of self-distillation, or its teacher: they are alike.

    Parameters: "encoder", "head" and "centre", a running mean of the teacher's outputs that the objective keeps. Fields
    as those of `PretrainingNetwork` and of the encoder, and:

    Attributes:
        prototypes: outputs of the head.
        head_hidden_dim: width of the head's hidden layers.
        head_bottleneck_dim: width of what the head compares with the prototypes.
        drop_path_rate: stochastic depth of the student, growing linearly over the blocks from 0 to this rate.
    """

    prototypes: int = 65536
    head_hidden_dim: int = 2048
    head_bottleneck_dim: int = 256
    drop_path_rate: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if min(self.prototypes, self.head_hidden_dim, self.head_bottleneck_dim) < 1:
            raise ValueError(
                f"prototypes {self.prototypes}, head_hidden_dim {self.head_hidden_dim} and head_bottleneck_dim "
                f"{self.head_bottleneck_dim} must be positive"
            )

    @nn.nowrap
    def make_encoder(self) -> VisionTransformer | SwinTransformer:
        """The encoder, a network of its own: it takes `params["encoder"]`."""
        raise NotImplementedError

    @nn.nowrap
    def make_head(self) -> ProjectionHead:
        """The head, a module of its own: it takes `params["head"]`."""
        return ProjectionHead(self.prototypes, self.head_hidden_dim, self.head_bottleneck_dim, self.dtype, parent=None)

    def setup(self):
        self.encoder = self.make_encoder()
        self.head = self.make_head()
        self.centre = self.param("centre", nn.initializers.zeros, (self.prototypes,), jnp.float32)

    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Cosines of images' pooled features with the prototypes.

        Args:
            images: float32 [B, H, W, in_channels], normalised as `preprocessing` says.
            train: whether drop path is on; it needs `rngs={"dropout": key}`.

        Returns:
            float32 [B, prototypes], not yet centred or divided by a temperature.

        Raises:
            ValueError: if the images are not of the model's size.
        """
        return self.head(self.pooled(images, train))


class DinoVisionTransformer(DinoNetwork, VisionTransformerPretraining):
    """DINO with a Vision Transformer, whose class token is compared. Fields as those of both base classes, and:

    Attributes:
        pos_embed: "learned", as published, or fixed "sincos", which in small crops begin at a corner of their own.
        resizing: as in training, where the positions for small crops are resized (`vit_jax.models.other_size`).
    """

    pos_embed: Literal["learned", "sincos"] = "learned"
    resizing: Resizing = dataclasses.field(default=Resizing(positions="bicubic_offset"), compare=False)

    @nn.nowrap
    def make_encoder(self) -> VisionTransformer:
        """The encoder, a network of its own: it takes `params["encoder"]`."""
        return self.encoder_with(drop_path_rate=self.drop_path_rate, pos_embed=self.pos_embed, kernel_init="normal")


class DinoSwinTransformer(DinoNetwork):
    """DINO with a Swin Transformer, whose mean token is compared. Fields as those of `DinoNetwork`, and:

    Attributes:
        patch_size: height and width of a patch; must divide `image_size`.
        embed_dim: width C of the first stage's tokens; doubles from stage to stage.
        depths: number of blocks of each stage.
        num_heads: attention heads of each stage; must divide its width.
        window_size: side of the windows in tokens.
        mlp_ratio: width of the MLPs' hidden layers, in units of their tokens' width.
        remat: recompute each block in the backward pass: about a third more work, far less memory.
    """

    patch_size: int | tuple[int, int] = 4
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int | tuple[int, ...] = 7
    mlp_ratio: float = 4.0
    remat: bool = False

    @nn.nowrap
    def make_encoder(self) -> SwinTransformer:
        """The encoder, a network of its own: it takes `params["encoder"]`."""
        names = ("patch_size", "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "remat")
        fields = {name: getattr(self, name) for name in names}
        return SwinTransformer(**self.encoder_fields(), **fields, drop_path_rate=self.drop_path_rate)
