"""Files that cost a decoder what photographs cost it: large smooth shapes, finer ones, and grain."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZES = ((500, 375), (375, 500))
"""Width and height in pixels, in turn; those of most images of ImageNet."""

CLASSES = ("first", "second")


def photograph(random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """An image with detail at every scale, less of it the finer it is."""
    width, height = size
    pixels = random.normal(scale=14, size=(height, width, 3))
    for cell, share in ((64, 0.6), (16, 0.25), (4, 0.15)):
        noise = random.integers(0, 256, (height // cell + 1, width // cell + 1, 3), np.uint8)
        pixels += share * np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC), np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_folder(root: Path, count: int) -> None:
    """Writes `count` JPEG files of quality 90 as a data set of two classes, always the same ones."""
    random = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
    for number in range(count):
        image = photograph(random, SIZES[number // len(CLASSES) % len(SIZES)])
        image.save(root / CLASSES[number % len(CLASSES)] / f"{number:05}.jpg", quality=90)
