"""Pixels become what the network was trained on."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


def test_google_preprocessing_maps_the_range_to_minus_one_and_one():
    pixels = jnp.array([[0.0, 127.5, 255.0]]).T
    np.testing.assert_allclose(Preprocessing().normalise(pixels), [[-1], [0], [1]], atol=1e-6)


def test_each_channel_has_its_own_mean_and_deviation():
    """uint8 pixels too; the result is float32, and equals (pixel / 255 - mean) / std."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    normalised = Preprocessing(IMAGENET_MEAN, IMAGENET_STD).normalise(jnp.asarray(pixels))
    assert normalised.dtype == jnp.float32
    np.testing.assert_allclose(normalised, (pixels / 255 - IMAGENET_MEAN) / np.array(IMAGENET_STD), atol=1e-5)


def test_arrays_of_numpy_stay_on_the_host():
    """Where each thread that decodes would have a device normalise its one image."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    settings = Preprocessing(IMAGENET_MEAN, IMAGENET_STD)
    normalised = settings.normalise(pixels)
    assert isinstance(normalised, np.ndarray)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, settings.normalise(jnp.asarray(pixels)), atol=1e-6)


def test_one_mean_serves_any_number_of_channels():
    assert Preprocessing().normalise(jnp.zeros((4, 4, 5))).shape == (4, 4, 5)


def test_another_number_of_channels_than_means_is_refused():
    """What is proposed instead is near to what these images had as colours."""
    with pytest.raises(ValueError, match=r"3 channel means for images of 1 channels.*\(mean=0\.449, std=0\.226\)"):
        Preprocessing(IMAGENET_MEAN, IMAGENET_STD).normalise(jnp.zeros((4, 4, 1)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(crop_fraction=0.0), "crop_fraction"),
        (dict(crop_fraction=1.1), "crop_fraction"),
        (dict(crop_fraction="x"), "crop_fraction must be a number"),
        (dict(mean=(None,)), "must be finite numbers, one a channel"),
        (dict(mean=(float("nan"),)), "must be finite numbers, one a channel"),
        (dict(std=("x",)), "must be finite numbers, one a channel"),
        (dict(mean=(0.5,), std=(0.0,)), "std positive"),
        (dict(mean=(0.5, 0.5), std=(0.5,)), "one value a channel"),
        (dict(mean=(), std=()), "one value a channel"),
        (dict(mean="grey"), "mean must be finite numbers, one a channel, not 'grey'"),
        (dict(mean=("0.5",)), "mean must be finite numbers, one a channel"),
        (dict(mean=10**400), "mean must be finite numbers, one a channel"),
        (dict(std=[[0.5, 0.5]]), "std must be finite numbers, one a channel"),
        (dict(std=None), "std must be finite numbers, one a channel, not None"),
        (dict(mean=np.nan), "mean must be finite numbers, one a channel, not nan"),
        (dict(crop_fraction="0.9"), "crop_fraction must be a number, not '0.9'"),
    ],
)
def test_impossible_values_are_refused(fields: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**fields)


@pytest.mark.parametrize("given", [[0.25, 0.5], np.array([0.25, 0.5], np.float32), jnp.array([0.25, 0.5])])
def test_means_are_a_tuple_of_floats_whatever_they_are_given_as(given: Any):
    """A static argument of jitted functions must be hashed, and a saved one be of JSON."""
    made = Preprocessing(given, given)
    assert made == Preprocessing((0.25, 0.5), (0.25, 0.5))
    assert hash(made) == hash(Preprocessing((0.25, 0.5), (0.25, 0.5)))
    assert all(type(value) is float for value in made.mean + made.std)
    assert Preprocessing(0, 1) == Preprocessing((0.0,), (1.0,))  # pyright: ignore[reportArgumentType]
