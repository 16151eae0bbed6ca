"""What all networks of this package have in common."""

import dataclasses
from collections.abc import Mapping
from numbers import Integral
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vit_jax.choices import check_fields
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.resizing import Resizing


class Features(NamedTuple):
    """What an image looks like inside a network.

    Attributes:
        tokens: [B, N, D], the last layer's, normalised unless the norm comes after pooling; class and other extra
            tokens first, then patches row by row. A ViT's patches, as in Hugging Face's `last_hidden_state`, are
            `tokens[:, model.num_prefix_tokens:]`: registers come before them, too.
        pooled: [B, D], the vector that the classification head reads; its width may be another than the tokens'.
        stages: maps [B, H, W, D] of the patches, one for each block (for each stage in a hierarchical network); not
            normalised, not even the last.
    """

    tokens: jax.Array
    pooled: jax.Array
    stages: tuple[jax.Array, ...]


class Network(nn.Module):
    """A network of images, a Flax module: called for its outputs, or by `features` or `pooled` for what lies before.

    Attributes:
        num_classes: outputs of the head; 0 for none (the call then returns the pooled features).
        image_size: height and width in pixels (one number for squares).
        in_channels: channels of the images.
        dtype: of the computation; parameters, softmax and logits are float32 always.
        preprocessing: what the input pixels must look like; carried along for `vit_jax.preprocessing`.
        resizing: how the weights are resized for another image; carried along for `vit_jax.load_pretrained`. Networks
            that differ in it alone are equal: they compute the same.
    """

    num_classes: int = 1000
    image_size: int | tuple[int, int] = 224
    in_channels: int = 3
    dtype: Any = jnp.float32
    preprocessing: Preprocessing = Preprocessing()
    resizing: Resizing = dataclasses.field(default=Resizing(), compare=False)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        super().__post_init__()
        check_fields(self)
        check_size(self.image_size, "image_size")
        object.__setattr__(self, "dtype", floating_dtype(self.dtype))
        if not isinstance(self.preprocessing, Preprocessing):
            raise ValueError(f"preprocessing must be a vit_jax.Preprocessing, not {self.preprocessing!r}")
        if not (norm_eps := getattr(self, "norm_eps", 1.0)) > 0:
            raise ValueError(f"norm_eps must be above 0, not {norm_eps}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return (*pair(self.image_size), self.in_channels)

    def after_init(self, params: dict[str, Any]) -> dict[str, Any]:
        """What training begins with, from parameters as `init` draws them."""
        return params

    def features(self, images: jax.Array, train: bool = False) -> Features:
        """Images [B, H, W, C] to `Features`: everything but the classification head."""
        raise NotImplementedError

    def pooled(self, images: jax.Array, train: bool = False) -> jax.Array:
        """What the classification head reads of images [B, H, W, C]: [B, D], as `features(...).pooled` up to rounding,
        without computing what only the other features need."""
        return self.features(images, train).pooled

    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array | tuple[jax.Array, jax.Array]:
        """Images [B, H, W, C] to logits, float32 [B, num_classes]."""
        raise NotImplementedError


def plain(value: Any) -> Any:
    """A field's lists as tuples, as a static argument of a jitted function must be hashed, and NumPy's numbers as
    Python's, which JSON has."""
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def floating_dtype(dtype: Any) -> np.dtype:
    """A network's dtype, which has several forms: "bfloat16", `jnp.bfloat16` and this.

    Raises:
        ValueError: if it is none that networks are computed in.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if dtype is None or found is None or not jnp.issubdtype(found, jnp.floating) or found.itemsize > 4:
        raise ValueError(f"dtype must be of floating point, such as jnp.bfloat16, of 32 bits at most; not {dtype!r}")
    return found


def pooled_features(model: Network, params: Mapping[str, Any], images: jax.typing.ArrayLike) -> jax.Array:
    """The pooled features of preprocessed images [B, H, W, C], without dropout: float32 [B, D]."""
    pooled = cast(jax.Array, model.apply({"params": params}, images, method="pooled"))
    return pooled.astype(jnp.float32)


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """One number as (height, width)."""
    return (size[0], size[1]) if isinstance(size, tuple | list) else (size, size)


def check_size(size: Any, name: str) -> None:
    """Raises ValueError if a field of this name is neither one whole number nor a pair of them."""
    sides = size if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, Integral) for side in sides):
        raise ValueError(f"{name} must be a whole number or a pair of them, (height, width), not {size!r}")


def patch_grid(image_size: int | tuple[int, int], patch_size: int | tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of patches of an image that is a whole number of them (`check_patches`)."""
    (height, width), (patch_height, patch_width) = pair(image_size), pair(patch_size)
    return height // patch_height, width // patch_width


def check_patches(image_size: int | tuple[int, int], patch_size: int | tuple[int, int]) -> None:
    """Raises ValueError if the image is not a whole number of patches."""
    check_size(patch_size, "patch_size")
    (height, width), (patch_height, patch_width) = pair(image_size), pair(patch_size)
    if min(height, width, patch_height, patch_width) < 1 or height % patch_height or width % patch_width:
        raise ValueError(
            f"image_size {height}x{width} is not a whole number of patches of patch_size "
            f"{patch_height}x{patch_width}; each side must be a positive multiple of the patch's"
        )


def check_rates(model: Network, *names: str) -> None:
    """Raises ValueError if one of these fields of a model is no rate of dropout."""
    for name in names:
        if not 0 <= getattr(model, name) < 1:
            raise ValueError(f"{name} must be in [0, 1), not {getattr(model, name)}")


def check_network(model: Any) -> None:
    """Raises ValueError if something is no network, where one is needed."""
    if not isinstance(model, Network):
        raise ValueError(
            "a network is needed, such as vit_jax.create_model(name) gives, or load_pretrained before the parameters; "
            f"not a {type(model).__name__}"
        )


def check_array(images: Any) -> None:
    """Raises ValueError if images are no array of NumPy or JAX, or one that is divided over explicit axes of a mesh."""
    if not isinstance(images, np.ndarray | jax.Array):
        raise ValueError(
            "images must be one array [batch, height, width, channels] of NumPy or JAX, such as np.stack makes of what "
            f"vit_jax.preprocessing(model) gives; not a {type(images).__name__}"
        )
    if isinstance(images, jax.Array) and any(jax.typeof(images).sharding.spec):  # has the explicit axes alone
        raise ValueError(
            "the images are divided over a mesh with explicit axes, jax.make_mesh's default: make it with "
            "axis_types=(jax.sharding.AxisType.Auto,), once for each axis"
        )


def check_images(images: jax.Array, expected: tuple[int, int, int]) -> None:
    """Raises ValueError if images [B, H, W, C] are not of a model's height, width and channels, or raw pixels."""
    check_array(images)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"images must be floats, as vit_jax.preprocessing(model) gives them, not {images.dtype}")
    if images.ndim != 4 or images.shape[1:] != expected:
        raise ValueError(
            f"this model takes images [batch, {expected[0]}, {expected[1]}, {expected[2]}]; got {images.shape}. "
            + advice_on(images.shape, expected)
        )
    if images.shape[0] == 0:
        raise ValueError("the batch has no images")


def advice_on(shape: tuple[int, ...], expected: tuple[int, int, int]) -> str:
    """What to do with images of a shape that is not [B, *expected]."""
    if len(shape) == 3:
        return "One image needs a batch: image[None]"
    if len(shape) == 4 and shape[3] != expected[2]:
        if shape[1] == expected[2]:
            return "Channels come last: images.transpose(0, 2, 3, 1)"
        return f"The model has in_channels={expected[2]}: set another when making or loading it, or by vit_jax.adapt"
    return "Another image_size needs other parameters: set it when making or loading the model, or by vit_jax.adapt"
