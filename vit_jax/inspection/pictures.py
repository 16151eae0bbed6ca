"""Maps over an image as pictures: attention as a heat map, features as colours."""

from typing import Any

import jax
import numpy as np
from PIL import Image

from vit_jax.pretrained.preprocess import to_picture

INFERNO = ("000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4")
"""Evenly spaced colours of matplotlib's "inferno" (public domain): equal steps look equal, and brighter is more."""

HEAT = 0.6
"""Share of the heat map's colour in a pixel of the overlay; the rest is the image."""

OUTLIERS = 2.0
"""Percent of the places, at each end, that may be beyond the darkest and brightest value of a feature picture."""


def overlay(
    image: Image.Image | np.ndarray, values: jax.typing.ArrayLike, covered: tuple[float, float] = (1.0, 1.0)
) -> Image.Image:
    """Lays a heat map over an image: the map's lowest value is dark, its highest bright.

    Args:
        image: a PIL image, which is brought upright and on white, or uint8 [H, W] or [H, W, 1 or 3]; of a network that
            crops, its `seen_part`.
        values: float [rows, columns] over the image, e.g. one map of `attention_to_image`; enlarged smoothly, each
            value at the centre of its place.
        covered: height and width that the map covers, in units of the image's: the layer's `attention_extent`.

    Returns:
        An RGB image of the image's size.

    Raises:
        ValueError: if `values` is no map or not finite, `covered` not two numbers from 1 on, or the image of another
            type or shape.
    """
    values = np.asarray(values, np.float32)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"a heat map is made of finite values [rows, columns], not of {describe(values)}")
    if np.shape(covered) != (2,) or not np.min(covered) >= 1:
        raise ValueError(f"covered is (height, width), 1 or more as attention_extent gives them, not {covered!r}")
    below = to_picture(image)
    rows, columns = values.shape
    box = (0, 0, columns / covered[1], rows / covered[0])
    enlarged = np.asarray(Image.fromarray(values).resize(below.size, Image.Resampling.BICUBIC, box=box))
    low, high = float(values.min()), float(values.max())
    heat = colours((enlarged - low) / (high - low) if high > low else np.zeros_like(enlarged))
    return Image.blend(below.convert("RGB"), Image.fromarray(heat), HEAT)


def describe(values: np.ndarray) -> str:
    """The shape of an array, and how many of its values are not finite, in words."""
    broken = values.size - int(np.isfinite(values).sum())
    return f"{list(values.shape)}" + (f" with {broken} that are not finite" if broken else "")


def colours(values: np.ndarray) -> np.ndarray:
    """Values [...] from 0 (dark) to 1 (bright), clipped to that, as uint8 [..., 3]."""
    table = np.array([list(bytes.fromhex(colour)) for colour in INFERNO])  # [10, 3]
    places = np.linspace(0, 1, len(table))
    channels = [np.interp(values, places, channel) for channel in table.T]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def feature_picture(features: jax.typing.ArrayLike, pixels: int = 16) -> list[Image.Image]:
    """Draws feature maps in false colours: red, green and blue are the first three principal components (DINOv2).

    The components are those of all the maps together, so that alike places have like colours in all pictures.

    Args:
        features: float [B, H, W, D], e.g. one of `.stages`.
        pixels: side of the square that is drawn for each place.

    Returns:
        B RGB images of `pixels` H x `pixels` W.

    Raises:
        ValueError: if there are no three components: fewer places or channels than that, or values not finite; or if
            these are features of several layers.
    """
    from sklearn.decomposition import PCA  # imported when drawing: it takes a second

    if isinstance(features, tuple):
        raise ValueError("the maps of one layer are drawn, such as features.stages[-1], not several layers' features")
    maps: Any = np.asarray(features, np.float32)
    if maps.ndim != 4 or min(maps.shape[-1], maps[..., 0].size) < 3 or not np.isfinite(maps).all():
        raise ValueError(f"three components need finite maps [B, H, W, D], not {describe(maps)}")
    components = PCA(3, svd_solver="covariance_eigh").fit_transform(maps.reshape(-1, maps.shape[-1]))
    low, high = np.percentile(components, [OUTLIERS, 100 - OUTLIERS], axis=0)
    shades = ((components - low) / np.maximum(high - low, 1e-12)).clip(0, 1).reshape(*maps.shape[:3], 3)
    pictures = np.rint(255 * shades).astype(np.uint8).repeat(pixels, axis=1).repeat(pixels, axis=2)
    return [Image.fromarray(picture) for picture in pictures]
