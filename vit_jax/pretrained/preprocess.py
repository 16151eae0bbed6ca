"""From one image to a network's input, the way its weights expect."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vit_jax.models.network import Network, check_network
from vit_jax.rgb import MAX_PIXELS, to_rgb

OF_BATCH = "of a batch: np.stack([preprocess(image) for image in images])"
OF_FILE = "open it with PIL.Image.open(path)"
"""What to do with what is not one image."""


def preprocessing(model: Network) -> Callable[[Any], np.ndarray]:
    """The preprocessing of a model.

    Returns:
        A function of one image, a PIL image or a uint8 array [H, W] or [H, W, 1 or 3], that gives float32
        [height, width, channels] of the model's size: the image is scaled to cover it, or `squash`ed to it (with the
        margin that `crop_fraction` says), cropped at the centre and normalised. Batches are `np.stack([...])` of these.
        A PIL image becomes what training and `vit-jax predict` make of its file: upright, on white where it is
        transparent, 16-bit grey scaled to 8. It can be pickled, for worker processes.

    Raises:
        ValueError: if this is no network, its images are neither grey nor colour, or it has means for others.
    """
    check_input(model)
    return partial(normalised_pixels, model)


def normalised_pixels(model: Network, image: Any) -> np.ndarray:
    """What `preprocessing(model)` gives of an image."""
    return model.preprocessing.normalise(crop(model, image))


def cropped_pixels(model: Network) -> Callable[[Any], np.ndarray]:
    """The preprocessing of a model without its last step, normalising: an image to uint8 [height, width, channels].

    Raises:
        ValueError: as `preprocessing`.
    """
    check_input(model)
    return partial(crop, model)


def check_input(model: Network) -> None:
    """Raises ValueError if this is no network, its images are neither grey nor colour, or it has means for others."""
    check_network(model)
    if model.in_channels not in (1, 3):
        raise ValueError(f"the model takes images of {model.in_channels} channels: prepare arrays for it yourself")
    model.preprocessing.check_channels(model.in_channels)


def crop(model: Network, image: Any) -> np.ndarray:
    """What `cropped_pixels(model)` gives of an image."""
    height, width, channels = model.input_shape
    resample = Image.Resampling[model.preprocessing.interpolation.upper()]
    picture = to_picture(image).convert("L" if channels == 1 else "RGB")
    size, box = covering(model, picture.size)
    if size[0] * size[1] > MAX_PIXELS:  # a very long image: what is cropped away is never made
        across, down = size[0] / picture.width, size[1] / picture.height
        part = (box[0] / across, box[1] / down, box[2] / across, box[3] / down)
        picture, box = picture.resize((width, height), resample, part), (0, 0, width, height)
    elif size != picture.size:
        picture = picture.resize(size, resample)
    return np.asarray(picture.crop(box), np.uint8).reshape(height, width, channels)


def covering(model: Network, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """How an image of `size` (width, height) is brought to a model's size.

    Returns:
        The size (width, height) that it is resized to, which covers the model's with the margin that `crop_fraction`
        says, and the box (left, top, right, bottom) in it that is cropped.
    """
    height, width, _ = model.input_shape
    fraction = model.preprocessing.crop_fraction
    least = math.floor(width / fraction), math.floor(height / fraction)
    resized = least if model.preprocessing.squash else cover(size, least)
    half = round if model.preprocessing.crop_rounding == "even" else math.floor
    left, top = half((resized[0] - width) / 2), half((resized[1] - height) / 2)
    return resized, (left, top, left + width, top + height)


def cover(size: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    """The size to which an image of `size` is scaled, its shape kept, to cover `least`.

    The longer side is rounded down, as by timm, torchvision and Hugging Face.
    """
    if least[0] * size[1] > least[1] * size[0]:
        return least[0], least[0] * size[1] // size[0]
    return least[1] * size[0] // size[1], least[1]


def to_picture(image: Any) -> Image.Image:
    """A PIL image, upright and on white, or a uint8 array [H, W], [H, W, 1] or [H, W, 3], as a grey or RGB PIL image.

    Raises:
        ValueError: if it is of another type or shape, or without pixels; says what to do with it.
    """
    if isinstance(image, Image.Image):
        if 0 in image.size:
            raise ValueError(f"the image has no pixels: it is of {image.width} x {image.height}")
        return to_rgb(image)
    if isinstance(image, str | Path | list | tuple):
        raise no_image(f"a {type(image).__name__}", OF_BATCH if isinstance(image, list | tuple) else OF_FILE)
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,)) or not array.size:
        raise no_image(f"{array.dtype} {list(array.shape)}", *advice_on(array))
    return Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array)


def no_image(what: str, *advice: str) -> ValueError:
    """The error of something that is no image, with what to do."""
    return ValueError("; ".join((f"an image is PIL's or uint8 [H, W] or [H, W, 1 or 3], not {what}", *advice)))


def advice_on(array: np.ndarray) -> Iterator[str]:
    """What to do with an array that is no image."""
    if array.ndim == 4:
        yield OF_BATCH
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        yield "channels come last: image.transpose(1, 2, 0)"
    if np.issubdtype(array.dtype, np.floating):
        yield "pixels are whole numbers from 0 to 255"
