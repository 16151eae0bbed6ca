"""DINO's views: sizes, probabilities, and each change by itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.data.augment.blur import gaussian_blur
from vit_jax.data.augment.color import ColorJitter, grey
from vit_jax.data.augment.crop import RandomResizedCrop
from vit_jax.data.augment.views import View, ViewParams

VIEW = View((8, 8), (0.4, 1.0), blur=0.5, solarize=0.2, sigma=(0.1, 1.0))
SHAPE = (12, 10, 3)


@pytest.fixture(scope="module")
def drawn() -> ViewParams:
    """Of 4,000 images."""
    keys = jax.random.split(jax.random.key(0), 4000)
    return jax.jit(jax.vmap(lambda key: VIEW.draw(key, SHAPE)))(keys)


@pytest.fixture
def image() -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).uniform(0, 255, SHAPE), jnp.float32)


@pytest.fixture
def nothing() -> ViewParams:
    """The whole image, and no change of its colours."""
    drawn = VIEW.draw(jax.random.key(0), SHAPE)
    whole = type(drawn.box)(*(jnp.int32(value) for value in (0, 0, *SHAPE[:2])))
    off = dict.fromkeys(("mirrored", "jittered", "grey", "blurred", "solarized"), jnp.array(False))
    return drawn._replace(box=whole, **off)


def test_probabilities_are_the_published_ones(drawn: ViewParams):
    expected = dict(mirrored=0.5, jittered=0.8, grey=0.2, blurred=0.5, solarized=0.2)
    for name, probability in expected.items():
        assert float(getattr(drawn, name).mean()) == pytest.approx(probability, abs=0.03), name
    area = drawn.box.height * drawn.box.width / (SHAPE[0] * SHAPE[1])
    assert 0.35 < float(area.min()) < 0.5  # whole pixels
    assert 0.1 <= float(drawn.sigma.min()) < 0.11
    assert 0.99 < float(drawn.sigma.max()) <= 1.0


def test_no_change_is_no_change(image: jax.Array, nothing: ViewParams):
    same = dataclasses.replace(VIEW, size=SHAPE[:2]).apply(image, nothing)
    np.testing.assert_allclose(same, image, atol=1e-2)


def test_the_crop_is_that_of_random_resized_crop_at_its_own_size(image: jax.Array, nothing: ViewParams):
    crop = RandomResizedCrop((0.4, 1.0), interpolation="bicubic")
    box = crop.draw(jax.random.key(5), SHAPE)
    seen = dataclasses.replace(VIEW, size=SHAPE[:2]).apply(image, nothing._replace(box=box))
    np.testing.assert_allclose(seen, crop.apply(image, box), atol=1e-3)


def test_each_change_alone(image: jax.Array, nothing: ViewParams):
    yes, view = jnp.array(True), dataclasses.replace(VIEW, size=SHAPE[:2])
    jitter = ColorJitter(0.4, 0.4, 0.2, 0.1)
    plain = view.apply(image, nothing)
    expected = {
        "mirrored": plain[:, ::-1],
        "jittered": jitter.apply(plain, nothing.jitter),
        "grey": jnp.broadcast_to(grey(plain), SHAPE),
        "blurred": gaussian_blur(plain, nothing.sigma, 1.0),
        "solarized": jnp.where(plain < 128, plain, 255 - plain),
    }
    for name, wanted in expected.items():
        seen = view.apply(image, nothing._replace(**{name: yes}))
        np.testing.assert_allclose(seen, wanted, atol=1e-3, err_msg=name)
        assert float(jnp.abs(seen - plain).max()) > 1, name


@pytest.mark.parametrize("grey_too", [False, True])
def test_changes_are_made_in_the_published_order(grey_too: bool, image: jax.Array, nothing: ViewParams):
    """Mirrored, jittered, grey, blurred, solarized."""
    yes, view = jnp.array(True), dataclasses.replace(VIEW, size=SHAPE[:2])
    everything = nothing._replace(mirrored=yes, jittered=yes, grey=jnp.array(grey_too), blurred=yes, solarized=yes)
    x = view.apply(image, nothing)[:, ::-1]
    x = ColorJitter(0.4, 0.4, 0.2, 0.1).apply(x, nothing.jitter)
    x = jnp.broadcast_to(grey(x), SHAPE) if grey_too else x
    x = gaussian_blur(x, nothing.sigma, 1.0)
    np.testing.assert_allclose(view.apply(image, everything), jnp.where(x < 128, x, 255 - x), atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_have_their_size_and_stay_in_range(channels: int):
    images = jnp.asarray(np.random.default_rng(0).uniform(0, 255, (50, 12, 10, channels)), jnp.float32)
    keys = jax.random.split(jax.random.key(1), 50)
    seen = jax.vmap(lambda image, key: VIEW.apply(image, VIEW.draw(key, image.shape)))(images, keys)
    assert seen.shape == (50, 8, 8, channels)
    assert 0 <= float(seen.min()) < float(seen.max()) <= 255
