"""The Swin Transformer (Liu et al., 2021) and Swin Transformer V2 (Liu et al., 2022).

A hierarchy of stages. Each merges patches two by two, then alternates blocks whose attention stays within windows with
blocks whose windows are shifted by half, so that the cost grows linearly with the image.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from vit_jax.choices import is_of
from vit_jax.models.layer_norm import LayerNorm
from vit_jax.models.layers import (
    SMALL,
    DropPath,
    DropPathRate,
    Mlp,
    PatchEmbed,
    drop_path_rates,
    hidden_width,
    traced_once,
)
from vit_jax.models.network import Features, Network, check_images, check_patches, check_rates, pair, patch_grid
from vit_jax.models.window_attention import WindowAttention
from vit_jax.models.windows import WindowGrid, WindowRule, window_grid


class SwinBlock(nn.Module):
    """Window attention, then MLP, each added to its input (Swin, figure 3b).

    Version 1 normalises the input of each; version 2 normalises its output ("res-post-norm": Swin V2, section 3.2),
    with scales that start at 0, so that a block starts as the identity.
    """

    num_heads: int
    grid: WindowGrid
    version: int = 1
    pretrained_window: int = 0
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    attn_drop_rate: float = 0.0
    proj_drop_rate: float = 0.0
    norm_eps: float = 1e-5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool, drop_path_rate: DropPathRate = None) -> jax.Array:
        """Maps [B, H, W, C] to [B, H, W, C]."""
        attention = WindowAttention(
            num_heads=self.num_heads,
            grid=self.grid,
            version=self.version,
            pretrained_window=self.pretrained_window,
            qkv_bias=self.qkv_bias,
            attn_drop_rate=self.attn_drop_rate,
            proj_drop_rate=self.proj_drop_rate,
            dtype=self.dtype,
            name="attn",
        )
        mlp = Mlp(
            hidden_width(x.shape[-1], self.mlp_ratio),
            drop_rate=self.proj_drop_rate,
            dtype=self.dtype,
            kernel_init="normal",
            name="mlp",
        )
        norm = partial(LayerNorm, self.norm_eps, self.dtype)
        drop_path = DropPath()
        if self.version == 1:
            x = x + drop_path(attention(norm(name="norm1")(x), train), drop_path_rate, train)
            return x + drop_path(mlp(norm(name="norm2")(x), train), drop_path_rate, train)
        norm = partial(norm, scale_init=nn.initializers.zeros)
        x = x + drop_path(norm(name="norm1")(attention(x, train)), drop_path_rate, train)
        return x + drop_path(norm(name="norm2")(mlp(x, train)), drop_path_rate, train)


class PatchMerging(nn.Module):
    """Joins each 2x2 neighbours to one token of twice the width (Swin, section 3.1).

    Version 1 normalises before the reduction, version 2 after it. Odd maps are padded with zeros.
    """

    version: int = 1
    norm_eps: float = 1e-5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), 2 C]."""
        batch, height, width, channels = x.shape
        x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        rows, columns = x.shape[1] // 2, x.shape[2] // 2
        x = x.reshape(batch, rows, 2, columns, 2, channels)
        # Published order of the four: top left, bottom left, top right, bottom right.
        x = x.transpose(0, 1, 3, 4, 2, 5).reshape(batch * rows * columns, 4 * channels)

        norm = LayerNorm(self.norm_eps, self.dtype, name="norm")
        reduction = nn.Dense(2 * channels, use_bias=False, kernel_init=SMALL, dtype=self.dtype, name="reduction")
        x = reduction(norm(x)) if self.version == 1 else norm(reduction(x))
        return x.reshape(batch, rows, columns, 2 * channels)


class SwinStage(nn.Module):
    """One stage: patch merging (but for the first stage), then blocks, every second one shifted (Swin, figure 3a).

    Attributes:
        merging: makes the patch merging; None for the first stage, which has none.
        block: makes a block from its grid and name.
        grids: the windows of each block.
        drop_path_rates: of each block.
        remat: recompute each block in the backward pass.
    """

    merging: Callable[..., PatchMerging] | None
    block: Callable[..., SwinBlock]
    grids: tuple[WindowGrid, ...]
    drop_path_rates: tuple[float, ...]
    remat: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, H, W, C], or to [B, ceil(H / 2), ceil(W / 2), 2 C] if it merges."""
        if self.merging is not None:
            x = self.merging(name="downsample")(x)
        call = traced_once(self.remat)
        for i, (grid, rate) in enumerate(zip(self.grids, self.drop_path_rates, strict=True)):
            x = call(self.block(grid=grid, name=f"blocks_{i}"), x, train, rate or None)
        return x


class SwinTransformer(Network):
    """A Swin Transformer: patches to a map of tokens, stages of windowed attention, mean over the map, classifier.

    Fields as those of `Network`, and:

    Attributes:
        dtype: of the computation; parameters, similarity of version 2, softmax and logits are float32 always.
        version: 1, or 2: Swin V2, with norms after attention and MLP, cosine attention and a position bias that
            an MLP computes.
        patch_size: height and width of a patch; must divide `image_size`.
        embed_dim: width C of the first stage's tokens; doubles from stage to stage.
        depths: number of blocks of each stage.
        num_heads: attention heads of each stage; must divide its width.
        window_size: side of the windows in tokens, one for all stages or one for each.
        pretrained_window_sizes: windows of each stage that version 2's position bias was trained with, where those
            were others; 0 for the stage's own.
        window_rule: what is done where the map is not a whole number of windows, or smaller than one; the publishers
            differ ("microsoft", also for Hugging Face's Swin; "huggingface_v2"; "huggingface_backbone"; "timm";
            "torchvision"): see `vit_jax.models.windows.WindowRule`.
        mlp_ratio: width of the MLP's hidden layer, in units of its input.
        qkv_bias: whether queries, keys and values have a bias (in version 2, queries and values).
        drop_rate: dropout before the head.
        proj_drop_rate: dropout after the MLP's two layers and after attention's projection.
        attn_drop_rate: dropout on the attention weights.
        drop_path_rate: stochastic depth, growing linearly over the blocks of all stages from 0 to this rate.
        norm_eps: epsilon of every LayerNorm.
        remat: recompute each block in the backward pass: about a third more work, far less memory.

    Raises:
        ValueError: when built, if the fields cannot work together.
    """

    version: Literal[1, 2] = 1
    patch_size: int | tuple[int, int] = 4
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int | tuple[int, ...] = 7
    pretrained_window_sizes: tuple[int, ...] = ()
    window_rule: WindowRule = "microsoft"
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    drop_rate: float = 0.0
    proj_drop_rate: float = 0.0
    attn_drop_rate: float = 0.0
    drop_path_rate: float = 0.0
    norm_eps: float = 1e-5
    remat: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_patches(self.image_size, self.patch_size)
        check_of_stages(self)
        stages = len(self.depths)
        per_stage = {"num_heads": self.num_heads, "window_size": self.window_sizes}
        if self.pretrained_window_sizes:
            per_stage["pretrained_window_sizes"] = self.pretrained_window_sizes
        for name, values in per_stage.items():
            if len(values) != stages:
                raise ValueError(f"depths {self.depths} has {stages} stages; {name} {values} is for {len(values)}")
        if not stages or min(self.embed_dim, self.in_channels, *self.depths, *self.num_heads) < 1:
            raise ValueError(
                f"embed_dim {self.embed_dim}, in_channels {self.in_channels}, depths {self.depths} and num_heads "
                f"{self.num_heads} must be positive, and there must be a stage"
            )
        for stage, heads in enumerate(self.num_heads):
            width = self.embed_dim * 2**stage
            if width % heads:
                raise ValueError(
                    f"stage {stage} is {width} wide (embed_dim {self.embed_dim}, doubled {stage} times), which its "
                    f"{heads} heads do not divide"
                )
        if min(self.window_sizes) < 1 or min(self.pretrained_window_sizes, default=0) < 0:
            raise ValueError(
                f"window_size {self.window_size} must be at least 1, and pretrained_window_sizes "
                f"{self.pretrained_window_sizes} must not be negative"
            )
        if self.num_classes < 0 or hidden_width(self.embed_dim, self.mlp_ratio) < 1:
            raise ValueError(
                f"num_classes {self.num_classes} must not be negative, and mlp_ratio {self.mlp_ratio} must leave a "
                "hidden layer"
            )
        if self.version == 1 and self.pretrained_window_sizes:
            raise ValueError("pretrained_window_sizes belongs to version=2; version 1 has a table for one window size")
        check_rates(self, "drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate")

    @property
    def window_sizes(self) -> tuple[int, ...]:
        """The side of each stage's windows."""
        return (self.window_size,) * len(self.depths) if isinstance(self.window_size, int) else self.window_size

    @property
    def window_grids(self) -> tuple[tuple[WindowGrid, ...], ...]:
        """The windows of every block, by stages: every second block's are shifted, every stage halves the map."""
        height, width = patch_grid(self.image_size, self.patch_size)
        grids = []
        for depth, window in zip(self.depths, self.window_sizes, strict=True):
            grids.append(tuple(window_grid(height, width, window, i % 2 == 1, self.window_rule) for i in range(depth)))
            height, width = -(-height // 2), -(-width // 2)
        return tuple(grids)

    def setup(self):
        self.patch_embed = PatchEmbed(pair(self.patch_size), self.embed_dim, self.dtype)
        norm = partial(LayerNorm, self.norm_eps, self.dtype)
        self.patch_norm = norm()
        rates = iter(drop_path_rates(self.drop_path_rate, sum(self.depths)))
        self.layers = [
            SwinStage(
                merging=partial(PatchMerging, self.version, self.norm_eps, self.dtype) if stage else None,
                block=partial(
                    SwinBlock,
                    num_heads=self.num_heads[stage],
                    version=self.version,
                    pretrained_window=self.pretrained_window_sizes[stage] if self.pretrained_window_sizes else 0,
                    mlp_ratio=self.mlp_ratio,
                    qkv_bias=self.qkv_bias,
                    attn_drop_rate=self.attn_drop_rate,
                    proj_drop_rate=self.proj_drop_rate,
                    norm_eps=self.norm_eps,
                    dtype=self.dtype,
                ),
                grids=grids,
                drop_path_rates=tuple(islice(rates, len(grids))),
                remat=self.remat,
            )
            for stage, grids in enumerate(self.window_grids)
        ]
        self.norm = norm()
        self.head_drop = nn.Dropout(self.drop_rate)
        if self.num_classes:
            self.head = nn.Dense(self.num_classes, kernel_init=SMALL, dtype=jnp.float32)

    def features(self, images: jax.Array, train: bool = False) -> Features:
        """Images [B, H, W, C] to `Features`: everything but the classification head.

        `.stages` are the maps that each stage hands to the next, not normalised: what detection and segmentation heads
        build on (Swin, section 4.2).
        """
        check_images(images, self.input_shape)
        x = self.patch_norm(self.patch_embed(images))
        stages = []
        for stage in self.layers:
            x = stage(x, train)
            stages.append(x)
        tokens = self.norm(x).reshape(x.shape[0], -1, x.shape[-1])
        return Features(tokens, tokens.mean(axis=1), tuple(stages))

    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Classifies images.

        Args:
            images: float32 [B, H, W, in_channels], normalised as `preprocessing` says.
            train: whether dropout and drop path are on; they need `rngs={"dropout": key}`.

        Returns:
            Logits, float32 [B, num_classes]; the pooled features [B, D] if `num_classes` is 0.

        Raises:
            ValueError: if the images are not of the model's size.
        """
        pooled = self.features(images, train).pooled
        if self.num_classes == 0:
            return pooled.astype(jnp.float32)
        return self.head(self.head_drop(pooled, deterministic=not train))


def check_of_stages(model: SwinTransformer) -> None:
    """Raises ValueError if what there is for each stage is no tuple of whole numbers; windows may be one for all."""
    for name in ("depths", "num_heads", "window_size", "pretrained_window_sizes"):
        sizes, or_one = getattr(model, name), " or one for all" if name == "window_size" else ""
        whole = isinstance(sizes, tuple) and all(is_of(int, size) for size in sizes)
        if not whole and not (or_one and is_of(int, sizes)):
            raise ValueError(f"{name} must be a tuple of whole numbers, one for each stage{or_one}; not {sizes!r}")
