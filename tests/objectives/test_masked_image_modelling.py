"""BEiT's loss against the published one, written out in float64; its two views; what it refuses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import random_params
from tests.objectives.cases import examples
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.discrete_vae import DiscreteVae
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.network_input import network_input
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.objectives.masked_image_modelling import MaskedImageModelling
from vit_jax.objectives.objective import Examples, Given, Teacher

MODEL = BeitPretraining(
    image_size=16, patch_size=4, embed_dim=8, depth=1, num_heads=2, vocab_size=7, in_channels=1, layer_scale=1.0
)
LANCZOS = Preprocessing((0.4,), (0.3,), interpolation="lanczos")
TOKENIZER = DiscreteVae(
    image_size=8, patch_size=2, vocab_size=7, code_dim=5, width=6, depth=1, in_channels=1, preprocessing=LANCZOS
)
OBJECTIVE = MaskedImageModelling("somewhere", masked_patches=6, smallest_block=2)


@pytest.fixture
def batch() -> Examples:
    return examples(np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 1)).astype(np.float32))


def tokenizer_params() -> dict[str, Any]:
    """Random ones that tell patches apart: a bias takes away what all places have in common."""
    params, kernel = random_params(TOKENIZER, 7), np.random.default_rng(1).normal(size=(6, 7))
    noise = np.random.default_rng(2).normal(0, 0.4, (5, 8, 8, 1))
    features: Any = TOKENIZER.apply({"params": params}, noise, method="features")
    common = np.maximum(features.tokens, 0).mean((0, 1)) @ kernel
    return {**params, "to_tokens": {"kernel": jnp.asarray(kernel), "bias": -jnp.asarray(common)}}


def given(key: int = 0) -> Given:
    return Given(jax.random.key(key), Teacher(TOKENIZER, tokenizer_params(), None))


def test_the_loss_and_its_gradient_are_the_published_ones(batch: Examples):
    """`engine_for_pretraining.py`: cross-entropy over the masked patches of all images, labels by the tokenizer."""
    params = random_params(MODEL, 0)
    small = network_input(TOKENIZER, batch.pixels)
    assert small.shape == (5, 8, 8, 1)
    labels: Any = TOKENIZER.apply({"params": tokenizer_params()}, small, method="tokens")
    mask = np.asarray(OBJECTIVE.masks(MODEL, batch.keys))
    assert mask.sum(1).tolist() == [6] * 5

    def logits_of(head: Any) -> jax.Array:
        variables = {"params": {**params, "head": head}}
        found: Any = MODEL.apply(variables, network_input(MODEL, batch.pixels), mask=jnp.asarray(mask))
        return found

    logits = np.asarray(logits_of(params["head"]), np.float64)[mask]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(p[np.arange(30), np.asarray(labels)[mask]]).mean()
    loss = OBJECTIVE.loss(MODEL, params, batch, given())
    assert float(loss.value) == pytest.approx(expected, rel=1e-5)
    right = (logits.argmax(-1) == np.asarray(labels)[mask]).mean()
    assert float(loss.metrics["token_accuracy"]) == pytest.approx(right)
    assert len(set(np.asarray(labels)[mask].tolist())) > 2  # the tokenizer tells patches apart

    gradient = jax.grad(lambda params: OBJECTIVE.loss(MODEL, params, batch, given()).value)(params)
    of_logits = np.zeros((5, 16, 7))
    of_logits[mask] = (p - np.eye(7)[np.asarray(labels)[mask]]) / 30
    _, pulled = jax.vjp(logits_of, params["head"])
    (expected_head,) = pulled(jnp.asarray(of_logits, jnp.float32))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), gradient["head"], expected_head)
    assert float(jnp.abs(gradient["encoder"]["mask_token"]).max()) > 1e-4


def test_both_views_are_of_the_same_pixels(batch: Examples):
    """An image that changes where it is not masked changes the loss; the tokenizer alone sees what is masked."""
    params, mask = random_params(MODEL, 0), np.asarray(OBJECTIVE.masks(MODEL, batch.keys))
    hidden = np.kron(mask[0].reshape(4, 4), np.ones((4, 4), bool))[..., None]
    changed = batch._replace(pixels=batch.pixels.at[0].set(jnp.where(hidden, 255 - batch.pixels[0], batch.pixels[0])))
    scores = [
        np.asarray(MODEL.apply({"params": params}, network_input(MODEL, x.pixels), mask=jnp.asarray(mask)))
        for x in (batch, changed)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    losses = [float(OBJECTIVE.loss(MODEL, params, x, given()).value) for x in (batch, changed)]
    assert abs(losses[0] - losses[1]) > 1e-4


def test_no_gradient_reaches_the_tokenizer(batch: Examples):
    params = random_params(MODEL, 0)

    def loss(tokenizer_params: Any) -> jax.Array:
        teacher = Teacher(TOKENIZER, tokenizer_params, None)
        return OBJECTIVE.loss(MODEL, params, batch, Given(jax.random.key(0), teacher)).value

    gradient = jax.grad(loss)(tokenizer_params())
    assert all(not leaf.any() for leaf in jax.tree.leaves(gradient))


def test_masks_depend_on_the_examples_keys_alone(batch: Examples):
    params = random_params(MODEL, 0)
    other = batch._replace(keys=jax.random.split(jax.random.key(9), 5))
    losses = {float(OBJECTIVE.loss(MODEL, params, x, given(key)).value) for x in (batch, other) for key in (0, 1)}
    assert len(losses) == 2


def test_drop_path_is_on(batch: Examples):
    model = MODEL.clone(depth=2, drop_path_rate=0.5)
    params = random_params(model, 0)
    one, other = (float(OBJECTIVE.loss(model, params, batch, given(key)).value) for key in (0, 1))
    assert one != other


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (TOKENIZER.clone(patch_size=4), "has 2 x 2 tokens for an image; the network has 4 x 4 patches"),
        (TOKENIZER.clone(vocab_size=9), "knows 9 tokens; set model.vocab_size to that, not 7"),
        (MaskedAutoencoder(image_size=32), "tokenizer in somewhere must be a DiscreteVae, not a MaskedAutoencoder"),
    ],
)
def test_a_tokenizer_that_does_not_fit_is_refused(tokenizer: Network, message: str):
    OBJECTIVE.check_tokenizer(MODEL, TOKENIZER)
    with pytest.raises(ValueError, match=message):
        OBJECTIVE.check_tokenizer(MODEL, tokenizer)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(tokenizer=""), "must say where the tokenizer comes from"),
        (dict(smallest_block=0), "smallest_block must be from 1 to masked_patches 6, not 0"),
        (dict(smallest_block=7), "smallest_block must be from 1 to masked_patches 6, not 7"),
        (dict(narrowest=1.5), r"narrowest must be in \(0, 1\], not 1.5"),
    ],
)
def test_values_that_cannot_be_are_refused(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        MaskedImageModelling(**{**dict(tokenizer="somewhere", masked_patches=6, smallest_block=2), **fields})


def test_networks_that_it_cannot_train_are_refused():
    OBJECTIVE.check(MODEL)
    with pytest.raises(ValueError, match=r"needs a BeitPretraining .* not a MaskedAutoencoder"):
        OBJECTIVE.check(MaskedAutoencoder(image_size=32))
    with pytest.raises(ValueError, match="masked_patches 16 leaves none of 16 patches"):
        MaskedImageModelling("somewhere", masked_patches=16).check(MODEL)
