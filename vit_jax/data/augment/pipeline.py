"""What a transform is, and how a batch goes through a list of them.

A transform is a frozen dataclass in two parts: `draw` makes the random parameters of one example from a key, `apply`
is a pure function of the example and those parameters. Both have static shapes and are vmapped over the batch inside
the jitted training step. Keeping the draws apart from the pixels is what lets the tests replay them in Pillow.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp

Params = TypeVar("Params")
"""The random parameters of one example: a pytree of arrays with static shapes."""

ImageShape = tuple[int, int, int]
"""Height, width and channels."""

Example = tuple[jax.Array, jax.Array]
"""An image, float32 [H, W, C] in [0, 255], and its label, float32 [classes]."""


class ImageTransform(ABC, Generic[Params]):
    """Changes the pixels of one image and leaves its label alone."""

    @abstractmethod
    def draw(self, key: jax.Array, image_shape: ImageShape) -> Params:
        """Random parameters of one example."""

    @abstractmethod
    def apply(self, image: jax.Array, params: Params) -> jax.Array:
        """float32 [H, W, C] in [0, 255] -> the same shape, dtype and range."""


class MixingTransform(ABC, Generic[Params]):
    """Mixes an example, its label included, with the partner at the mirrored place of the global batch."""

    @abstractmethod
    def draw(self, key: jax.Array, image_shape: ImageShape) -> Params:
        """Random parameters of one example."""

    @abstractmethod
    def apply(self, example: Example, partner: Example, params: Params) -> Example:
        """The mixed image and the mixed label."""


def draw_keys(key: jax.Array, transforms: int, positions: jax.Array) -> jax.Array:
    """A key for every transform and example, from (key, place in the list, place in the global batch). -> [T, B]"""
    transform_keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(transforms))
    of_examples = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    return jax.vmap(of_examples, in_axes=(0, None))(transform_keys, positions)


def draw_batch(
    transform: ImageTransform[Params] | MixingTransform[Params], keys: jax.Array, image_shape: ImageShape
) -> Params:
    """Parameters of a batch from its examples' keys [B]. -> leaves [B, ...]"""
    return jax.vmap(lambda key: transform.draw(key, image_shape))(keys)


def augment(
    transforms: Sequence[ImageTransform | MixingTransform],
    key: jax.Array,
    images: jax.Array,
    labels: jax.Array,
    positions: jax.Array,
    reverse: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Applies `transforms` in their order to a batch, or to one device's part of it.

    Every draw depends on (key, the transform's place in the list, the example's place in the global batch) and on
    nothing else, so the result does not depend on how the batch is split over devices.

    Args:
        transforms: the list of the config. An image is mixed as it stands when its mixing transform is reached.
        key: the key of this training step.
        images: float32 [B, H, W, C], pixel values in [0, 255].
        labels: float32 [B, classes], one-hot or already soft.
        positions: int32 [B], the examples' places in the global batch.
        reverse: returns its argument [B, ...] in the reverse order of the *global* batch, so that the partner of place
            j is place (global B) - 1 - j. `lambda x: x[::-1]` in one program; a collective under pmap.

    Returns:
      images and labels, of the same shapes and dtype.

    Raises:
      ValueError: images or labels are not float32 of these shapes.
    """
    if images.ndim != 4 or images.dtype != jnp.float32:
        raise ValueError(f"images must be float32 [B, H, W, C] in [0, 255], not {images.dtype}{list(images.shape)}")
    if labels.shape[:1] != images.shape[:1] or labels.ndim != 2 or labels.dtype != jnp.float32:
        raise ValueError(
            f"labels must be float32 [B, classes] with B = {len(images)}, not {labels.dtype}{list(labels.shape)}"
        )

    _, height, width, channels = images.shape
    keys = draw_keys(key, len(transforms), positions)
    for transform, example_keys in zip(transforms, keys, strict=True):
        params = draw_batch(transform, example_keys, (height, width, channels))
        if isinstance(transform, MixingTransform):
            partners = reverse(images), reverse(labels)
            images, labels = jax.vmap(transform.apply)((images, labels), partners, params)
        else:
            images = jax.vmap(transform.apply)(images, params)
    return images, labels
