"""Small convolutional networks, to compare transformers with."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.models.batch_norm import BatchNorm
from vit_jax.models.network import Features, Network, check_images, pair


class ConvBlock(nn.Module):
    """A 3x3 convolution padded by 1, without bias; batch norm; ReLU; optionally a 2x2 max pool."""

    channels: int
    stride: int = 1
    pool: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), channels]; a pool leaves half, rounded down."""
        conv = nn.Conv(
            self.channels,
            (3, 3),
            strides=self.stride,
            padding=((1, 1), (1, 1)),  # "SAME" would pad even sides on the far side only, at stride 2
            use_bias=False,
            kernel_init=nn.initializers.he_normal(),
            dtype=self.dtype,
            name="conv",
        )
        x = jax.nn.relu(BatchNorm(dtype=self.dtype, name="norm")(conv(x), train))
        return max_pool(x) if self.pool else x


def max_pool(x: jax.Array) -> jax.Array:
    """The largest of every 2x2 places of a map [B, H, W, C]: [B, floor(H / 2), floor(W / 2), C].

    Written with comparisons, as the gradient of `reduce_window` is slow on a CPU, and that of `max` goes where x equals
    max(x): XLA may compute x twice with other rounding, then nothing is equal and the gradient is lost.
    """
    batch, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    x = larger(x[:, :, 0], x[:, :, 1])  # [B, H / 2, W / 2, 2, C]
    return larger(x[..., 0, :], x[..., 1, :])


def larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """The larger of two, and its gradient to one of them: the first if they are equal."""
    return jnp.where(b > a, b, a)


class ResidualStage(nn.Module):
    """A convolution with a pool; optionally two more convolutions, whose result is added to their input."""

    channels: int
    residual: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, floor(H / 2), floor(W / 2), channels]."""
        block = partial(ConvBlock, self.channels, dtype=self.dtype)
        x = block(pool=True, name="down")(x, train)
        if not self.residual:
            return x
        return x + block(name="residual2")(block(name="residual1")(x, train), train)


class ConvolutionalNetwork(Network):
    """Blocks that each make a map of the one before, a vector pooled from the last map, and a linear classifier.

    A subclass sets `blocks` and `head` in `setup`, and says how it pools.
    """

    @nn.nowrap
    def check_sizes(self, **sizes: int) -> None:
        """Raises ValueError if one of these sizes or `in_channels` is below 1, or `num_classes` is negative."""
        for name, size in {**sizes, "in_channels": self.in_channels}.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, not {size}")
        if self.num_classes < 0:
            raise ValueError(f"num_classes must not be negative, but is {self.num_classes}")

    @nn.nowrap
    def zero_head(self) -> nn.Dense:
        """The classifier, at first of zeros, so that every class has the same chance. Without a call (as without
        classes) it has no parameters."""
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.zeros, dtype=jnp.float32)

    def stem(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, C] to what the first block takes: by default as they are."""
        return images

    def pool(self, x: jax.Array) -> jax.Array:
        """The last map [B, H, W, C] to one vector [B, D]."""
        raise NotImplementedError

    def classify(self, pooled: jax.Array) -> jax.Array:
        """One vector [B, D] to logits [B, num_classes]."""
        return self.head(pooled)

    def features(self, images: jax.Array, train: bool = False) -> Features:
        """Images [B, H, W, C] to `Features`: the last map's places as tokens, the map of each block as stages."""
        check_images(images, self.input_shape)
        x, stages = self.stem(images), []
        for block in self.blocks:
            x = block(x, train)
            stages.append(x)
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])  # [B, H * W, C]
        return Features(tokens, self.pool(x), tuple(stages))

    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Classifies images.

        Args:
            images: float32 [B, H, W, in_channels], normalised as `preprocessing` says.
            train: whether batch norm takes the statistics of this batch, not the running ones (see `BatchNorm`).

        Returns:
            Logits, float32 [B, num_classes]; the pooled features [B, D] if `num_classes` is 0.

        Raises:
            ValueError: if the images are not of the model's size.
        """
        pooled = self.features(images, train).pooled
        return self.classify(pooled) if self.num_classes else pooled.astype(jnp.float32)


class ConvNet(ConvolutionalNetwork):
    """Convolutions with batch norm, ReLU and a 2x2 max pool each, then two linear layers.

    With its default fields the network of a small study of CNN and ViT on cats and dogs. What that leaves open is
    decided here: every convolution has a pool of its own and is padded by 1, so that 224 px end in 3x3 places; the
    first linear layer has 128 outputs and a ReLU; no dropout. At 32 px, halving six times leaves nothing: there the
    convolutions need `stride=1`, and the pools alone bring 32 px to 4x4 places. Fields as those of `Network`, and:

    Attributes:
        widths: channels of the convolutions.
        stride: of every convolution.
        hidden_dim: outputs of the first linear layer.

    Raises:
        ValueError: when built, if the fields cannot work together.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    stride: int = 2
    hidden_dim: int = 128

    def __post_init__(self):
        super().__post_init__()
        if not self.widths:
            raise ValueError("widths must name the channels of at least one convolution")
        self.check_sizes(widths=min(self.widths), stride=self.stride, hidden_dim=self.hidden_dim)
        if min(pair(self.image_size)) < 1 or min(self.map_size) < 1:
            height, width = pair(self.image_size)
            raise ValueError(
                f"image_size {height}x{width} is too small for {len(self.widths)} convolutions of stride {self.stride} "
                "with a 2x2 pool each: nothing is left of it. Take stride=1, fewer widths or larger images"
            )

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns of the last map."""
        height, width = pair(self.image_size)
        for _ in self.widths:
            height, width = (-(-side // self.stride) // 2 for side in (height, width))
        return height, width

    def setup(self):
        self.blocks = [ConvBlock(width, self.stride, pool=True, dtype=self.dtype) for width in self.widths]
        self.hidden = nn.Dense(self.hidden_dim, kernel_init=nn.initializers.he_normal(), dtype=self.dtype)
        self.head = self.zero_head()

    def pool(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.hidden(x.reshape(x.shape[0], -1)))


class ResNet9(ConvolutionalNetwork):
    """The nine-layer residual network that is known for fast training on CIFAR-10 (Page, 2018, "How to train your
    ResNet"; DAWNBench): eight 3x3 convolutions, two pairs of them residual, max pooling and a linear classifier.

    Fields as those of `Network`, and:

    Attributes:
        width: channels of the first convolution, 64 as published; the stages after it have 2, 4 and 8 times as many.
        logit_scale: factor on the logits, as published: it lowers the classifier's learning rate.

    Raises:
        ValueError: when built, if the fields cannot work together.
    """

    image_size: int | tuple[int, int] = 32
    width: int = 64
    logit_scale: float = 0.125

    def __post_init__(self):
        super().__post_init__()
        self.check_sizes(width=self.width)
        if min(pair(self.image_size)) < 8:
            height, width = pair(self.image_size)
            raise ValueError(f"image_size {height}x{width} is too small to be halved three times: take at least 8x8")

    def setup(self):
        stage = partial(ResidualStage, dtype=self.dtype)
        self.blocks = [
            ConvBlock(self.width, dtype=self.dtype),
            stage(2 * self.width, residual=True),
            stage(4 * self.width, residual=False),
            stage(8 * self.width, residual=True),
        ]
        self.head = self.zero_head()

    def pool(self, x: jax.Array) -> jax.Array:
        places = x.reshape(x.shape[0], -1, x.shape[-1])  # [B, H W, C]
        largest = jax.lax.stop_gradient(places.argmax(1, keepdims=True))  # not `max`: see `max_pool`
        return jnp.take_along_axis(places, largest, 1)[:, 0]

    def classify(self, pooled: jax.Array) -> jax.Array:
        return self.head(pooled) * self.logit_scale
