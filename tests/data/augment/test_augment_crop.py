"""Crops and flips against numpy and Pillow on the same draws, and their draws against the published ranges."""

import jax
import numpy as np
import pytest
from PIL import Image

from vit_jax.data.augment import RandomCrop, RandomHorizontalFlip, RandomResizedCrop


def test_random_crop_pads_and_slices(pictures, draw, apply) -> None:
    images = pictures(20, 10, 7, 3)
    offsets = draw(RandomCrop(padding=4), 20, (10, 7, 3))
    ours = apply(RandomCrop(padding=4), images, offsets)
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    for i in range(20):
        top, left = offsets.top[i], offsets.left[i]
        np.testing.assert_array_equal(ours[i], padded[i, top : top + 10, left : left + 7])


def test_random_crop_draws_every_offset_equally_often(draw) -> None:
    offsets = draw(RandomCrop(padding=4), 5000, (10, 7, 3))
    for values in offsets:
        np.testing.assert_allclose(np.bincount(values) / 5000, [1 / 9] * 9, atol=0.02)  # 4 standard deviations


def test_no_padding_is_the_identity(pictures, draw, apply) -> None:
    images = pictures(4, 10, 7, 3)
    np.testing.assert_array_equal(apply(RandomCrop(padding=0), images, draw(RandomCrop(0), 4, (10, 7, 3))), images)


def test_flip_mirrors_left_and_right(pictures, draw, apply) -> None:
    images = pictures(20, 10, 7, 3)
    flipped = draw(RandomHorizontalFlip(), 20, (10, 7, 3))
    expected = [image[:, ::-1] if flip else image for image, flip in zip(images, flipped, strict=True)]
    np.testing.assert_array_equal(apply(RandomHorizontalFlip(), images, flipped), expected)


@pytest.mark.parametrize("probability", [0, 0.3, 1])
def test_flip_probability(probability, draw) -> None:
    assert abs(draw(RandomHorizontalFlip(probability), 5000, (8, 8, 1)).mean() - probability) < 0.03


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_crop_equals_pillow_resize_of_a_box(interpolation, pictures, draw, apply) -> None:
    """Pillow in floating point, so without its rounding. 0.01 levels: float32 weights summed over up to 16 pixels."""
    transform = RandomResizedCrop(interpolation=interpolation)
    images = pictures(20, 24, 20, 3)
    boxes = draw(transform, 20, (24, 20, 3))
    ours = apply(transform, images, boxes)
    assert len(np.unique(boxes.height)) > 5
    resampling = Image.Resampling[interpolation.upper()]
    for i in range(20):
        top, left, height, width = (int(values[i]) for values in boxes)
        box = (left, top, left + width, top + height)
        for channel in range(3):
            theirs = Image.fromarray(images[i, ..., channel]).resize((20, 24), resampling, box)
            np.testing.assert_allclose(ours[i, ..., channel], np.asarray(theirs).clip(0, 255), atol=0.01)


def torchvision_boxes(rng, count, height, width, scale, ratio) -> np.ndarray:
    """RandomResizedCrop.get_params of torchvision 0.29, without its fallback. -> [count, (top, left, height, width)]"""
    boxes = []
    while len(boxes) < count:
        area = height * width * rng.uniform(*scale)
        aspect = np.exp(rng.uniform(*np.log(ratio)))
        w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            boxes.append((rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w))
    return np.array(boxes)


def test_resized_crop_draws_as_torchvision_does(draw) -> None:
    """The same mean and spread of place and size; 5 standard errors of the difference of two means of 4,000 draws."""
    height, width = 30, 40
    ours = np.stack(draw(RandomResizedCrop(), 4000, (height, width, 3)), axis=1)
    theirs = torchvision_boxes(np.random.default_rng(0), 4000, height, width, (0.08, 1.0), (3 / 4, 4 / 3))
    tolerance = 5 * np.sqrt(2 / 4000)
    spread = theirs.std(0)
    assert np.all(np.abs(ours.mean(0) - theirs.mean(0)) < tolerance * spread)
    assert np.all(np.abs(ours.std(0) / spread - 1) < tolerance)

    top, left, box_height, box_width = ours.T
    assert np.all(ours >= [0, 0, 1, 1])
    assert np.all(top + box_height <= height)
    assert np.all(left + box_width <= width)
    assert np.all((box_height * box_width) / (height * width) > 0.07)  # 0.08 before rounding


def test_resized_crop_reaches_every_place_equally_often(draw) -> None:
    """A quarter of a square of 8 has 5 x 5 places, the last row and column among them."""
    boxes = draw(RandomResizedCrop(scale=(0.25, 0.25), ratio=(1, 1)), 5000, (8, 8, 3))
    assert np.all((boxes.height == 4) & (boxes.width == 4))
    for start in (boxes.top, boxes.left):
        np.testing.assert_allclose(np.bincount(start) / 5000, [1 / 5] * 5, atol=0.025)


def test_resized_crop_falls_back_to_the_largest_central_crop() -> None:
    """No crop of the whole area of a 4:1 image is within 3:4 to 4:3."""
    whole_area = RandomResizedCrop(scale=(1.0, 1.0))
    for shape, expected in [((8, 32, 1), (0, 10, 8, 11)), ((32, 8, 1), (10, 0, 11, 8))]:
        assert tuple(int(value) for value in whole_area.draw(jax.random.key(0), shape)) == expected
