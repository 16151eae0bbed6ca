"""RandomErasing against a slice assignment on the same draws, and its draws against the published ranges."""

import numpy as np
import pytest

from vit_jax.data.augment import RandomErasing


@pytest.mark.parametrize("fill", ["random", "zero"])
def test_erasing_replaces_the_rectangle_and_nothing_else(fill, pictures, draw, apply) -> None:
    transform = RandomErasing(probability=0.7, fill=fill)
    images = pictures(40, 15, 11, 3)
    params = draw(transform, 40, (15, 11, 3))
    ours = apply(transform, images, params)
    expected = images.copy()
    for i in range(40):
        top, left, height, width = (int(values[i]) for values in params.box)
        filling = params.filling[i, top : top + height, left : left + width] if fill == "random" else 0
        expected[i, top : top + height, left : left + width] = filling
    np.testing.assert_array_equal(ours, expected)
    assert 0 < np.sum(np.any(expected != images, axis=(1, 2, 3))) < 40


def test_random_filling_is_uniform_over_the_whole_levels_and_differs_everywhere(draw) -> None:
    filling = draw(RandomErasing(), 50, (15, 11, 3)).filling  # 495 values: not a multiple of the four in a word
    np.testing.assert_array_equal(filling, filling.round())
    counts = np.bincount(filling.astype(int).ravel(), minlength=256)
    assert len(counts) == 256
    assert abs(filling.mean() - 127.5) < 2  # 4 standard errors
    assert np.all(np.abs(counts - filling.size / 256) < 5 * np.sqrt(filling.size / 256))
    for axis in range(4):  # no repetition between examples, rows, columns or channels
        shifted = np.roll(filling, 1, axis)
        assert abs(np.corrcoef(filling.ravel(), shifted.ravel())[0, 1]) < 0.03


def published_boxes(rng, count, height, width, area, aspect) -> np.ndarray:
    """torchvision's RandomErasing.get_params. -> [count, (top, left, height, width)]"""
    boxes = []
    while len(boxes) < count:
        erase_area = height * width * rng.uniform(*area)
        ratio = np.exp(rng.uniform(*np.log(aspect)))
        h, w = round(np.sqrt(erase_area * ratio)), round(np.sqrt(erase_area / ratio))
        if h < height and w < width:
            boxes.append((rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w))
    return np.array(boxes)


def test_erasing_draws_as_torchvision_does(draw) -> None:
    """Mean and spread of place and size within 5 standard errors, for a lopsided range of aspect ratios too."""
    for aspect in ((0.3, 3.3), (1.0, 3.0)):
        transform = RandomErasing(probability=1, aspect=aspect, fill="zero")
        ours = np.stack(draw(transform, 4000, (40, 30, 3)).box, axis=1)
        theirs = published_boxes(np.random.default_rng(0), 4000, 40, 30, (0.02, 0.33), aspect)
        tolerance = 5 * np.sqrt(2 / 4000)
        assert np.all(np.abs(ours.mean(0) - theirs.mean(0)) < tolerance * theirs.std(0))
        assert np.all(np.abs(ours.std(0) / theirs.std(0) - 1) < tolerance)
        assert np.all(ours[:, 2:] < [40, 30])
        assert np.all(ours[:, :2] + ours[:, 2:] <= [40, 30])


@pytest.mark.parametrize("probability", [0, 0.25, 1])
def test_erasing_probability(probability, draw) -> None:
    heights = draw(RandomErasing(probability, fill="zero"), 4000, (32, 32, 3)).box.height
    assert abs((heights > 0).mean() - probability) < 0.03


def test_what_cannot_fit_is_not_erased(draw) -> None:
    assert draw(RandomErasing(1.0, area=(1.0, 1.0)), 50, (8, 8, 1)).box.height.max() == 0
