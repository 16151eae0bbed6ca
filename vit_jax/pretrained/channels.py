"""A pretrained network made fit for images of another number of channels."""

import dataclasses
from itertools import cycle, islice
from statistics import fmean
from typing import Any

import numpy as np

from vit_jax.choices import is_of
from vit_jax.models.parameters import shapes_by_path
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.converted import Parameter
from vit_jax.pretrained.stored_network import StoredNetwork

KERNEL, BIAS = "patch_embed/kernel", "patch_embed/bias"


def with_channels(stored: StoredNetwork, in_channels: int) -> StoredNetwork:
    """A network for images of so many channels: its patch embedding and preprocessing changed, all else as it was.

    One for grey images, made of one for colour, computes of a grey image what that computes of it in colour. Any other
    has the kernels in turn, red, green, blue, red, ..., times the old number over the new one (timm's `in_chans`).

    Raises:
        ValueError: if this is no number of channels, or the network has no patch embedding of its own, or none with a
            bias where that has to change.
    """
    if not is_of(int, in_channels) or in_channels < 1:
        raise ValueError(f"in_channels must be a positive whole number, not {in_channels!r}")
    if stored.model.in_channels == in_channels:
        return stored
    if not isinstance(stored.model, VisionTransformer | SwinTransformer):
        raise ValueError(
            f"in_channels is for a ViT or Swin, not for a {type(stored.model).__name__}; of a network that was "
            "pre-trained without labels, num_classes asks for the encoder"
        )
    parameters = dict(stored.converted.parameters)
    expected = {path: shape for path, shape in shapes_by_path(stored.model).items() if path in (KERNEL, BIAS)}
    if any(path not in parameters or parameters[path].shape != shape for path, shape in expected.items()):
        return stored  # what is missing or misshapen is listed with all the rest
    kernel = parameters[KERNEL]
    preprocessing = stored.model.preprocessing
    if (kernel.shape[2], in_channels) == (3, 1):
        parameters |= of_grey(kernel, parameters.get(BIAS), preprocessing)
        preprocessing = for_grey(preprocessing)
    else:
        parameters[KERNEL] = repeated(kernel, in_channels)
        mean, std = (in_turn(values, in_channels) for values in (preprocessing.mean, preprocessing.std))
        preprocessing = dataclasses.replace(preprocessing, mean=mean, std=std)
    changes: dict[str, Any] = dict(in_channels=in_channels, preprocessing=preprocessing)
    return dataclasses.replace(
        stored,
        model=stored.model.clone(**changes),
        wanted=stored.wanted.clone(**changes),
        converted=dataclasses.replace(stored.converted, parameters=parameters),
    )


def in_turn(values: tuple[float, ...], number: int) -> tuple[float, ...]:
    """So many of the channels' values, from the first on again after the last; one that is for all stays alone."""
    return values if len(values) == 1 else tuple(islice(cycle(values), number))


def repeated(kernel: Parameter, in_channels: int) -> Parameter:
    """A kernel [patch height, patch width, channels, D] with its channels in turn, as often as asked for."""
    height, width, channels, embed_dim = kernel.shape

    def read() -> np.ndarray:
        stored = np.asarray(kernel.read(), np.float32)
        return stored[:, :, np.arange(in_channels) % channels] * np.float32(channels / in_channels)

    return Parameter((height, width, in_channels, embed_dim), read)


def for_grey(preprocessing: Preprocessing) -> Preprocessing:
    """The preprocessing of grey images: by the means of the colours' values."""
    return dataclasses.replace(preprocessing, mean=(fmean(preprocessing.mean),), std=(fmean(preprocessing.std),))


def of_grey(kernel: Parameter, bias: Parameter | None, preprocessing: Preprocessing) -> dict[str, Parameter]:
    """The patch embedding of grey images that gives what a kernel [patch height, patch width, 3, D] for colours gives.

    A grey pixel g is (g - m) / s there, for the mean m and deviation s of each colour, here by those of `for_grey`: the
    kernels add up, each times their deviation / s, and the rest, the same everywhere, goes into the bias.

    Raises:
        ValueError: if there is no bias, and the means differ.
    """
    grey = for_grey(preprocessing)
    mean, std = np.asarray(preprocessing.mean), np.asarray(preprocessing.std)
    scale, shift = grey.std[0] / std, (grey.mean[0] - mean) / std  # [3], or [1] for all

    def summed(factors: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
        return (kernel.read().astype(np.float64) * factors[:, None]).sum(axis, keepdims=True)

    height, width, _, embed_dim = kernel.shape
    parameters = {KERNEL: Parameter((height, width, 1, embed_dim), lambda: summed(scale, (2,)))}
    if not shift.any():
        return parameters
    if bias is None:
        raise ValueError(
            "in_channels=1: the patch embedding has no bias, which would take up that the colours have different means "
            f"{preprocessing.mean}; repeat grey images three times instead"
        )
    return parameters | {BIAS: Parameter(bias.shape, lambda: bias.read() + summed(shift, (0, 1, 2)).reshape(-1))}
