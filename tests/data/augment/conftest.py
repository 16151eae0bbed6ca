from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from vit_jax.data.augment import ImageTransform, MixingTransform
from vit_jax.data.augment.operations import Operation
from vit_jax.data.augment.pipeline import draw_batch

PillowOperation = Callable[[np.ndarray, Operation, float, int], np.ndarray]


@pytest.fixture(scope="session")
def draw() -> Callable[..., Any]:
    """draw(transform, count, image_shape): the parameters of `count` examples, numpy leaves [count, ...]."""

    def draw(transform: ImageTransform | MixingTransform, count: int, image_shape: tuple[int, int, int]) -> Any:
        def parameters() -> Any:
            return draw_batch(transform, jax.random.split(jax.random.key(0), count), image_shape)

        return jax.tree.map(np.asarray, jax.jit(parameters)())

    return draw


@pytest.fixture(scope="session")
def apply() -> Callable[..., np.ndarray]:
    """apply(transform, images, params): images [B, H, W, C] with parameters from `draw`."""

    def apply(transform: ImageTransform, images: np.ndarray, params: Any) -> np.ndarray:
        return np.asarray(jax.jit(jax.vmap(transform.apply))(images, params))

    return apply


@pytest.fixture(scope="session")
def pictures() -> Callable[..., np.ndarray]:
    """pictures(count, height, width, channels): whole levels, float32 [count, H, W, C].

    Smooth waves with noise, some of low contrast: like photographs, and unlike white noise, they have flat and steep
    regions and histograms worth equalizing.
    """

    def make(count: int, height: int, width: int, channels: int) -> np.ndarray:
        rng = np.random.default_rng(count * height * width * channels)
        y, x = np.arange(height)[:, None, None], np.arange(width)[:, None]
        shape = (count, 1, 1, channels)
        frequency_y, frequency_x = rng.uniform(0.05, 0.6, shape), rng.uniform(0.05, 0.6, shape)
        waves = np.sin(frequency_y * y + frequency_x * x + rng.uniform(0, 6, shape))
        contrast, mean = rng.uniform(20, 130, shape), rng.uniform(80, 170, shape)
        noise = rng.normal(0, 6, (count, height, width, channels))
        return np.clip(mean + contrast * waves + noise, 0, 255).round().astype(np.float32)

    return make


@pytest.fixture(scope="session")
def pillow_operation() -> PillowOperation:
    """One operation of the policies on one image, done by Pillow. whole levels [H, W, C], C 1 or 3 -> the same."""

    def apply(image: np.ndarray, operation: Operation, argument: float, fill: int) -> np.ndarray:
        picture = Image.fromarray(image.astype(np.uint8).squeeze())
        fill_color = (fill,) * image.shape[-1] if image.shape[-1] > 1 else fill

        def affine(*matrix: float) -> Image.Image:
            bilinear = Image.Resampling.BILINEAR
            return picture.transform(picture.size, Image.Transform.AFFINE, matrix, bilinear, fillcolor=fill_color)

        def solarize_add() -> Image.Image:
            table = [min(255, level + int(argument)) if level < 128 else level for level in range(256)]
            return picture.point(table * image.shape[-1])

        results: dict[Operation, Callable[[], Image.Image]] = {
            Operation.IDENTITY: lambda: picture,
            Operation.SHEAR_X: lambda: affine(1, argument, 0, 0, 1, 0),
            Operation.SHEAR_Y: lambda: affine(1, 0, 0, argument, 1, 0),
            Operation.TRANSLATE_X: lambda: affine(1, 0, argument, 0, 1, 0),
            Operation.TRANSLATE_Y: lambda: affine(1, 0, 0, 0, 1, argument),
            Operation.ROTATE: lambda: picture.rotate(argument, Image.Resampling.BILINEAR, fillcolor=fill_color),
            Operation.BRIGHTNESS: lambda: ImageEnhance.Brightness(picture).enhance(argument),
            Operation.CONTRAST: lambda: ImageEnhance.Contrast(picture).enhance(argument),
            Operation.COLOR: lambda: ImageEnhance.Color(picture).enhance(argument),
            Operation.SHARPNESS: lambda: ImageEnhance.Sharpness(picture).enhance(argument),
            Operation.POSTERIZE: lambda: ImageOps.posterize(picture, int(argument)),
            Operation.SOLARIZE: lambda: ImageOps.solarize(picture, argument),  # pyright: ignore[reportArgumentType]
            Operation.SOLARIZE_ADD: solarize_add,
            Operation.INVERT: lambda: ImageOps.invert(picture),
            Operation.AUTO_CONTRAST: lambda: ImageOps.autocontrast(picture),
            Operation.EQUALIZE: lambda: ImageOps.equalize(picture),
        }
        return np.asarray(results[operation](), np.float32).reshape(image.shape)

    return apply
