"""Frozen features of many images, to judge a network by without training it."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import jax
import numpy as np
from PIL import Image

from vit_jax.models.network import Network, pooled_features
from vit_jax.pretrained.preprocess import preprocessing

compiled_features = jax.jit(pooled_features, static_argnums=0)


def extract_features(
    model: Network, params: Mapping[str, Any], images: Iterable[Any], batch_size: int = 64
) -> np.ndarray:
    """Computes the vectors that the classification head reads.

    Args:
        model: any network of this package.
        params: its parameters.
        images: PIL images or uint8 arrays [H, W] or [H, W, C], of any sizes, in any iterable: an array
            [N, H, W, C] is one. They are preprocessed as the network's weights expect, a batch at a time.
        batch_size: images to compute at once.

    Returns:
        `.pooled` of every image in order, float32 [N, D].

    Raises:
        ValueError: if there are no images, or one is of another type or shape; or of one image by itself.
    """
    if isinstance(images, Image.Image) or getattr(images, "shape", ())[2:] in ((1,), (3,)):
        raise ValueError("images is one image, not several: give a list with it alone, [image]")
    preprocess = preprocessing(model)
    pooled = []
    for batch in batches(images, batch_size):
        inputs = np.stack([preprocess(image) for image in batch])
        missing = batch_size - len(inputs)  # of the last batch, filled up so that one program serves all
        inputs = np.pad(inputs, ((0, missing), (0, 0), (0, 0), (0, 0)))
        pooled.append(np.asarray(compiled_features(model, params, inputs))[: len(batch)])
    if not pooled:
        raise ValueError("there are no images to extract features of")
    return np.concatenate(pooled)


def batches(images: Iterable[Any], batch_size: int) -> Iterator[list[Any]]:
    """All images in order, in lists of `batch_size`; the last may be shorter."""
    remaining = iter(images)
    while batch := list(islice(remaining, batch_size)):
        yield batch
