"""The Vision Transformer ("An Image is Worth 16x16 Words", Dosovitskiy et al., 2021) and its plain descendants.

DeiT's distillation token, DeiT-III's layer scale, BEiT's relative position bias and mask token, DINOv2's SwiGLU and
pooling, registers (Darcet et al., 2024) and the MAP head are options here; the encoder is the same.
"""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vit_jax.models.attention import AttentionPool
from vit_jax.models.attention_kernel import Choice, Kernel, choose_kernel
from vit_jax.models.compiler_hints import row_major
from vit_jax.models.encoder_block import EncoderBlock
from vit_jax.models.layer_norm import LayerNorm
from vit_jax.models.layers import (
    SMALL,
    Gelu,
    KernelInit,
    PatchEmbed,
    drop_path_rates,
    hidden_width,
    sincos_position_embedding,
    traced_once,
)
from vit_jax.models.network import Features, Network, check_images, check_patches, check_rates, pair, patch_grid
from vit_jax.models.relative_position import RelativePositionBias


class VisionTransformer(Network):
    """A Vision Transformer: patches to tokens, an encoder, a pooled vector, a linear classifier.

    Fields as those of `Network`, and:

    Attributes:
        patch_size: height and width of a patch; must divide `image_size`.
        embed_dim: width D of the tokens.
        depth: number of encoder blocks.
        num_heads: attention heads; must divide `embed_dim`.
        mlp_ratio: width of the MLP's hidden layer, in units of `embed_dim`.
        swiglu: the MLP is a SwiGLU (DINOv2's giant), whose hidden layer is gated by a second one of that width.
        qkv_bias: whether queries, keys and values have a bias.
        key_bias: whether keys have one, too; BEiT's have not.
        qk_norm: LayerNorm on the queries and keys of every head (ViT-22B).
        layer_scale: initial value of LayerScale; None for no LayerScale.
        class_token: whether a class token is prepended (ViT, equation 1).
        distilled: whether DeiT's distillation token follows the class token, with a head of its own. In training the
            call then returns the pair (class logits, distillation logits), otherwise what `answer` says.
        answer: with `distilled`, the logits outside training: those of the "class" head, of the "distillation" head, or
            their "mean".
        num_registers: register tokens, placed before the patches.
        pos_embed: "learned", fixed "sincos" (MAE's), or "none".
        relative_position: a learned bias on the attention logits for each offset between patches and for the class
            token (BEiT): "per_block" from a table of each block's own, "shared" from one table, or "none".
        mask_token: whether there is a token that takes the place of masked patches (BEiT, DINOv2).
        pre_norm: a LayerNorm before the first block, and no bias in the patch embedding (CLIP).
        no_embed_class: position embeddings for the patches only (DeiT-III, registers); otherwise, when learned, the
            extra tokens have theirs too.
        pool: "token" (the class token), "avg" (mean of the patches), "token_avg" (both side by side: DINOv2's linear
            classifier) or "map" (attention pooling of the patches).
        fc_norm: the final norm comes after pooling, not before (timm's and MAE's form of "avg").
        representation_size: width of a dense layer with tanh between pooling and head (ViT, pre-trained on ImageNet-21k
            in 2020); 0 for none.
        drop_rate: dropout before the head.
        pos_drop_rate: dropout after adding position embeddings.
        proj_drop_rate: dropout after the MLP's two layers and after attention's projection.
        attn_drop_rate: dropout on the attention weights.
        drop_path_rate: stochastic depth, growing linearly over the blocks from 0 to this rate.
        gelu: "erf" (timm, DeiT, Hugging Face), "tanh" (Google) or "quick" (OpenAI's CLIP).
        norm_eps: epsilon of every LayerNorm.
        kernel_init: how the kernels of the blocks begin: "xavier_uniform" (Google's, MAE's) or "normal", with a
            standard deviation of 0.02 (DeiT's, DINO's, BEiT's): 0.6 to 0.9 times Xavier's at width 768, 0.3 to 0.4
            times at width 192.
        attention: the program that computes attention: "matmul", "xla", "cudnn", or "auto" for the fastest of those
            that serve on the devices at hand; see `vit_jax.models.attention_kernel`. Where the head reads the class
            token alone, the last block always takes "matmul".
        remat: recompute each block in the backward pass: about a third more work, far less memory.

    Raises:
        ValueError: when built, if the fields cannot work together.
    """

    patch_size: int | tuple[int, int] = 16
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    swiglu: bool = False
    qkv_bias: bool = True
    key_bias: bool = True
    qk_norm: bool = False
    layer_scale: float | None = None
    class_token: bool = True
    distilled: bool = False
    answer: Literal["mean", "class", "distillation"] = "mean"
    num_registers: int = 0
    pos_embed: Literal["learned", "sincos", "none"] = "learned"
    relative_position: Literal["none", "per_block", "shared"] = "none"
    mask_token: bool = False
    pre_norm: bool = False
    no_embed_class: bool = False
    pool: Literal["token", "avg", "token_avg", "map"] = "token"
    fc_norm: bool = False
    representation_size: int = 0
    drop_rate: float = 0.0
    pos_drop_rate: float = 0.0
    proj_drop_rate: float = 0.0
    attn_drop_rate: float = 0.0
    drop_path_rate: float = 0.0
    gelu: Gelu = "erf"
    norm_eps: float = 1e-6
    kernel_init: KernelInit = "xavier_uniform"
    attention: Kernel = "auto"
    remat: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_patches(self.image_size, self.patch_size)
        if min(self.embed_dim, self.depth, self.num_heads, self.in_channels) < 1 or self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim}, depth {self.depth}, num_heads {self.num_heads} and in_channels "
                f"{self.in_channels} must be positive, and num_heads must divide embed_dim"
            )
        if min(self.num_classes, self.num_registers, self.representation_size) < 0:
            raise ValueError(
                f"num_classes {self.num_classes}, num_registers {self.num_registers} and representation_size "
                f"{self.representation_size} must not be negative"
            )
        if hidden_width(self.embed_dim, self.mlp_ratio) < 1:
            raise ValueError(f"mlp_ratio {self.mlp_ratio} must leave a hidden layer")
        if self.pos_embed == "sincos" and self.embed_dim % 4:
            raise ValueError(f'pos_embed="sincos" needs embed_dim to be a multiple of 4, not {self.embed_dim}')
        if not self.class_token and (self.pool in ("token", "token_avg") or self.distilled):
            raise ValueError('class_token=False needs pool="avg" or "map", and distilled=False')
        if self.distilled and (self.pool != "token" or self.num_classes == 0):
            raise ValueError('distilled=True reads two tokens by two heads: it needs pool="token" and num_classes > 0')
        if self.distilled and self.representation_size:
            raise ValueError("representation_size is a layer before one head; distilled=True has two")
        if self.answer != "mean" and not self.distilled:
            raise ValueError(f"answer={self.answer!r} is by one of two heads: it needs distilled=True")
        if self.pool == "token_avg" and self.fc_norm:
            raise ValueError('pool="token_avg" joins normalised tokens: it needs fc_norm=False')
        if self.relative_position != "none" and not (self.class_token and self.num_prefix_tokens == 1):
            raise ValueError(
                f"relative_position={self.relative_position!r} is for patches behind one class token: it needs "
                "class_token=True, distilled=False and num_registers=0"
            )
        check_rates(self, "drop_rate", "pos_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return patch_grid(self.image_size, self.patch_size)

    @property
    def num_prefix_tokens(self) -> int:
        """Number of tokens in front of the patches."""
        return int(self.class_token) + int(self.distilled) + self.num_registers

    def attention_choice(self, patches: int | None = None) -> Choice:
        """What `attention` comes to on the devices at hand, and why, for all patches or so many of them."""
        rows, columns = self.grid
        tokens = self.num_prefix_tokens + (rows * columns if patches is None else patches)
        head_dim, has_bias = self.embed_dim // self.num_heads, self.relative_position != "none"
        return choose_kernel(self.attention, tokens, head_dim, self.dtype, has_bias, self.attn_drop_rate)

    def setup(self):
        self.patch_embed = PatchEmbed(pair(self.patch_size), self.embed_dim, self.dtype, use_bias=not self.pre_norm)
        self.prefix_tokens = self.prefix_parameters()
        if self.mask_token:
            self.mask = self.param("mask_token", SMALL, (1, 1, self.embed_dim), jnp.float32)
        self.positions = self.position_embedding()
        self.pos_drop = nn.Dropout(self.pos_drop_rate)

        if self.relative_position == "shared":
            self.relative_position_bias = RelativePositionBias(self.grid, self.num_heads, class_token=True)
        self.blocks = [
            EncoderBlock(
                num_heads=self.num_heads,
                mlp_ratio=self.mlp_ratio,
                swiglu=self.swiglu,
                qkv_bias=self.qkv_bias,
                key_bias=self.key_bias,
                bias_grid=self.grid if self.relative_position == "per_block" else None,
                qk_norm=self.qk_norm,
                layer_scale=self.layer_scale,
                attn_drop_rate=self.attn_drop_rate,
                proj_drop_rate=self.proj_drop_rate,
                gelu=self.gelu,
                norm_eps=self.norm_eps,
                kernel_init=self.kernel_init,
                attention=self.attention,
                dtype=self.dtype,
            )
            for _ in range(self.depth)
        ]
        norm = partial(LayerNorm, self.norm_eps, self.dtype)
        if self.pre_norm:
            self.norm_pre = norm()
        self.final_norm = norm(name="fc_norm" if self.fc_norm else "norm")
        if self.pool == "map":
            self.attn_pool = AttentionPool(self.num_heads, self.mlp_ratio, self.gelu, self.norm_eps, self.dtype)
        if self.representation_size:
            self.pre_logits = nn.Dense(self.representation_size, dtype=self.dtype)
        self.head_drop = nn.Dropout(self.drop_rate)
        head = partial(nn.Dense, self.num_classes, kernel_init=nn.initializers.zeros, dtype=jnp.float32)
        if self.num_classes:
            self.head = head()
        if self.distilled:
            self.head_dist = head()

    @nn.nowrap
    def prefix_parameters(self) -> list[jax.Array]:
        """The tokens in front of the patches, in their order: each [1, 1 or more, D]."""
        prefix = []
        if self.class_token:
            # Zeros without a position would have a LayerNorm's steepest gradient, 1 / sqrt(eps).
            has_position = self.pos_embed == "learned" and not self.no_embed_class
            init = nn.initializers.zeros if has_position else SMALL
            prefix.append(self.param("cls_token", init, (1, 1, self.embed_dim), jnp.float32))
        if self.distilled:
            prefix.append(self.param("dist_token", SMALL, (1, 1, self.embed_dim), jnp.float32))
        if self.num_registers:
            prefix.append(self.param("reg_token", SMALL, (1, self.num_registers, self.embed_dim), jnp.float32))
        return prefix

    @nn.nowrap
    def position_embedding(self) -> jax.Array | np.ndarray | None:
        """The position embeddings: [1, patches or all tokens, D], or None."""
        rows, columns = self.grid
        if self.pos_embed == "none":
            return None
        if self.pos_embed == "sincos":
            return sincos_position_embedding(self.grid, self.embed_dim)[None]
        tokens = rows * columns + (0 if self.no_embed_class else self.num_prefix_tokens)
        return self.param("pos_embed", SMALL, (1, tokens, self.embed_dim), jnp.float32)

    def embed(self, images: jax.Array, train: bool, mask: jax.Array | None = None) -> jax.Array:
        """Images [B, H, W, C] to tokens [B, N, D] with positions: the encoder's input (ViT, equation 1).

        Of patches where `mask`, bool [B, patches], is true, only the position is left, beside the mask token.
        """
        check_images(images, self.input_shape)
        batch = images.shape[0]
        patches = self.patch_embed(images).reshape(batch, -1, self.embed_dim)
        if mask is not None:
            self.check_mask(mask, patches.shape[:2])
            patches = jnp.where(mask[..., None], self.mask.astype(self.dtype), patches)
        prefix = [jnp.broadcast_to(token, (batch, *token.shape[1:])).astype(self.dtype) for token in self.prefix_tokens]
        if self.positions is None:
            tokens = jnp.concatenate([*prefix, patches], axis=1)
        else:
            positions = jnp.asarray(self.positions, self.dtype)
            if positions.shape[1] == patches.shape[1]:
                tokens = jnp.concatenate([*prefix, patches + positions], axis=1)
            else:
                tokens = jnp.concatenate([*prefix, patches], axis=1) + positions
        if train:
            tokens = row_major(tokens)  # else XLA may transpose all tokens for the gradient of the positions
        tokens = self.pos_drop(tokens, deterministic=not train)
        return self.norm_pre(tokens) if self.pre_norm else tokens

    def check_mask(self, mask: jax.Array, expected: tuple[int, ...]) -> None:
        """Raises ValueError if the model has no mask token, or `mask` is not one boolean a patch."""
        if not self.mask_token:
            raise ValueError("this model has no token for masked patches; make it with mask_token=True")
        if mask.shape != expected or mask.dtype != bool:
            raise ValueError(f"mask must be bool {list(expected)}, one a patch; got {mask.dtype} {list(mask.shape)}")

    def encode(self, tokens: jax.Array, train: bool, queries: int | None = None) -> tuple[jax.Array, list[jax.Array]]:
        """The encoder: tokens [B, N, D] to the last block's, normalised unless the norm comes after pooling, and each
        block's output [B, N, D].

        With `queries`, the last block computes so many of the first tokens alone, [B, queries, D], from the keys and
        values of all.
        """
        bias = self.relative_position_bias() if self.relative_position == "shared" else None
        outputs, call = [], traced_once(self.remat, static=(2, 5))
        for i, rate in enumerate(drop_path_rates(self.drop_path_rate, self.depth)):
            is_last = i + 1 == self.depth
            tokens = call(self.blocks[i], tokens, train, bias, rate or None, queries if is_last else None)
            outputs.append(tokens)
        return tokens if self.fc_norm else self.final_norm(tokens), outputs

    def pool_tokens(self, tokens: jax.Array, train: bool) -> jax.Array:
        """The encoder's output [B, N, D] to what the head reads: one vector [B, D], or [B, 2 D] of class token and mean
        of the patches."""
        patches = tokens[:, self.num_prefix_tokens :]
        if self.pool == "token":
            pooled = tokens[:, 0]
        elif self.pool == "map":
            pooled = self.attn_pool(patches, train)
        else:
            mean = patches.mean(axis=1)
            pooled = mean if self.pool == "avg" else jnp.concatenate([tokens[:, 0], mean], axis=-1)
        if self.fc_norm:
            pooled = self.final_norm(pooled)
        return jnp.tanh(self.pre_logits(pooled)) if self.representation_size else pooled

    def features(self, images: jax.Array, train: bool = False, mask: jax.Array | None = None) -> Features:
        """Images [B, H, W, C] to `Features`: everything but the classification head.

        The mask token takes the place of patches where `mask`, bool [B, patches], is true.

        Raises:
            ValueError: if the images are not of the model's size, or masked without a mask token.
        """
        tokens, outputs = self.encode(self.embed(images, train, mask), train)
        stages = [
            output[:, self.num_prefix_tokens :].reshape(images.shape[0], *self.grid, self.embed_dim)
            for output in outputs
        ]
        return Features(tokens, self.pool_tokens(tokens, train), tuple(stages))

    def pooled(self, images: jax.Array, train: bool = False) -> jax.Array:
        """What the classification head reads of images [B, H, W, C]: [B, D], as `features(...).pooled` up to rounding.

        Where that is the class token, the last block computes no other.
        """
        return self.pool_tokens(self.encode_for_heads(images, train), train)

    def encode_for_heads(self, images: jax.Array, train: bool) -> jax.Array:
        """The encoder's output for images [B, H, W, C]: [B, N, D], or only the tokens [B, 1, D] that the head reads, or
        [B, 2, D] that two heads read."""
        read = 1 + int(self.distilled) if self.pool == "token" else None
        if self.is_mutable_collection("intermediates"):  # features or maps are asked for: of every token
            read = None
        return self.encode(self.embed(images, train), train, read)[0]

    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array | tuple[jax.Array, jax.Array]:
        """Classifies images.

        Args:
            images: float32 [B, H, W, in_channels], normalised as `preprocessing` says.
            train: whether dropout and drop path are on; they need `rngs={"dropout": key}`.

        Returns:
            Logits, float32 [B, num_classes]; the pooled features [B, D] if `num_classes` is 0; in training with
            `distilled`, the pair of class and distillation logits.

        Raises:
            ValueError: if the images are not of the model's size.
        """
        tokens = self.encode_for_heads(images, train)
        pooled = self.pool_tokens(tokens, train)
        if self.num_classes == 0:
            return pooled.astype(jnp.float32)
        logits = self.head(self.head_drop(pooled, deterministic=not train))
        if not self.distilled:
            return logits
        distilled_token = self.head_drop(tokens[:, 1], deterministic=not train)
        distillation_logits = self.head_dist(distilled_token)
        if train:
            return logits, distillation_logits
        answers = {"mean": (logits + distillation_logits) / 2, "class": logits, "distillation": distillation_logits}
        return answers[self.answer]
