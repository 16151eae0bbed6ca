"""One picture of what a network attends to in an image: what `vit-jax attention` writes."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from PIL import Image

from vit_jax.inspection.attention_image import attention_extent, attention_to_image, layer_attention
from vit_jax.inspection.features import attention_maps
from vit_jax.inspection.pictures import overlay
from vit_jax.inspection.rollout import attention_rollout
from vit_jax.models.network import Network, check_network
from vit_jax.pretrained.preprocess import covering, preprocessing, to_picture

SIDE = 320  # pixels of the longer side of each panel
GAP = 8  # between panels

Layer = Literal["last", "rollout"] | int
Head = Literal["mean", "all"] | int


def check_out(out: Path, image: Path) -> str:
    """Checks where a picture is to be written, and gives the format that its name asks for, e.g. "PNG".

    Raises:
        ValueError: if its name has no picture's suffix, it is a folder, or it is the image that is looked at.
        FileNotFoundError: if its folder is not there.
    """
    format = Image.registered_extensions().get(out.suffix.lower())
    if format not in Image.SAVE:
        raise ValueError(f"{out} does not end as a picture's name does: .png, for instance")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.parent} to write {out.name} into")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name a file in it")
    if out.exists() and out.samefile(image):
        raise ValueError(f"{out} is the image itself: give the picture another name")
    return format


def attention_picture(
    model: Network,
    params: Mapping[str, Any],
    image: Image.Image | np.ndarray,
    layer: Layer = "last",
    head: Head = "mean",
) -> Image.Image:
    """Draws the part of an image that the network sees, beside it what the network attends to.

    Args:
        model: a Vision or Swin Transformer.
        params: its parameters.
        image: of any size, a PIL image or a uint8 array, as `preprocessing` takes it.
        layer: a layer's number from 0, "last", or "rollout" through all.
        head: a head's number from 0, their "mean", or "all" for a panel each.

    Raises:
        ValueError: if this is no network, or one without attention or without such a layer or head, the parameters are
            not the network's, or the image is of another type or shape.
    """
    maps, extent = chosen_maps(model, params, preprocessing(model)(image)[None], layer, head)
    seen = seen_part(model, image)
    return tiled([seen, *(overlay(seen, one, extent) for one in maps)])


def chosen_maps(
    model: Network, params: Mapping[str, Any], images: np.ndarray, layer: Layer, head: Head
) -> tuple[np.ndarray, tuple[float, float]]:
    """The maps to draw, float32 [panels, rows, columns], of images [1, H, W, C], and how much of it they cover."""
    if layer == "rollout":
        if head != "mean":
            raise ValueError(f'rollout averages the heads; head must be "mean", not {head!r}')
        rollout = attention_to_image(model, attention_rollout(model, params, images))
        return np.asarray(rollout), attention_extent(model, 0)
    layers = len(jax.eval_shape(partial(attention_maps, model), params, images))
    number = layers - 1 if layer == "last" else layer
    if number not in range(layers):
        raise ValueError(f'there is no layer {layer}: layers are 0 to {layers - 1}, "last" and "rollout"')
    heads = np.asarray(layer_attention(model, params, images, number)[0])  # [heads, rows, columns]
    if head not in ("mean", "all", *range(len(heads))):
        raise ValueError(
            f'there is no head {head}: those of layer {number} are 0 to {len(heads) - 1}, "mean" and "all"'
        )
    chosen = heads if head == "all" else heads.mean(axis=0)[None] if head == "mean" else heads[head][None]
    return chosen, attention_extent(model, number)


def seen_part(model: Network, image: Image.Image | np.ndarray, side: int = SIDE) -> Image.Image:
    """Cuts out the part of an image that a network sees: what maps over it are laid on.

    Args:
        model: says how images are resized and cropped.
        image: of any size, a PIL image or a uint8 array, as `preprocessing` takes it.
        side: the longer side of the result, in pixels, whatever the network's own size.

    Returns:
        An RGB image with the proportions of the network's input, of the image's own pixels.

    Raises:
        ValueError: if this is no network, the image is of another type or shape, or `side` is not positive.
    """
    check_network(model)
    if not side > 0:
        raise ValueError(f"side must be positive, not {side}")
    image = to_picture(image).convert("RGB")
    height, width, _ = model.input_shape
    resized, box = covering(model, image.size)
    across, down = image.width / resized[0], image.height / resized[1]
    own = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    scale = side / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return image.resize(size, Image.Resampling.BICUBIC, box=own)


def tiled(panels: Sequence[Image.Image]) -> Image.Image:
    """Panels of one size, row by row on white: two beside each other, more in about as many rows as columns."""
    columns = 2 if len(panels) == 2 else math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    width, height = panels[0].width + GAP, panels[0].height + GAP
    picture = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
    for place, panel in enumerate(panels):
        picture.paste(panel, (place % columns * width, place // columns * height))
    return picture
