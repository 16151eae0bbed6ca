"""How a discrete autoencoder makes tokens of images and images of tokens, learns and refuses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import random_images, random_params
from tests.models.huggingface_cases import outputs
from vit_jax.models.discrete_vae import DiscreteVae, TokenEncoder
from vit_jax.models.initialise import init_params

SMALL: dict[str, Any] = dict(image_size=(8, 12), patch_size=(4, 2), vocab_size=7, code_dim=5, width=6, depth=1)


def make(**fields: Any) -> tuple[DiscreteVae, dict[str, Any], np.ndarray]:
    """A small model with random parameters, and images."""
    model = DiscreteVae(**{**SMALL, **fields})
    return model, random_params(model, seed=0), random_images(model, seed=0)


def applied(model: DiscreteVae, params: Any, *inputs: Any, method: str) -> np.ndarray:
    return np.asarray(model.apply({"params": params}, *inputs, method=method))


def test_a_token_is_the_most_probable_of_its_patch_and_its_neighbours():
    model, params, images = make()
    logits = applied(model, params, images, method="token_logits")
    assert (model.grid, logits.shape) == ((2, 6), (2, 12, 7))
    tokens = applied(model, params, images, method="tokens")
    np.testing.assert_array_equal(tokens, logits.argmax(-1))
    assert tokens.dtype == np.int32

    changed = images.copy()
    changed[0, 4:, :2] += 1  # the patch in row 1, column 0: it reaches as far as two convolutions of 3x3
    moved = np.abs(applied(model, params, changed, method="token_logits") - logits).max(-1).reshape(2, 2, 6)
    assert (moved[0, :, :3] > 1e-4).all()
    assert moved[0, :, 3:].max() == moved[1].max() == 0


def test_the_logits_are_of_the_encoder_alone():
    """It is a network of its own, which can be given classes."""
    model, params, images = make()
    encoder = model.make_encoder()
    assert isinstance(encoder, TokenEncoder)
    features: Any = encoder.apply({"params": params["encoder"]}, images, method="features")
    expected = np.maximum(features.tokens, 0) @ params["to_tokens"]["kernel"] + params["to_tokens"]["bias"]
    np.testing.assert_allclose(applied(model, params, images, method="token_logits"), expected, atol=1e-5)
    np.testing.assert_allclose(features.pooled, features.tokens.mean(1), atol=1e-5)
    classifier = encoder.clone(num_classes=3)
    logits: Any = classifier.apply({"params": random_params(classifier, 1)}, images)
    assert logits.shape == (2, 3)


def test_tokens_and_all_of_the_share_for_one_token_decode_to_the_same():
    model, params, images = make()
    tokens = applied(model, params, images, method="tokens")
    image = applied(model, params, tokens, method="decode")
    assert image.shape == images.shape
    np.testing.assert_allclose(applied(model, params, np.eye(7)[tokens], method="decode"), image, atol=1e-5)
    np.testing.assert_allclose(outputs(model, params, images, {}).prediction, image, atol=1e-5)


def test_training_decodes_the_gumbel_softmax():
    """By its formula; at a low temperature it is the token whose logit and noise together are largest."""
    model, params, images = make()
    logits, noise = (
        applied(model, params, images, method="token_logits"),
        np.random.default_rng(0).gumbel(size=(2, 12, 7)),
    )
    scores = (logits.astype(np.float64) + noise) / 0.7
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    made: Any = model.apply({"params": params}, images, True, jnp.asarray(noise), 0.7)
    np.testing.assert_allclose(made.prediction, applied(model, params, jnp.asarray(shares), method="decode"), atol=1e-5)
    cold: Any = model.apply({"params": params}, images, True, jnp.asarray(noise), 1e-4)
    drawn = applied(model, params, (logits + noise).argmax(-1), method="decode")
    np.testing.assert_allclose(cold.prediction, drawn, atol=1e-4)


def test_noise_is_drawn_from_the_stream_of_dropout():
    model, params, images = make()
    made = [
        np.asarray(model.apply({"params": params}, images, True, rngs={"dropout": jax.random.key(i)})[0])
        for i in (0, 0, 1)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    assert np.abs(made[0] - made[2]).max() > 1e-3


def test_every_parameter_learns_but_the_running_mean():
    model, params, images = make()

    def loss(params: Any) -> jax.Array:
        made: Any = model.apply({"params": params}, images, True, rngs={"dropout": jax.random.key(0)})
        return jnp.sin(made.prediction).sum()

    gradient = jax.grad(loss)(params)
    assert not gradient.pop("usage").any()
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.abs(leaf).max() > 1e-6, jax.tree_util.keystr(path)


def test_at_first_all_tokens_count_as_used_alike():
    model = DiscreteVae(**SMALL)
    np.testing.assert_allclose(init_params(model, jax.random.key(0))["usage"], np.full(7, 1 / 7))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(num_classes=10), "num_classes must be 0, not 10: a DiscreteVae has no classes"),
        (dict(vocab_size=1), "vocab_size must be at least 2"),
        (dict(code_dim=0), "code_dim positive, not 7 and 0"),
        (dict(patch_size=5), "image_size 8x12 is not a whole number of patches of patch_size 5x5"),
        (dict(depth=0), "depth must be at least 1, not 0"),
        (dict(width=0), "width must be at least 1, not 0"),
    ],
)
def test_fields_that_cannot_work_are_refused_when_built(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        DiscreteVae(**{**SMALL, **fields})
