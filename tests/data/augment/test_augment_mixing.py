"""Mixup and cutmix against numpy on the same draws, and the distributions of what they draw."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.data.augment import Cutmix, Mixup, MixupOrCutmix, augment
from vit_jax.data.augment.mixing import draw_pasted_box

KEY = jax.random.key(5)
SHAPE = (14, 10, 3)
BATCH = 13  # odd: the one in the middle is its own partner


@pytest.fixture
def examples(pictures) -> tuple[np.ndarray, np.ndarray]:
    """Images and soft labels."""
    labels = np.random.default_rng(1).dirichlet([0.3] * 5, BATCH).astype(np.float32)
    return pictures(BATCH, *SHAPE), labels


def mix(transform, images, labels, params):
    """`apply` with the partners that `augment` gives it. -> numpy images and labels"""
    mixed = jax.jit(jax.vmap(transform.apply))((images, labels), (images[::-1], labels[::-1]), params)
    return [np.asarray(each) for each in mixed]


def numpy_mixup(images, labels, weights):
    """[B, ...] with the mirrored place as the partner."""
    pixel_weights, label_weights = weights[:, None, None, None], weights[:, None]
    return (
        pixel_weights * images + (1 - pixel_weights) * images[::-1],
        label_weights * labels + (1 - label_weights) * labels[::-1],
    )


def numpy_cutmix(images, labels, boxes):
    mixed_images, mixed_labels = images.copy(), labels.copy()
    for i, (top, left, height, width) in enumerate(zip(*boxes, strict=True)):
        rectangle = slice(top, top + height), slice(left, left + width)
        mixed_images[i][rectangle] = images[::-1][i][rectangle]
        pasted = height * width / (images.shape[1] * images.shape[2])
        mixed_labels[i] = (1 - pasted) * labels[i] + pasted * labels[::-1][i]
    return mixed_images, mixed_labels


@pytest.mark.parametrize(
    ("transform", "in_numpy", "tolerance"), [(Mixup(), numpy_mixup, 1e-3), (Cutmix(), numpy_cutmix, 0)]
)
def test_equals_numpy(transform, in_numpy, tolerance, examples, draw) -> None:
    params = draw(transform, BATCH, SHAPE)
    images, labels = examples
    mixed_images, mixed_labels = mix(transform, images, labels, params)
    expected_images, expected_labels = in_numpy(images, labels, params)
    np.testing.assert_allclose(mixed_images, expected_images, rtol=0, atol=tolerance)
    np.testing.assert_allclose(mixed_labels, expected_labels, atol=1e-6)
    np.testing.assert_allclose(mixed_labels.sum(1), 1, atol=1e-6)


def test_mixup_or_cutmix_is_one_or_the_other_for_every_example(examples, draw) -> None:
    params = draw(MixupOrCutmix(), BATCH, SHAPE)
    assert 0 < params.use_cutmix.sum() < BATCH
    images, labels = examples
    mixed_images, mixed_labels = mix(MixupOrCutmix(), images, labels, params)
    by_mixup, by_cutmix = numpy_mixup(images, labels, params.weight), numpy_cutmix(images, labels, params.box)
    for i, use_cutmix in enumerate(params.use_cutmix):
        expected_images, expected_labels = by_cutmix if use_cutmix else by_mixup
        np.testing.assert_allclose(mixed_images[i], expected_images[i], atol=1e-3)
        np.testing.assert_allclose(mixed_labels[i], expected_labels[i], atol=1e-6)
    np.testing.assert_allclose(mixed_labels.sum(1), 1, atol=1e-6)


def test_augment_mixes_with_the_mirrored_place_of_the_batch(examples) -> None:
    images, labels = examples

    def mixup_batch() -> tuple[jax.Array, jax.Array]:
        batch = jnp.asarray(images), jnp.asarray(labels)
        return augment((Mixup(),), KEY, *batch, jnp.arange(BATCH), lambda x: x[::-1])

    mixed_images, mixed_labels = jax.jit(mixup_batch)()
    for i in range(BATCH):
        own, partner = images[i] - images[BATCH - 1 - i], images[BATCH - 1 - i]
        weight = np.sum((mixed_images[i] - partner) * own) / max(np.sum(own * own), 1)
        np.testing.assert_allclose(mixed_images[i], partner + weight * own, atol=1e-2)
        np.testing.assert_allclose(
            mixed_labels[i], weight * labels[i] + (1 - weight) * labels[BATCH - 1 - i], atol=1e-3
        )


@pytest.mark.parametrize("alpha", [0.2, 4.0])
def test_lambda_is_beta_distributed(alpha, draw) -> None:
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1)), within 5 standard errors of 6,000 draws."""
    weights = draw(Mixup(alpha), 6000, SHAPE)
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(weights.mean() - 0.5) < 5 * np.sqrt(variance / 6000)
    assert abs(weights.var() / variance - 1) < 0.07
    assert np.all((weights >= 0) & (weights <= 1))


def test_pasted_boxes_have_the_area_and_place_of_the_paper() -> None:
    """lambda 3/4: half the sides of a 44 x 22 image, the centre uniform, what is outside cut off."""
    keys = jax.random.split(KEY, 8000)
    boxes = jax.jit(jax.vmap(lambda key: draw_pasted_box(key, jnp.float32(0.75), (44, 22))))(keys)
    top, left, height, width = (np.asarray(values) for values in boxes)
    for start, length, size, side in ((top, height, 44, 22), (left, width, 22, 11)):
        expected = Counter()  # over all centres
        for centre in range(size):
            first, last = max(0, centre - side // 2), min(size, centre - side // 2 + side)
            expected[first, last - first] += 1
        drawn = Counter(zip(start.tolist(), length.tolist(), strict=True))
        assert set(drawn) == set(expected)
        for interval, count in drawn.items():
            assert abs(count / 8000 - expected[interval] / size) < 0.014


def test_no_box_is_pasted_at_lambda_one_and_a_whole_one_at_zero() -> None:
    assert draw_pasted_box(KEY, jnp.float32(1), (14, 10)).height == 0
    boxes = [draw_pasted_box(key, jnp.float32(0), (14, 10)) for key in jax.random.split(KEY, 8)]
    assert all(box.height >= 7 and box.width >= 5 for box in boxes)  # all of it but what was cut off


@pytest.mark.parametrize(
    "transform", [Mixup(probability=0.4), Cutmix(probability=0.4), MixupOrCutmix(probability=0.4)], ids=repr
)
def test_probability_leaves_the_rest_unmixed(transform, draw) -> None:
    params = draw(transform, 4000, SHAPE)
    if isinstance(transform, Cutmix):
        assert -0.06 < (params.height > 0).mean() - 0.4 < 0.03  # a lambda near 1 pastes no whole pixel
    else:
        weights = params if isinstance(transform, Mixup) else params.weight
        assert abs((weights < 1).mean() - 0.4) < 0.03


def test_probability_zero_and_whole_numbers_as_fields(examples, draw) -> None:
    """`alpha=1` and `probability=0` are what people write."""
    transform = MixupOrCutmix(mixup_alpha=1, cutmix_alpha=1, probability=0)
    images, labels = examples
    mixed_images, mixed_labels = mix(transform, images, labels, draw(transform, BATCH, SHAPE))
    np.testing.assert_array_equal(mixed_images, images)
    np.testing.assert_array_equal(mixed_labels, labels)


def test_switch_probability_and_alphas_of_mixup_or_cutmix(draw) -> None:
    params = draw(MixupOrCutmix(mixup_alpha=0.2, cutmix_alpha=4.0, switch_probability=0.3), 8000, SHAPE)
    assert abs(params.use_cutmix.mean() - 0.3) < 0.03
    for use_cutmix, alpha in ((False, 0.2), (True, 4.0)):
        variance = params.weight[params.use_cutmix == use_cutmix].var()
        assert abs(variance * 4 * (2 * alpha + 1) - 1) < 0.1
