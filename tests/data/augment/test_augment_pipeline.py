"""What holds for every transform and for lists of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.scaling.collectives import exchange
from vit_jax.data.augment import (
    CifarAutoAugment,
    ColorJitter,
    Cutmix,
    MixingTransform,
    Mixup,
    MixupOrCutmix,
    RandAugment,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ThreeAugment,
    Transform,
    TrivialAugment,
    augment,
)

EVERY_KIND = (
    RandomCrop(padding=2),
    RandomHorizontalFlip(),
    RandAugment(),
    TrivialAugment(),
    CifarAutoAugment(),
    ColorJitter(),
    ThreeAugment(),
    RandomResizedCrop(interpolation="bicubic"),
    RandomErasing(),
    MixupOrCutmix(),
    Mixup(),
    Cutmix(),
)
KEY = jax.random.key(11)


def mirror(x):
    return x[::-1]


jitted = jax.jit(augment, static_argnames=("transforms", "reverse"))


def batch_of(pictures, count, height=12, width=9, channels=3):
    labels = jax.nn.one_hot(np.arange(count) % 5, 5)
    return pictures(count, height, width, channels), labels, jnp.arange(count)


def test_every_transform_is_listed() -> None:
    assert {type(transform) for transform in EVERY_KIND} == set(Transform.__args__)


def test_two_halves_of_a_batch_equal_the_whole(pictures) -> None:
    """An example at a place comes out the same whatever is computed beside it, as on two devices.

    Mixing needs the other half: `reverse` hands each half its part of the reversed global batch.
    """
    images, labels, positions = batch_of(pictures, 8)
    halves = slice(0, 4), slice(4, 8)
    per_image = (RandomCrop(2), RandAugment(), ColorJitter())
    whole, _ = jitted(per_image, KEY, images, labels, positions, mirror)
    for half in halves:
        part, _ = jitted(per_image, KEY, images[half], labels[half], positions[half], mirror)
        np.testing.assert_allclose(part, whole[half], atol=1e-3)

    mixing = (MixupOrCutmix(),)
    whole = jitted(mixing, KEY, images, labels, positions, mirror)

    @jax.jit
    def mix_half(images, labels, positions, reversed_images, reversed_labels):
        return augment(
            mixing, KEY, images, labels, positions, lambda x: reversed_images if x.ndim == 4 else reversed_labels
        )

    for half in halves:
        part = mix_half(images[half], labels[half], positions[half], images[::-1][half], labels[::-1][half])
        for ours, expected in zip(part, whole, strict=True):
            np.testing.assert_allclose(ours, expected[half], atol=1e-3)


def test_draws_depend_on_key_place_in_the_batch_and_place_in_the_list(pictures) -> None:
    image = pictures(1, 12, 9, 3)
    images = np.repeat(image, 8, axis=0)
    labels = jnp.ones((8, 5))
    crop = RandomCrop(padding=6)

    def run(transforms, key, positions):
        return np.asarray(jitted(transforms, key, images, labels, positions, mirror)[0])

    first = run((crop,), KEY, jnp.arange(8))
    assert len(np.unique(first.reshape(8, -1), axis=0)) > 4
    np.testing.assert_array_equal(run((crop,), KEY, jnp.arange(8)[::-1]), first[::-1])
    assert np.any(run((crop,), jax.random.key(12), jnp.arange(8)) != first)
    second_place = run((RandomHorizontalFlip(probability=0.0), crop), KEY, jnp.arange(8))
    assert np.any(second_place != first)


def test_transforms_apply_in_the_order_of_the_list(pictures) -> None:
    """The black that a crop with padding brings in is mixed away by a mixup after it, not by one before it."""
    images, labels, positions = batch_of(pictures, 8)
    crop, mix = RandomCrop(padding=8), Mixup()
    cropped_first, _ = jitted((crop, mix), KEY, images, labels, positions, mirror)
    mixed_first, _ = jitted((mix, crop), KEY, images, labels, positions, mirror)
    black = [np.mean(np.asarray(each) == 0) for each in (cropped_first, mixed_first)]
    assert black[1] > black[0] + 0.1


def test_mixing_takes_the_partner_as_it_is_at_that_point_of_the_list(pictures) -> None:
    """A flip before mixing flips the partner too; one after it flips the mixture."""
    images, labels, positions = batch_of(pictures, 6)
    flip, mix = RandomHorizontalFlip(probability=1.0), Cutmix()
    flipped_first, _ = jitted((flip, mix), KEY, images, labels, positions, mirror)
    flipped = np.asarray(images)[:, :, ::-1]
    from_either = (flipped_first == flipped) | (flipped_first == flipped[::-1])
    assert np.all(from_either)
    assert np.any(flipped_first != flipped)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_shape_dtype_and_range_for_any_number_of_channels(channels, pictures) -> None:
    images, labels, positions = batch_of(pictures, 6, channels=channels)
    whatever_the_channels = (RandAugment(), ColorJitter(), RandomResizedCrop(interpolation="bicubic"), RandomErasing())
    transforms = EVERY_KIND if channels == 3 else whatever_the_channels
    new_images, new_labels = jitted(transforms, KEY, images, labels, positions, mirror)
    assert new_images.shape == images.shape
    assert new_images.dtype == new_labels.dtype == jnp.float32
    assert float(new_images.min()) >= 0
    assert float(new_images.max()) <= 255
    assert np.all(np.isfinite(new_images))
    np.testing.assert_allclose(new_labels.sum(1), 1, atol=1e-6)


def test_jit_changes_nothing(pictures) -> None:
    """0.01 levels: fused multiply-adds. (A blend could also fall to another side of a whole level; none here does.)"""
    images, labels, positions = batch_of(pictures, 4)
    transforms = (RandomCrop(2), TrivialAugment())
    compiled = jitted(transforms, KEY, images, labels, positions, mirror)
    for ours, eager in zip(compiled, augment(transforms, KEY, images, labels, positions, mirror), strict=True):
        np.testing.assert_allclose(ours, eager, atol=0.01)


def test_an_empty_list_returns_the_batch(pictures) -> None:
    images, labels, positions = batch_of(pictures, 4)
    new_images, new_labels = augment((), KEY, jnp.asarray(images), labels, positions, mirror)
    np.testing.assert_array_equal(new_images, images)
    np.testing.assert_array_equal(new_labels, labels)


def test_batches_of_another_form_are_refused(pictures) -> None:
    images, labels, positions = batch_of(pictures, 4)
    with pytest.raises(ValueError, match=r"images must be float32 .* not uint8\[4, 12, 9, 3\]"):
        augment((), KEY, jnp.asarray(images, jnp.uint8), labels, positions, mirror)
    with pytest.raises(ValueError, match=r"labels must be float32 \[B, classes\] with B = 4, not int32\[4\]"):
        augment((), KEY, jnp.asarray(images), jnp.arange(4), positions, mirror)


def test_transforms_are_frozen_and_hashable() -> None:
    for transform in EVERY_KIND:
        assert hash(transform) == hash(dataclasses.replace(transform))
        with pytest.raises(dataclasses.FrozenInstanceError):
            transform.probability = 0.1  # pyright: ignore[reportAttributeAccessIssue]


NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "field", "values", "right"),
    [
        (RandomCrop, "padding", [-1, 1.5], "a whole number, 0 or more"),
        (RandomHorizontalFlip, "probability", [-0.1, 1.1, NAN], "in [0, 1]"),
        (RandomResizedCrop, "scale", [(0.5, 0.2), (0.5, 1.2), (-0.1, 1), (0, 0), (0.5,)], "0 <= low <= high <= 1"),
        (RandomResizedCrop, "ratio", [(2, 1), (0, 1), (1, float("inf"))], "0 < low <= high"),
        (RandomResizedCrop, "interpolation", ["nearest"], '"bilinear" or "bicubic"'),
        (ColorJitter, "brightness", [-0.1, NAN], "0 or more"),
        (ColorJitter, "contrast", [-0.1], "0 or more"),
        (ColorJitter, "saturation", [-0.1], "0 or more"),
        (ColorJitter, "hue", [-0.1, 0.6], "in [0, 0.5]"),
        (RandAugment, "num_ops", [0, 1.5], "a whole number, 1 or more"),
        (RandAugment, "magnitude", [-1, 10.5, NAN], "in [0, 10]"),
        (RandAugment, "magnitude_std", [-1, float("inf")], "0 or more, and finite"),
        (RandAugment, "probability", [1.5], "in [0, 1]"),
        (RandomErasing, "probability", [-1], "in [0, 1]"),
        (RandomErasing, "area", [(0.3, 0.1), (0.1, 1.1), (0, 0)], "0 <= low <= high <= 1"),
        (RandomErasing, "aspect", [(3, 1), (0, 1)], "0 < low <= high"),
        (RandomErasing, "fill", ["mean"], '"random" or "zero"'),
        (Mixup, "alpha", [0, -1, NAN, float("inf")], "above 0, and finite"),
        (Mixup, "probability", [2], "in [0, 1]"),
        (Cutmix, "alpha", [0], "above 0, and finite"),
        (Cutmix, "probability", [2], "in [0, 1]"),
        (MixupOrCutmix, "mixup_alpha", [0], "above 0, and finite"),
        (MixupOrCutmix, "cutmix_alpha", [0], "above 0, and finite"),
        (MixupOrCutmix, "switch_probability", [2], "in [0, 1]"),
        (MixupOrCutmix, "probability", [2], "in [0, 1]"),
    ],
)
def test_bad_fields_are_named_with_the_right_range(kind, field, values, right) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"{kind.__name__}.{field}=") as error:
            kind(**{field: value})
        assert f"{field} must be" in str(error.value)
        assert right in str(error.value)


@pytest.mark.parametrize("transform", EVERY_KIND, ids=lambda transform: type(transform).__name__)
def test_devices_that_share_a_batch_exchange_nothing_but_partners(pictures, transform) -> None:
    """Draws that go on until all devices have what they need would be exchanged, each."""
    by_device = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
    batch = jax.device_put(batch_of(pictures, 16), by_device)
    program = jitted.lower((transform,), KEY, *batch, mirror).compile().as_text()
    exchanged = {"collective-permute": 2} if isinstance(transform, MixingTransform) else {}
    assert exchange(str(program)).operations == exchanged
